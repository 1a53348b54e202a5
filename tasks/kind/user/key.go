package user

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
)

// key is one line of an authorized_keys file, as in sshd(8).
type key struct {
	// options as they are written; empty when there are none.
	options string
	// kind is the algorithm: "ssh-ed25519".
	kind string
	// blob is the key itself, in base64.
	blob string
	// comment is the rest of the line.
	comment string
}

// keyKinds are the algorithms that OpenSSH 9 takes in the file. DSA is none of them.
func keyKinds() []string {
	return []string{
		"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
	}
}

// parseKey reads a line. An error says that sshd would pass over it.
func parseKey(line string) (key, error) {
	rest := strings.Trim(line, " \t")
	var k key
	if word, _ := cutBlank(rest); !slices.Contains(keyKinds(), word) {
		n, err := optionsLen(rest)
		if err != nil {
			return key{}, err
		}
		k.options, rest = rest[:n], strings.TrimLeft(rest[n:], " \t")
	}
	k.kind, rest = cutBlank(rest)
	if !slices.Contains(keyKinds(), k.kind) {
		return key{}, errors.New("it has no kind of key that OpenSSH takes")
	}
	k.blob, k.comment = cutBlank(rest)
	raw, err := base64.StdEncoding.DecodeString(k.blob)
	if err != nil {
		return key{}, errors.New("the key is no base64")
	}
	if fields, ok := wireStrings(raw); !ok || fields[0] != k.kind {
		return key{}, fmt.Errorf("the key is cut off, or is not one of kind %s", k.kind)
	}
	return k, nil
}

// optionsLen is the length of the options at the beginning of a line: up to the first
// blank outside of double quotes.
func optionsLen(line string) (int, error) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && line[i+1] == '"':
			i++
		case line[i] == '"':
			quoted = !quoted
		case !quoted && (line[i] == ' ' || line[i] == '\t'):
			return i, nil
		}
	}
	if quoted {
		return 0, errors.New("the options have a quote that is not closed")
	}
	return len(line), nil
}

func cutBlank(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

// wireStrings are the fields of a key in SSH's wire format, each a length of four bytes
// and the text. A key has its kind and at least one more.
func wireStrings(raw []byte) (fields []string, ok bool) {
	for len(raw) >= 4 {
		n := uint64(binary.BigEndian.Uint32(raw))
		raw = raw[4:]
		if n > uint64(len(raw)) {
			return nil, false
		}
		fields, raw = append(fields, string(raw[:n])), raw[n:]
	}
	return fields, len(raw) == 0 && len(fields) >= 2
}

// String is the line.
func (k key) String() string {
	return strings.TrimRight(strings.TrimLeft(k.options+" "+k.kind+" "+k.blob+" "+k.comment, " "), " ")
}

// fingerprint is what ssh-keygen -l shows.
func (k key) fingerprint() string {
	raw, err := base64.StdEncoding.DecodeString(k.blob)
	if err != nil {
		return k.blob // parseKey has decoded it
	}
	sum := sha256.Sum256(raw)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// short is the line for people: without the key, which its fingerprint stands for.
func (k key) short() string {
	return strings.TrimSpace(strings.TrimLeft(k.options+" "+k.kind, " ") + " " + k.comment)
}

// keyLine is a line of a file, with its line end.
type keyLine struct {
	text string
	key  key
	// is tells that the line has a key; inert, that it is empty or a comment.
	is, inert bool
}

func keyLines(data []byte) []keyLine {
	var out []keyLine
	for _, text := range tasks.Lines(string(data)) {
		bare := strings.Trim(text, " \t\r\n")
		l := keyLine{text: text, inert: bare == "" || bare[0] == '#'}
		if !l.inert {
			k, err := parseKey(bare)
			l.key, l.is = k, err == nil
		}
		out = append(out, l)
	}
	return out
}

// keySet is what is wanted of a file.
type keySet struct {
	want []key
	// exclusive takes other lines away, except comments and what spare accepts.
	exclusive bool
	spare     func(key) bool
	// held leaves to people what exclusive would take away.
	held bool
}

// find returns the wanted key with that blob.
func (s *keySet) find(blob string) (key, bool) {
	i := slices.IndexFunc(s.want, func(k key) bool { return k.blob == blob })
	if i < 0 {
		return key{}, false
	}
	return s.want[i], true
}

// goes tells whether a line that is not wanted must be taken away.
func (s *keySet) goes(l keyLine) bool {
	return s.exclusive && !l.inert && !(l.is && s.spare != nil && s.spare(l.key))
}

// edit makes the content that is wanted. Every other line stays byte for byte; a key
// that is there with other options is replaced where it stands, and once only.
func (s *keySet) edit(old []byte) []byte {
	var b strings.Builder
	written := make(map[string]bool)
	for _, l := range keyLines(old) {
		k, wanted := s.find(l.key.blob)
		switch {
		case !l.is || !wanted:
			if s.held || !s.goes(l) {
				b.WriteString(l.text)
			}
		case l.key.options == k.options:
			b.WriteString(l.text)
			written[k.blob] = true
		case !written[k.blob] && !s.laterAsWanted(old, k):
			b.WriteString(k.String() + "\n")
			written[k.blob] = true
		}
	}
	out := b.String()
	for _, k := range s.want {
		if written[k.blob] {
			continue
		}
		if out != "" && !strings.HasSuffix(out, "\n") {
			out += "\n"
		}
		out += k.String() + "\n"
		written[k.blob] = true
	}
	return []byte(out)
}

// laterAsWanted tells whether some line has the key as it is wanted.
func (*keySet) laterAsWanted(data []byte, k key) bool {
	return slices.ContainsFunc(keyLines(data), func(l keyLine) bool {
		return l.is && l.key.blob == k.blob && l.key.options == k.options
	})
}
