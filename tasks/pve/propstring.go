package pve

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"
)

// PropertyString is a value of the form "VALUE,key=value,…", as netN, mpN and
// features have. The zero value is empty and ready to use.
type PropertyString struct {
	pairs []pair
}

type pair struct{ key, value string }

// ParsePropertyString reads a value. A part without "=" belongs to defaultKey; it
// is an error when there is no default key, or when it was given twice.
func ParsePropertyString(s, defaultKey string) (PropertyString, error) {
	var p PropertyString
	if strings.TrimSpace(s) == "" {
		return p, nil
	}
	for _, part := range strings.Split(s, ",") {
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			key, value = defaultKey, part
		}
		if key == "" {
			return PropertyString{}, fmt.Errorf("read property string %q: %q has no key", s, part)
		}
		if _, twice := p.Get(key); twice {
			return PropertyString{}, fmt.Errorf("read property string %q: %s is given twice", s, key)
		}
		p.pairs = append(p.pairs, pair{key, value})
	}
	return p, nil
}

// Get returns the value of a key.
func (p PropertyString) Get(key string) (string, bool) {
	for _, kv := range p.pairs {
		if kv.key == key {
			return kv.value, true
		}
	}
	return "", false
}

// Set gives a key a value; an empty value takes the key away.
func (p *PropertyString) Set(key, value string) {
	p.pairs = slices.Clone(p.pairs)
	i := slices.IndexFunc(p.pairs, func(kv pair) bool { return kv.key == key })
	switch {
	case value == "" && i >= 0:
		p.pairs = slices.Delete(p.pairs, i, i+1)
	case value == "":
	case i >= 0:
		p.pairs[i].value = value
	default:
		p.pairs = append(p.pairs, pair{key, value})
	}
}

// Empty tells whether there is no key at all.
func (p PropertyString) Empty() bool { return len(p.pairs) == 0 }

// Encode writes the value in Proxmox's own order: the default key first and without
// its name, then the keys in first, then the rest sorted. It refuses what would be
// read back differently: a comma, a line break or another control character.
func (p PropertyString) Encode(defaultKey string, first ...string) (string, error) {
	rank := func(key string) int {
		if key == defaultKey {
			return -1
		}
		if i := slices.Index(first, key); i >= 0 {
			return i
		}
		return len(first)
	}
	pairs := slices.Clone(p.pairs)
	sort.SliceStable(pairs, func(i, j int) bool {
		a, b := pairs[i].key, pairs[j].key
		return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) < 0
	})
	parts := make([]string, 0, len(pairs))
	for _, kv := range pairs {
		if strings.ContainsAny(kv.key, ",=") || HasControl(kv.key) || kv.key == "" {
			return "", fmt.Errorf("write property string: %q cannot be a key", kv.key)
		}
		bare := kv.key == defaultKey && !strings.Contains(kv.value, "=")
		if strings.Contains(kv.value, ",") || HasControl(kv.value) {
			return "", fmt.Errorf("write property string: the value %q of %s has a comma or a control character", kv.value, kv.key)
		}
		if bare {
			parts = append(parts, kv.value)
		} else {
			parts = append(parts, kv.key+"="+kv.value)
		}
	}
	return strings.Join(parts, ","), nil
}

// HasControl tells whether a text has a line break or another control character,
// and so must not be pasted into a file of lines.
func HasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return IsControl(r) || r == unicode.ReplacementChar })
}

// IsControl tells whether a character ends a line, acts on a terminal, or turns the
// order of those around it, so that people read another text than programs do.
func IsControl(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}
