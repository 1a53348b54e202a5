package ssh

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	xssh "golang.org/x/crypto/ssh"
)

// HostKeyError says why the key that a host presented is not accepted.
type HostKeyError struct {
	// Name and Address of the host.
	Name, Address string
	// Presented is the host's key.
	Presented xssh.PublicKey
	// Known are the keys that were expected; empty for an unknown host.
	Known []KnownKey
	// Pinned is the key that the target pins, if it does.
	Pinned xssh.PublicKey
	// Revoked is the line that revokes the presented key, if one does.
	Revoked *KnownKey
	// Cause is set when the host has a certificate that is not valid.
	Cause error

	hints []string
}

func fingerprint(k xssh.PublicKey) string { return k.Type() + " " + xssh.FingerprintSHA256(k) }

func (e *HostKeyError) Error() string {
	where := e.Name
	if e.Address != e.Name {
		where += " (" + e.Address + ")"
	}
	switch {
	case e.Revoked != nil:
		return fmt.Sprintf("check host key of %s: %s is revoked by %s:%d", where, fingerprint(e.Presented), e.Revoked.File, e.Revoked.Line)
	case e.Cause != nil:
		return fmt.Sprintf("check host certificate of %s: %s", where, clean(e.Cause.Error()))
	case e.Pinned != nil:
		return fmt.Sprintf("check host key of %s: it presented %s, the inventory pins %s", where, fingerprint(e.Presented), fingerprint(e.Pinned))
	case len(e.Known) == 0:
		return fmt.Sprintf("check host key of %s: %s is not known", where, fingerprint(e.Presented))
	}
	var known []string
	for _, k := range e.Known {
		kind := ""
		if k.Authority {
			kind = "authority "
		}
		known = append(known, fmt.Sprintf("%s:%d has %s%s", k.File, k.Line, kind, fingerprint(k.Key)))
	}
	return fmt.Sprintf("check host key of %s: THE KEY HAS CHANGED: it presented %s, %s", where, fingerprint(e.Presented), strings.Join(known, ", "))
}

// Unwrap returns the fault of a certificate.
func (e *HostKeyError) Unwrap() error { return e.Cause }

// Changed tells whether the host is known by another key: a reinstallation, or
// somebody in between.
func (e *HostKeyError) Changed() bool { return len(e.Known) > 0 && e.Revoked == nil }

// Hint says how to mend it, in lines that can be pasted.
func (e *HostKeyError) Hint() string { return strings.Join(e.hints, "\n") }

// trustCache holds the parsed known_hosts files by path.
type trustCache struct {
	mu    sync.Mutex
	files map[string]*hostFile
}

// trust is what is known about one host.
type trust struct {
	d     *Dialer
	hop   *hop
	files []*hostFile
	// known are the keys under the host's own name; portless those under the name
	// without a port.
	known, portless []KnownKey
}

// trust looks a host up in its known_hosts files.
func (d *Dialer) trust(h *hop) (*trust, error) {
	t := &trust{d: d, hop: h}
	if h.pinned != nil {
		return t, nil
	}
	c := &d.state.hosts
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, path := range h.knownHosts {
		f, ok := c.files[path]
		if !ok {
			var err error
			if f, err = readHostFile(path, d.warn); err != nil {
				return nil, err
			}
			if c.files == nil {
				c.files = make(map[string]*hostFile)
			}
			c.files[path] = f
		}
		t.files = append(t.files, f)
	}
	t.find()
	return t, nil
}

// find fills known and portless; the cache is locked.
func (t *trust) find() {
	t.known, t.portless = nil, nil
	for _, f := range t.files {
		t.known = append(t.known, f.find(t.hop.lookupName())...)
		if name := t.hop.portlessName(); name != "" {
			t.portless = append(t.portless, f.find(name)...)
		}
	}
}

// all are the keys that may vouch for the host.
func (t *trust) all() []KnownKey { return slices.Concat(t.known, t.portless) }

// algorithms orders the host key algorithms so that the host presents a key that can
// be checked: certificates where an authority is known, then the types that are
// known, then the others, so that an unknown key can be named in the error.
func (t *trust) algorithms() []string {
	known := t.all()
	if t.hop.pinned != nil {
		known = []KnownKey{{Key: t.hop.pinned}}
	}
	authority := slices.ContainsFunc(known, func(k KnownKey) bool { return k.Authority })
	rank := func(algorithm string) int {
		certificate := strings.Contains(algorithm, "-cert-v01@")
		switch {
		case certificate && authority:
			return 0
		case certificate:
			return -1
		case slices.ContainsFunc(known, func(k KnownKey) bool { return !k.Authority && keyType(algorithm) == k.Key.Type() }):
			return 1
		}
		return 2
	}
	out := slices.DeleteFunc(xssh.SupportedAlgorithms().HostKeys, func(a string) bool { return rank(a) < 0 })
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

// keyType is the type of the key behind an algorithm: RSA keys sign with several.
func keyType(algorithm string) string {
	if algorithm == xssh.KeyAlgoRSASHA256 || algorithm == xssh.KeyAlgoRSASHA512 {
		return xssh.KeyAlgoRSA
	}
	return algorithm
}

func sameKey(a, b xssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// check accepts or refuses the key that the host presented.
func (t *trust) check(key xssh.PublicKey) error {
	if t.hop.pinned != nil {
		if sameKey(t.hop.pinned, key) {
			return nil
		}
		return t.refuse(&HostKeyError{Presented: key, Pinned: t.hop.pinned})
	}
	if r := t.revoked(key); r != nil {
		return t.refuse(&HostKeyError{Presented: key, Revoked: r})
	}
	if cert, ok := key.(*xssh.Certificate); ok {
		return t.checkCertificate(cert)
	}
	return t.checkPlain(key)
}

// revoked finds a line that revokes the key, or the authority of a certificate. A
// revoked key is refused for every host, whatever names its line has: who lists a
// stolen key means it.
func (t *trust) revoked(key xssh.PublicKey) *KnownKey {
	keys := []xssh.PublicKey{key}
	if cert, ok := key.(*xssh.Certificate); ok {
		keys = []xssh.PublicKey{cert.Key, cert.SignatureKey}
	}
	t.d.state.hosts.mu.Lock()
	defer t.d.state.hosts.mu.Unlock()
	for _, f := range t.files {
		for _, l := range f.revoked {
			if slices.ContainsFunc(keys, func(k xssh.PublicKey) bool { return sameKey(k, l.key) }) {
				return &KnownKey{Key: l.key, File: f.path, Line: l.line}
			}
		}
	}
	return nil
}

// checkCertificate accepts a certificate by an authority that is known for the host;
// otherwise the key inside counts, as in OpenSSH.
func (t *trust) checkCertificate(cert *xssh.Certificate) error {
	byAuthority := func(k KnownKey) bool { return k.Authority && sameKey(k.Key, cert.SignatureKey) }
	if !slices.ContainsFunc(t.all(), byAuthority) {
		return t.checkPlain(cert.Key)
	}
	checker := xssh.CertChecker{
		IsHostAuthority: func(k xssh.PublicKey, _ string) bool { return sameKey(k, cert.SignatureKey) },
		Clock:           t.d.now,
	}
	if err := checker.CheckHostKey(t.hop.checkAddress(), nil, cert); err != nil {
		return t.refuse(&HostKeyError{Presented: cert.Key, Cause: err})
	}
	return nil
}

func (t *trust) checkPlain(key xssh.PublicKey) error {
	is := func(k KnownKey) bool { return !k.Authority && sameKey(k.Key, key) }
	if slices.ContainsFunc(t.known, is) || len(t.known) == 0 && slices.ContainsFunc(t.portless, is) {
		return nil
	}
	if len(t.known) == 0 && t.hop.acceptNew {
		return t.accept(key)
	}
	return t.refuse(&HostKeyError{Presented: key, Known: t.known})
}

// refuse completes the error with the host and with what to type.
func (t *trust) refuse(e *HostKeyError) error {
	e.Name, e.Address = t.hop.name, t.hop.host
	if t.hop.port != "22" {
		e.Address = t.hop.address()
	}
	switch {
	case e.Revoked != nil:
	case e.Cause != nil:
		e.hints = []string{"# sign the host's key again with ssh-keygen -s CA -I NAME -h -n " + shellQuote(t.hop.principal()) + " /etc/ssh/ssh_host_ed25519_key.pub"}
	case e.Pinned != nil:
		e.hints = []string{"# if the host was reinstalled, put its new key into the inventory: host_key: " + authorizedKey(e.Presented)}
	case len(e.Known) == 0:
		e.hints = t.unknownHints(e.Presented)
	default:
		e.hints = t.changedHints(e.Known)
	}
	return e
}

func (t *trust) unknownHints(key xssh.PublicKey) []string {
	file := "~/.ssh/known_hosts"
	if len(t.hop.knownHosts) > 0 {
		file = t.hop.knownHosts[0]
	}
	hints := []string{"# compare " + xssh.FingerprintSHA256(key) + " with what the host says on its own console: ssh-keygen -lf /etc/ssh/ssh_host_" + shortType(key) + "_key.pub"}
	if !t.hop.through {
		hints = append(hints, fmt.Sprintf("ssh-keyscan -t %s -p %s %s >> %s", shortType(key), t.hop.port, shellQuote(t.hop.host), shellQuote(file)))
	}
	return append(hints, "# or record the keys of all new hosts: repeat the command with --accept-new-host-keys")
}

func (t *trust) changedHints(known []KnownKey) []string {
	hints := []string{"# only if you know why the key has changed (a reinstallation):"}
	for _, k := range known {
		hint := fmt.Sprintf("# edit %s, line %d: it covers more than this host", k.File, k.Line)
		if k.Exact {
			hint = fmt.Sprintf("ssh-keygen -R %s -f %s", shellQuote(t.hop.lookupName()), shellQuote(k.File))
		}
		if !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	return hints
}

// shortType is a key's type as ssh-keyscan and file names have it.
func shortType(k xssh.PublicKey) string {
	switch {
	case k.Type() == xssh.KeyAlgoRSA:
		return "rsa"
	case strings.HasPrefix(k.Type(), "ecdsa-"):
		return "ecdsa"
	}
	return "ed25519"
}

func authorizedKey(k xssh.PublicKey) string {
	return strings.TrimSpace(string(xssh.MarshalAuthorizedKey(k)))
}

var errNoFile = errors.New("accept host key: there is no known_hosts file to write to; UserKnownHostsFile is none")
