package repository

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	v := &validation{}
	v.choice("repositories", s.Repositories, Keep, NoSubscription, Enterprise)
	v.choice("ceph", s.Ceph, Keep, NoSubscription, Enterprise, None)
	for _, name := range tasks.Keys(s.ExtraSources) {
		src := s.ExtraSources[name]
		v.source("extra_sources."+name, name, &src)
	}
	if s.LockTimeoutS < 0 {
		v.add("lock_timeout_s", "is negative", "seconds; 0 means five minutes")
	}
	return v.problems
}

type validation struct{ problems []tasks.Problem }

func (v *validation) add(path, summary, hint string) {
	v.problems = append(v.problems, tasks.Problem{Path: path, Summary: summary, Hint: hint})
}

func (v *validation) choice(path, value string, words ...string) {
	if value != "" && !slices.Contains(words, value) {
		v.add(path, fmt.Sprintf("%q is no choice", value), strings.Join(words, ", "))
	}
}

func (v *validation) source(at, name string, s *Source) {
	switch {
	case !regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`).MatchString(name):
		v.add(at, fmt.Sprintf("%q is no name of a file that apt reads", name), "letters, digits and _ - ., without .sources")
	case slices.Contains([]string{"proxmox", "pve-enterprise", "ceph", "debian"}, name):
		v.add(at, fmt.Sprintf("%s.sources belongs to the system", name), "use repositories and ceph for Proxmox's archives, another name for others")
	}
	v.words(at+".types", s.Types, false, `^deb(-src)?$`, "deb or deb-src")
	v.words(at+".uris", s.URIs, true, `^(https?://[A-Za-z0-9][A-Za-z0-9.:-]*|file:)(/[A-Za-z0-9._~+,;=@:/-]*)?$`, "https://HOST/PATH or file:/PATH; a password belongs in /etc/apt/auth.conf.d")
	v.words(at+".suites", s.Suites, true, `^[A-Za-z0-9._~+/-]+$`, "a suite such as release or stable, or a path that ends in /")
	v.words(at+".components", s.Components, false, `^[A-Za-z0-9._+/-]+$`, "words such as main")
	v.words(at+".architectures", s.Architectures, false, `^[a-z0-9-]+$`, "words such as amd64")
	paths := 0
	for _, suite := range s.Suites {
		if strings.HasSuffix(suite, "/") {
			paths++
		}
	}
	switch {
	case paths > 0 && len(s.Components) > 0:
		v.add(at+".components", "a suite that is a path has none", "leave components out, or the / at the end of the suite")
	case paths == 0 && len(s.Suites) > 0 && len(s.Components) == 0:
		v.add(at+".components", "is missing", "name them: main; or end the suite in / where it is a path")
	case paths > 0 && paths < len(s.Suites):
		v.add(at+".suites", "paths and suites do not mix", "make two sources of it")
	}
	v.signedBy(at+".signed_by", s.SignedBy)
}

func (v *validation) words(at string, words []string, required bool, pattern, hint string) {
	if required && len(words) == 0 {
		v.add(at, "is missing", hint)
	}
	valid := regexp.MustCompile(pattern)
	for i, w := range words {
		switch {
		case !valid.MatchString(w):
			v.add(fmt.Sprintf("%s.%d", at, i), fmt.Sprintf("%q is not allowed here", w), hint)
		case slices.Index(words, w) < i:
			v.add(fmt.Sprintf("%s.%d", at, i), fmt.Sprintf("%s is named twice", w), "")
		}
	}
}

// signedBy takes a path or an armoured public key, and nothing that could become
// another field of the stanza.
func (v *validation) signedBy(at, value string) {
	const begin, end = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
	key := strings.TrimSpace(value)
	switch {
	case value == "", regexp.MustCompile(`^/[A-Za-z0-9._/+-]+$`).MatchString(value):
		return
	case strings.Contains(key, "PRIVATE KEY"):
		v.add(at, "is a private key", "give the public one: gpg --armor --export ID")
		return
	case !strings.HasPrefix(key, begin) || !strings.HasSuffix(key, end):
		v.add(at, "is neither the path of a keyring nor an armoured key", "an absolute path, or the text from "+begin+" to "+end)
		return
	}
	body := strings.TrimSuffix(strings.TrimPrefix(key, begin), end)
	valid := regexp.MustCompile(`^([A-Za-z0-9+/=]*|(Comment|Version|Hash|Charset|MessageID): [ -~]*)$`)
	for _, l := range tasks.Lines(body) {
		if l = strings.TrimSpace(l); !valid.MatchString(l) {
			v.add(at, fmt.Sprintf("has a line that is no part of an armoured key: %q", l), "paste the key as gpg --armor --export ID prints it")
			return
		}
	}
}
