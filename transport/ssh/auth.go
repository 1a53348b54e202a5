package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	xssh "golang.org/x/crypto/ssh"
)

// authentication is the log-in to one host: which keys it offers, and what became of
// it for the error.
type authentication struct {
	d      *Dialer
	hop    *hop
	budget *budget

	mu sync.Mutex
	// begun tells that something was offered.
	begun bool
	// offered and unusable say what was tried and what could not be.
	offered, unusable []string
	// locked are key files that need a passphrase that nobody gave.
	locked []string
	// methods are what the host takes.
	methods []string
	// answered tells that the password was used: it is not worth a second try.
	answered bool
	banner   string
}

// authMethods are the ways to log in, in the order in which they are tried.
func (a *authentication) authMethods() []xssh.AuthMethod {
	methods := []xssh.AuthMethod{xssh.PublicKeysCallback(a.signers)}
	if a.d.Prompt != nil {
		methods = append(methods, xssh.KeyboardInteractive(a.interactive), xssh.PasswordCallback(a.password))
	}
	return methods
}

// observe is called between methods; it only looks at what the host takes.
func (a *authentication) observe(c *xssh.ClientAuthContext) (xssh.AuthMethod, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.methods = c.AllowedMethods
	a.begun = true
	return nil, nil
}

// offer is the list of keys under construction.
type offer struct {
	a       *authentication
	agent   []agentKey
	seen    map[string]bool
	signers []xssh.Signer
}

// signers lists the keys to offer: those that somebody named, whether the agent or a
// file holds them; then the agent's others; then the default files. A host counts
// each one against MaxAuthTries, so the named ones come first.
func (a *authentication) signers() ([]xssh.Signer, error) {
	o := &offer{a: a, seen: make(map[string]bool)}
	var err error
	if o.agent, err = a.d.state.keys.agentKeys(a.budget.ctx, a.hop.agent); err != nil {
		a.note(&a.unusable, "agent: "+clean(err.Error()))
	}
	files, named := a.hop.identities, true
	if len(files) == 0 {
		named = false
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			files = append(files, a.d.sshDir(name))
		}
	}
	for _, path := range a.hop.extra {
		o.file(a.d.state.keys.file(path), true)
	}
	if !named && !a.hop.identitiesOnly {
		o.agentRest()
	}
	for _, path := range files {
		o.file(a.d.state.keys.file(path), named)
	}
	if named && !a.hop.identitiesOnly {
		o.agentRest()
	}
	return o.signers, nil
}

func (a *authentication) note(list *[]string, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*list = append(*list, text)
}

// agentRest offers what the agent holds and was not offered yet.
func (o *offer) agentRest() {
	for _, k := range o.agent {
		o.add(k.signer, "agent "+fingerprint(k.signer.PublicKey())+" "+k.comment)
	}
}

// file offers a key file, with its certificates first. The agent signs for a key
// that it holds.
func (o *offer) file(f *keyFile, named bool) {
	ring := &o.a.d.state.keys
	signer := o.fromAgent(f.public)
	switch {
	case signer != nil:
	case f.err != nil:
		if named || !errors.Is(f.err, fs.ErrNotExist) {
			o.a.note(&o.a.unusable, f.err.Error())
		}
		return
	case f.locked == nil:
		signer = f.signer
	case ring.prompt == nil:
		o.a.note(&o.a.unusable, f.path+": it has a passphrase, and there is no terminal to ask for it")
		o.a.note(&o.a.locked, f.path)
		return
	case f.public != nil:
		signer = lockedSigner{ring, f, o.a.budget}
	default:
		var err error
		if signer, err = ring.unlock(o.a.budget, f); err != nil {
			o.a.note(&o.a.unusable, f.path+": "+err.Error())
			return
		}
	}
	o.withCertificates(f, signer)
	o.add(signer, f.path+" "+fingerprint(signer.PublicKey()))
}

// fromAgent finds a key in the agent; nil when it is not there.
func (o *offer) fromAgent(public xssh.PublicKey) xssh.Signer {
	if public == nil {
		return nil
	}
	i := slices.IndexFunc(o.agent, func(k agentKey) bool { return sameKey(k.signer.PublicKey(), public) })
	if i < 0 {
		return nil
	}
	return o.agent[i].signer
}

// withCertificates offers the certificates for a key: the one beside it and those
// that the configuration names.
func (o *offer) withCertificates(f *keyFile, signer xssh.Signer) {
	certificates := []*xssh.Certificate{f.certificate}
	for _, path := range o.a.hop.certificates {
		certificates = append(certificates, readCertificate(path, o.a.d.warn))
	}
	for _, c := range certificates {
		if c == nil || !sameKey(c.Key, signer.PublicKey()) {
			continue
		}
		with, err := xssh.NewCertSigner(c, signer)
		if err != nil {
			o.a.note(&o.a.unusable, "certificate for "+f.path+": "+clean(err.Error()))
			continue
		}
		o.add(with, "certificate "+clean(c.KeyId)+" for "+f.path)
	}
}

func (o *offer) add(s xssh.Signer, label string) {
	blob := string(s.PublicKey().Marshal())
	if o.seen[blob] {
		return
	}
	o.seen[blob] = true
	o.signers = append(o.signers, s)
	o.a.note(&o.a.offered, strings.TrimSpace(label))
}

// account is what a password belongs to.
func (a *authentication) account() string { return a.hop.user + "@" + a.hop.name }

// password answers the password method; the operator is asked once for each host.
func (a *authentication) password() (string, error) {
	a.mu.Lock()
	again := a.answered
	a.answered = true
	a.mu.Unlock()
	if again {
		return "", errors.New("the password was refused")
	}
	a.note(&a.offered, "password")
	return a.d.state.keys.password(a.budget, a.account())
}

// interactive answers keyboard-interactive: the question for the password like the
// password method, any other question (a second factor) as it comes.
func (a *authentication) interactive(_, instruction string, questions []string, _ []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i, q := range questions {
		var err error
		if strings.Contains(strings.ToLower(q), "password") {
			answers[i], err = a.password()
		} else {
			a.note(&a.offered, "keyboard-interactive")
			answers[i], err = a.d.state.keys.ask(a.budget, clean(a.account()+": "+instruction+" "+q)+" ")
		}
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// failure is the error of a log-in that did not succeed, with all that was tried.
func (a *authentication) failure(cause error) (hint string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.answered {
		a.d.state.keys.forget(a.account())
	}
	text := fmt.Sprintf("log in as %s: ", a.hop.user)
	if len(a.offered) == 0 {
		text += "there was nothing to offer"
	} else {
		text += "offered " + strings.Join(a.offered, ", ")
	}
	if len(a.unusable) > 0 {
		text += "; not usable: " + strings.Join(a.unusable, ", ")
	}
	if len(a.methods) > 0 {
		text += "; the host takes " + clean(strings.Join(a.methods, ", "))
	}
	if a.banner != "" {
		text += fmt.Sprintf("; it says %q", a.banner)
	}
	if strings.Contains(cause.Error(), "unable to authenticate") {
		return a.hint(), saidError{text, cause} // what was tried is said already, and better
	}
	return a.hint(), fmt.Errorf("%s: %w", text, cleanError{cause})
}

// saidError is an error whose text takes the place of its cause's.
type saidError struct {
	text  string
	cause error
}

func (e saidError) Error() string { return e.text }

// Unwrap returns the cause.
func (e saidError) Unwrap() error { return e.cause }

// hint says what to type; the mutex is held.
func (a *authentication) hint() string {
	var hints []string
	for _, path := range a.locked {
		hints = append(hints, "ssh-add "+shellQuote(path))
	}
	if len(a.offered) > 5 {
		hints = append(hints, "# the host stops after a few keys (MaxAuthTries): name the right one with identity_files in the inventory, or IdentitiesOnly in ~/.ssh/config")
	}
	if len(hints) == 0 && len(a.offered) == 0 {
		hints = append(hints, "# name a key file with --identity or with identity_files in the inventory, or give a key to the agent with ssh-add")
	}
	if len(hints) == 0 {
		hints = append(hints, fmt.Sprintf("ssh-copy-id -p %s %s", a.hop.port, shellQuote(a.hop.user+"@"+a.hop.host)))
	}
	return strings.Join(hints, "\n")
}
