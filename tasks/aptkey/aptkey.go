// Package aptkey keeps the key that an archive of packages is signed with: fetched from
// the archive's address, and taken only when it is the key that is known for it.
//
// The address is not trusted. apt believes every key of a file, so a file with another
// key beside the known one is not taken either. What is in the file already is held to
// the same. It knows nothing of the archives themselves; package repository does.
// Start reading at Key.
package aptkey

import (
	"bytes"
	"context"
	"crypto/sha1" // how the fingerprint of a version 4 key is made (RFC 4880, 12.2)
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"phoenix/tasks"
)

// Key is one key in a file.
type Key struct {
	// Path of the file, which a source's Signed-By names. It ends in .asc, since what is
	// in it is armoured.
	Path string
	// URL is where the key is to be had.
	URL string
	// Fingerprint of the primary key, 40 hexadecimal digits in capitals.
	Fingerprint string
}

// Check reads the file and starts nothing.
func (k Key) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	data, there, err := tasks.ReadIfExists(h, k.Path)
	if err != nil {
		return nil, err
	}
	have := ""
	if there {
		if have, err = Fingerprint(data); err != nil {
			have = "no key"
		}
	}
	var d tasks.Diff
	d.Add("key", have, k.Fingerprint, tasks.EffectLive)
	return d, nil
}

// Apply fetches the key with curl.
func (k Key) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{ReadOnly: true, Argv: []string{
		"curl", "--fail-with-body", "--silent", "--show-error", "--location", "--max-time", "60", k.URL,
	}})
	if err != nil {
		return fmt.Errorf("fetch the key of the archive: %w", err)
	}
	have, err := Fingerprint(out.Stdout)
	if err != nil {
		return fmt.Errorf("read the key that %s gives: %w", k.URL, err)
	}
	if have != k.Fingerprint {
		return fmt.Errorf("trust the key that %s gives: it is %s and not %s (somebody is in between, or the archive has a new key)", k.URL, have, k.Fingerprint)
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: k.Path, Data: out.Stdout})
}

// Fingerprint is that of the one primary key in an armoured text, in capitals. More than
// one key, or anything that is not understood, is an error.
func Fingerprint(armoured []byte) (string, error) {
	const begin, end = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
	text := strings.TrimSpace(strings.ReplaceAll(string(armoured), "\r\n", "\n"))
	body, starts := strings.CutPrefix(text, begin)
	body, ends := strings.CutSuffix(body, end)
	_, body, headed := strings.Cut(body, "\n\n") // what is above an empty line are headers
	if !starts || !ends || !headed || strings.Contains(body, "-----") {
		return "", errors.New("it is not one armoured key")
	}
	if i := strings.LastIndex(body, "\n="); i >= 0 {
		body = body[:i] // the checksum, which protects from accidents only
	}
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		return "", fmt.Errorf("the armour is damaged: %w", err)
	}
	found := ""
	for len(raw) > 0 {
		tag, packet, rest, err := next(raw)
		if err != nil {
			return "", err
		}
		raw = rest
		switch {
		case tag != publicKey:
		case found != "":
			return "", errors.New("there is more than one key in it")
		case len(packet) < 6 || packet[0] != 4:
			return "", errors.New("it is not a key of version 4")
		default:
			sum := sha1.New()
			_, _ = sum.Write(binary.BigEndian.AppendUint16([]byte{0x99}, uint16(len(packet))))
			_, _ = sum.Write(packet)
			found = fmt.Sprintf("%X", sum.Sum(nil))
		}
	}
	if found == "" {
		return "", errors.New("there is no key in it")
	}
	return found, nil
}

// publicKey is the tag of a packet with a primary key (RFC 4880, 4.3).
const publicKey = 6

// next takes a packet off: RFC 4880, 4.2. Lengths that are given in parts do not occur
// in keys.
func next(raw []byte) (tag byte, packet, rest []byte, err error) {
	cut := errors.New("it ends in the middle of a packet")
	head := raw[0]
	raw = raw[1:]
	var width int
	switch {
	case head&0x80 == 0:
		return 0, nil, nil, errors.New("it is no sequence of OpenPGP packets")
	case head&0x40 == 0:
		tag, width = head>>2&0xf, 1<<(head&3)
	default:
		tag = head & 0x3f
		switch {
		case len(raw) == 0:
			return 0, nil, nil, cut
		case raw[0] < 192:
			width = 1
		case raw[0] < 224 && len(raw) > 1:
			size := uint16(raw[0]-192)<<8 + uint16(raw[1]) + 192
			raw = append(binary.BigEndian.AppendUint16(nil, size), raw[2:]...)
			width = 2
		case raw[0] == 255:
			raw, width = raw[1:], 4
		default:
			width = 8
		}
	}
	if width > 4 || len(raw) < width {
		return 0, nil, nil, cut
	}
	size := binary.BigEndian.Uint32(append(bytes.Repeat([]byte{0}, 4-width), raw[:width]...))
	raw = raw[width:]
	if uint64(len(raw)) < uint64(size) {
		return 0, nil, nil, cut
	}
	return tag, raw[:size], raw[size:], nil
}
