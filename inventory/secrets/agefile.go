package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"gopkg.in/yaml.v3"
)

// ageFiles decrypts each age file once in a Resolve.
type ageFiles struct {
	r          *Resolver
	identities []age.Identity
	contents   map[string]map[string]string
}

func (a *ageFiles) value(file, key string) (string, error) {
	content, ok := a.contents[file]
	if !ok {
		var err error
		if content, err = a.decrypt(file); err != nil {
			return "", fmt.Errorf("decrypt %s: %w", file, err)
		}
		a.contents[file] = content
	}
	value, ok := content[key]
	if !ok {
		return "", fmt.Errorf("decrypt %s: it has no text under the key %q", file, key)
	}
	return value, nil
}

// decrypt opens an age file, binary or armored. The file itself may be public.
func (a *ageFiles) decrypt(file string) (map[string]string, error) {
	data, err := a.r.encrypted(file)
	if err != nil {
		return nil, err
	}
	if err := a.loadIdentities(); err != nil {
		return nil, err
	}
	plain, err := open(data, a.identities...)
	if err != nil {
		if errors.Is(err, errNoMatch) {
			return nil, fmt.Errorf("no identity in %s fits", a.r.identityName())
		}
		return nil, err
	}
	return parseObject(plain)
}

// errNoMatch: none of the identities opens the file.
const errNoMatch = noMatch("no identity fits")

type noMatch string

func (e noMatch) Error() string { return string(e) }

// open decrypts data. The library's errors quote what they could not read, which may
// be a secret that was never encrypted, so none of them is passed on.
func open(data []byte, identities ...age.Identity) ([]byte, error) {
	var in io.Reader = bytes.NewReader(data)
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte(armor.Header)) {
		in = armor.NewReader(in)
	}
	damaged := errors.New("it is not a file encrypted with age, or it is damaged")
	out, err := age.Decrypt(in, identities...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, errNoMatch
	case err != nil:
		return nil, damaged
	}
	plain, err := io.ReadAll(io.LimitReader(out, maxSize+1))
	switch {
	case err != nil:
		return nil, damaged
	case len(plain) > maxSize:
		return nil, fmt.Errorf("the content has more than %d bytes", maxSize)
	}
	return plain, nil
}

// loadIdentities reads the operator's age keys, once.
func (a *ageFiles) loadIdentities() error {
	if a.identities != nil {
		return nil
	}
	name := a.r.identityFile()
	text := []byte(name)
	if !strings.HasPrefix(name, "AGE-SECRET-KEY-") {
		var err error
		if text, err = a.r.private(name); err != nil {
			return fmt.Errorf("find identities: %w (set PHOENIX_AGE_IDENTITY to the file with your age key)", err)
		}
	}
	if bytes.HasPrefix(text, []byte("age-encryption.org/")) || bytes.HasPrefix(text, []byte(armor.Header)) {
		var err error
		if text, err = a.unlock(name, text); err != nil {
			return err
		}
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		// The library's message quotes what it could not read.
		return fmt.Errorf("find identities in %s: it is not a file of age identities", a.r.identityName())
	}
	a.identities = ids
	return nil
}

// unlock decrypts an identity file that has a passphrase.
func (a *ageFiles) unlock(name string, data []byte) ([]byte, error) {
	if a.r.Prompt == nil {
		return nil, fmt.Errorf("unlock %s: it has a passphrase and there is no terminal to ask on", name)
	}
	phrase, err := a.r.Prompt("Passphrase of " + name + ": ")
	if err != nil {
		return nil, fmt.Errorf("unlock %s: %w", name, err)
	}
	id, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return nil, fmt.Errorf("unlock %s: the passphrase is empty", name)
	}
	plain, err := open(data, id)
	switch {
	case errors.Is(err, errNoMatch):
		return nil, fmt.Errorf("unlock %s: wrong passphrase", name)
	case err != nil:
		return nil, fmt.Errorf("unlock %s: %w", name, err)
	}
	return plain, nil
}

// parseObject reads a YAML or JSON object of texts. The parser's own messages quote
// what they read, so none of them is passed on.
func parseObject(data []byte) (map[string]string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("read the decrypted text: it is not a YAML or JSON object")
	}
	out := make(map[string]string)
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1].Kind == yaml.ScalarNode && pairs[i+1].ShortTag() != "!!null" {
			out[pairs[i].Value] = pairs[i+1].Value
		}
	}
	return out, nil
}
