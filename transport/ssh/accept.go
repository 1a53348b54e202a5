package ssh

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	xssh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// accept records the key of a new host in the first known_hosts file, under a lock
// that other processes honour too. Should the host have become known in the
// meantime, that entry decides.
func (t *trust) accept(key xssh.PublicKey) error {
	if len(t.hop.knownHosts) == 0 {
		return errNoFile
	}
	c := &t.d.state.hosts
	c.mu.Lock()
	defer c.mu.Unlock()
	path := t.hop.knownHosts[0]
	if err := t.append(path, key); err != nil {
		return err
	}
	t.d.warn(fmt.Sprintf("recorded the host key of %s in %s: %s", t.hop.name, path, fingerprint(key)))
	return nil
}

// append does accept's work; the cache is locked.
func (t *trust) append(path string, key xssh.PublicKey) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("record host key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("record host key: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	unlock, err := lockFile(file)
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	defer unlock()
	known, err := t.refresh(file, key)
	if known || err != nil {
		return err
	}
	return t.write(file, key)
}

// refresh reads the file again if somebody else wrote to it, and tells whether the
// host is known by now; by another key is an error.
func (t *trust) refresh(file *os.File, key xssh.PublicKey) (known bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return false, fmt.Errorf("record host key: %w", err)
	}
	if mine := t.files[0]; info.Size() != mine.size {
		data, err := io.ReadAll(file)
		if err != nil {
			return false, fmt.Errorf("read %s: %w", mine.path, err)
		}
		// The cache's file is changed in place: other hosts hold it as well.
		*mine = *parseHostFile(mine.path, data, t.d.warn)
	}
	t.find()
	for _, k := range t.known {
		if !k.Authority && sameKey(k.Key, key) {
			return true, nil
		}
	}
	if len(t.known) > 0 {
		return false, t.refuse(&HostKeyError{Presented: key, Known: t.known})
	}
	return false, nil
}

// write appends the line, on a line of its own, and remembers it.
func (t *trust) write(file *os.File, key xssh.PublicKey) error {
	mine := t.files[0]
	name := t.hop.lookupName()
	shown := name
	if t.hop.hashNew {
		shown = xknownhosts.HashHostname(name)
	}
	text := shown + " " + authorizedKey(key) + "\n"
	if mine.size > 0 {
		last := make([]byte, 1)
		if _, err := file.ReadAt(last, mine.size-1); err != nil {
			return fmt.Errorf("read %s: %w", mine.path, err)
		}
		if last[0] != '\n' {
			text = "\n" + text
		}
	}
	if _, err := file.WriteString(text); err != nil {
		return fmt.Errorf("record host key in %s: %w", mine.path, err)
	}
	line, err := parseHostLine(shown + " " + authorizedKey(key))
	if err != nil {
		return fmt.Errorf("record host key: %w", err)
	}
	mine.size += int64(len(text))
	mine.lines++
	line.line = mine.lines
	mine.add(*line)
	return nil
}
