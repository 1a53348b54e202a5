// Package trustedca has the machine trust certificate authorities of one's own, with
// all that reads the system's bundle: curl, git, apt, Docker, Python's ssl.
//
// Each certificate is a file of its own, phoenix-NAME.crt, where update-ca-certificates
// of Debian, Ubuntu and Alpine looks for local ones. The proof is made in each check: the
// bundle that the program writes has the certificate. What a person or another program put
// beside ours is never touched, and ours stay when they are no longer named, unless the
// spec says that it names them all. It holds no private key and makes no certificate.
// Start reading at Spec; pem.go reads certificates, task.go compares and changes.
package trustedca

import (
	"fmt"
	"regexp"

	"phoenix/tasks"
	"phoenix/tasks/secret"
)

// Name of the family in steps and in step IDs.
const Name = "trusted_ca"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Spec is what is trusted beside what the distribution brings. The zero value installs
// the distribution's bundle and no more.
type Spec struct {
	// Certificates by name, each in PEM: text, or a reference to a secret that holds it,
	// for which the inventory can name a file.
	Certificates map[string]secret.Text `json:"certificates,omitempty"`
	// Exclusive says that all of phoenix's certificates are named here: others that it
	// wrote earlier are taken away.
	Exclusive bool `json:"exclusive,omitempty"`
}

// certName becomes part of a file's name.
var certName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Validate returns every fault of the spec. A certificate behind a reference is read on
// the machine.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	for _, name := range tasks.Keys(s.Certificates) {
		at, text := "certificates."+name, s.Certificates[name]
		if !certName.MatchString(name) {
			out.Add(at, fmt.Sprintf("%q is no name of a certificate", name), "letters, digits, . _ and -, at most 64")
		}
		switch {
		case text.Ref != nil && text.Ref.Name == "":
			out.Add(at+".secret", "names no secret", "")
		case text.Ref != nil:
		case text.Literal == nil:
			out.Add(at, "has no certificate", `the text that begins with -----BEGIN CERTIFICATE-----, or {"secret": "NAME"}`)
		default:
			if _, err := parse([]byte(*text.Literal)); err != nil {
				out.Add(at, err.summary, err.hint)
			}
		}
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }
