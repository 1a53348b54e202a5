package ssh

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	xssh "golang.org/x/crypto/ssh"
)

// maxPassphrases is how often the passphrase of one key is asked for.
const maxPassphrases = 3

// keyFile is a private key on disk, read once for all hosts.
type keyFile struct {
	path string
	// public is nil when the file does not tell without its passphrase.
	public xssh.PublicKey
	// certificates are what path-cert.pub holds.
	certificate *xssh.Certificate
	// locked is the content of a key that needs a passphrase.
	locked []byte
	// err says why the file cannot be used; a missing file has fs.ErrNotExist.
	err error

	// busy is held by who asks for the passphrase; the two below change under it.
	busy    slots
	signer  xssh.Signer
	refused error
}

// file returns a key file, reading it at the first call.
func (k *keyring) file(path string) *keyFile {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f, ok := k.files[path]; ok {
		return f
	}
	f := readKeyFile(path, k.warn)
	if k.files == nil {
		k.files = make(map[string]*keyFile)
	}
	k.files[path] = f
	return f
}

func readKeyFile(path string, warn func(string)) *keyFile {
	f := &keyFile{path: path, busy: make(slots, 1)}
	data, err := os.ReadFile(path)
	if err != nil {
		// A public key alone chooses among the agent's keys, as in OpenSSH.
		if f.public = readPublicKey(path + ".pub"); f.public == nil || !errors.Is(err, fs.ErrNotExist) {
			f.err = fmt.Errorf("read identity file: %w", err)
			return f
		}
		f.err = fmt.Errorf("read identity file: %w, and the agent does not hold %s.pub", err, path)
		return f
	}
	f.certificate = readCertificate(path+"-cert.pub", warn)
	f.signer, err = xssh.ParsePrivateKey(data)
	missing, encrypted := errors.AsType[*xssh.PassphraseMissingError](err)
	switch {
	case encrypted:
		f.locked = data
		if f.public = missing.PublicKey; f.public == nil {
			f.public = readPublicKey(path + ".pub")
		}
	case err != nil:
		if f.public = readPublicKey(path); f.public != nil {
			f.err = fmt.Errorf("read identity file %s: it is a public key, and the agent does not hold it", path)
			break
		}
		f.err = fmt.Errorf("read identity file %s: %w", path, err)
	default:
		f.public = f.signer.PublicKey()
	}
	return f
}

// readPublicKey reads a .pub file; nil when there is none that can be read.
func readPublicKey(path string) xssh.PublicKey {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	key, _, _, _, err := xssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return key
}

// readCertificate reads a certificate; nil when there is none.
func readCertificate(path string, warn func(string)) *xssh.Certificate {
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	cert, ok := readPublicKey(path).(*xssh.Certificate)
	if !ok {
		warn(path + " holds no certificate; it is ignored")
		return nil
	}
	return cert
}

// unlock returns the private key, asking for its passphrase if nobody did yet. Many
// hosts may wait for the one answer.
func (k *keyring) unlock(b *budget, f *keyFile) (xssh.Signer, error) {
	release, err := f.busy.take(b)
	if err != nil {
		return nil, err
	}
	defer release()
	// Deriving the key from the passphrase takes a good part of a second by design.
	defer b.pause()()
	if f.signer != nil || f.refused != nil {
		return f.signer, f.refused
	}
	for range maxPassphrases {
		passphrase, err := k.ask(b, "Passphrase for "+f.path+": ")
		if err != nil {
			if b.ctx.Err() == nil {
				f.refused = fmt.Errorf("ask for the passphrase of %s: %w", f.path, err)
			}
			return nil, err
		}
		f.signer, err = xssh.ParsePrivateKeyWithPassphrase(f.locked, []byte(passphrase))
		if err == nil {
			return f.signer, nil
		}
		f.signer = nil
		if !errors.Is(err, x509.IncorrectPasswordError) {
			f.refused = fmt.Errorf("read identity file %s: %w", f.path, err)
			return nil, f.refused
		}
	}
	f.refused = fmt.Errorf("unlock %s: %d wrong passphrases", f.path, maxPassphrases)
	return nil, f.refused
}

// lockedSigner is a key whose passphrase is asked for only when a host has said that
// it would take the key.
type lockedSigner struct {
	ring   *keyring
	file   *keyFile
	budget *budget
}

var _ xssh.AlgorithmSigner = lockedSigner{}

// PublicKey is known without the passphrase.
func (s lockedSigner) PublicKey() xssh.PublicKey { return s.file.public }

// Sign signs with the key's default algorithm.
func (s lockedSigner) Sign(rand io.Reader, data []byte) (*xssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm asks for the passphrase, if need be, and signs.
func (s lockedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*xssh.Signature, error) {
	signer, err := s.ring.unlock(s.budget, s.file)
	if err != nil {
		return nil, err
	}
	if with, ok := signer.(xssh.AlgorithmSigner); ok {
		return with.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}

// keyring holds the keys, agents and answers that all hosts share.
type keyring struct {
	prompt prompter
	asking slots
	warn   func(string)

	mu        sync.Mutex
	files     map[string]*keyFile
	agents    map[string]*agentKeys
	passwords map[string]string
}
