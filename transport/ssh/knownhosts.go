package ssh

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	xssh "golang.org/x/crypto/ssh"
)

// KnownKey is a host key that a known_hosts file holds.
type KnownKey struct {
	Key  xssh.PublicKey
	File string
	// Line counts from 1.
	Line int
	// Authority tells that the key signs host keys rather than being one.
	Authority bool
	// Exact tells that the line names this one host, so that ssh-keygen -R finds it.
	Exact bool
}

// hostLine is a line of a known_hosts file.
type hostLine struct {
	marker string
	// names are the patterns, in lower case; a hashed line has none.
	names      []string
	salt, hash []byte
	key        xssh.PublicKey
	line       int
}

// Markers of known_hosts, sshd(8).
const (
	markerAuthority = "@cert-authority"
	markerRevoked   = "@revoked"
)

// hostFile is a parsed known_hosts file. Lines that name hosts literally, by far the
// most, are found through an index; hashed and pattern lines are tried one by one.
type hostFile struct {
	path string
	// size in bytes and number of lines, when it was last read or written.
	size    int64
	lines   int
	byName  map[string][]hostLine
	others  []hostLine
	revoked []hostLine
}

// readHostFile parses a file; a missing one is empty. As in OpenSSH, a line that
// cannot be read is skipped: one bad line must not lock out every host.
func readHostFile(path string, warn func(string)) (*hostFile, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	return parseHostFile(path, data, warn), nil
}

func parseHostFile(path string, data []byte, warn func(string)) *hostFile {
	f := &hostFile{path: path, size: int64(len(data)), byName: make(map[string][]hostLine)}
	for n := 1; len(data) > 0; n++ {
		var text []byte
		f.lines = n
		text, data, _ = bytes.Cut(data, []byte("\n"))
		line, err := parseHostLine(string(text))
		if err != nil {
			warn(fmt.Sprintf("%s:%d: %v; the line is ignored", path, n, err))
			continue
		}
		if line == nil {
			continue
		}
		line.line = n
		f.add(*line)
	}
	return f
}

func (f *hostFile) add(l hostLine) {
	switch {
	case l.marker == markerRevoked:
		f.revoked = append(f.revoked, l)
	case l.marker == "" && l.literal():
		for _, name := range l.names {
			f.byName[name] = append(f.byName[name], l)
		}
	default:
		f.others = append(f.others, l)
	}
}

// literal tells whether the line's names are names, not patterns.
func (l *hostLine) literal() bool {
	return l.hash == nil && !strings.ContainsAny(strings.Join(l.names, ","), "*?!")
}

// parseHostLine reads one line; nil is an empty line or a comment.
func parseHostLine(text string) (*hostLine, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 || fields[0][0] == '#' {
		return nil, nil
	}
	l := &hostLine{}
	if fields[0][0] == '@' {
		if fields[0] != markerAuthority && fields[0] != markerRevoked {
			return nil, fmt.Errorf("%q is not a marker of known_hosts", clean(fields[0]))
		}
		l.marker, fields = fields[0], fields[1:]
	}
	if len(fields) < 3 {
		return nil, errors.New("a host, a key type and a key are wanted")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return nil, fmt.Errorf("decode key: %w", err)
	}
	if l.key, err = xssh.ParsePublicKey(blob); err != nil {
		return nil, fmt.Errorf("parse key: %w", err)
	}
	if l.key.Type() != fields[1] {
		return nil, fmt.Errorf("the key is a %s, not a %q", l.key.Type(), clean(fields[1]))
	}
	if strings.HasPrefix(fields[0], "|") {
		return l, l.parseHash(fields[0])
	}
	l.names = strings.Split(strings.ToLower(fields[0]), ",")
	return l, nil
}

// parseHash reads |1|salt|hash, the HMAC-SHA1 of the name under the salt.
func (l *hostLine) parseHash(s string) error {
	parts := strings.Split(s, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return errors.New("the hashed host name has a form that is not known")
	}
	var errSalt, errHash error
	l.salt, errSalt = base64.StdEncoding.DecodeString(parts[2])
	l.hash, errHash = base64.StdEncoding.DecodeString(parts[3])
	return errors.Join(errSalt, errHash)
}

// matches tells whether the line speaks of the host that known_hosts calls name.
func (l *hostLine) matches(name string) bool {
	if l.hash != nil {
		mac := hmac.New(sha1.New, l.salt)
		mac.Write([]byte(name))
		return hmac.Equal(mac.Sum(nil), l.hash)
	}
	return listMatch(l.names, name)
}

// find returns the keys that the file has for a name, in the order of the lines of
// each kind.
func (f *hostFile) find(name string) []KnownKey {
	var out []KnownKey
	known := func(l *hostLine) {
		exact := l.marker == "" && (l.hash != nil || l.literal())
		out = append(out, KnownKey{Key: l.key, File: f.path, Line: l.line, Authority: l.marker == markerAuthority, Exact: exact})
	}
	for i := range f.byName[name] {
		known(&f.byName[name][i])
	}
	for i := range f.others {
		if f.others[i].matches(name) {
			known(&f.others[i])
		}
	}
	return out
}

// hostName is the name under which known_hosts has a host: the port is written only
// when it is not 22.
func hostName(host, port string) string {
	host = strings.ToLower(host)
	if port == "22" || port == "" {
		return host
	}
	return "[" + host + "]:" + port
}

// lookupName is hostName, or the alias that stands for it.
func (h *hop) lookupName() string {
	if h.alias != "" {
		return strings.ToLower(h.alias)
	}
	return hostName(h.host, h.port)
}

// portlessName is the name without a port, where that is another one. OpenSSH asks
// for it when the name with the port is unknown (check_host_key in sshconnect.c), and
// lets it vouch for a key but not against one.
func (h *hop) portlessName() string {
	if h.alias != "" || h.port == "22" {
		return ""
	}
	return strings.ToLower(h.host)
}

// parseHostKey reads the public key that a target pins.
func parseHostKey(s string) (xssh.PublicKey, error) {
	key, _, options, rest, err := xssh.ParseAuthorizedKey([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("read pinned host key: %w; it looks like \"ssh-ed25519 AAAA…\", as in the host's /etc/ssh/ssh_host_ed25519_key.pub", err)
	}
	if len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("read pinned host key: there is more than one key's type and text")
	}
	return key, nil
}

// principal is the name that a host certificate must be made out to.
func (h *hop) principal() string {
	if h.alias != "" {
		return h.alias
	}
	return h.host
}

// checkAddress is what xssh.CertChecker takes a host name from; the port is cut off.
func (h *hop) checkAddress() string { return net.JoinHostPort(h.principal(), h.port) }
