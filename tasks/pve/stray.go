package pve

import (
	"slices"
	"strings"
	"unicode"
)

// Stray is a line that a program other than Proxmox wrote behind a snapshot.
type Stray struct {
	// Snapshot is the name of its section.
	Snapshot string
	RawOption
}

// Strays lists the lines that were appended to the file of a container with snapshots,
// and so stand in the last of these instead of in the head. Proxmox writes a section as
// comments, options in their order, each once, and raw options, without empty lines
// (write_pct_config, pve-container 5.3.5). What stands behind a line that breaks this is
// not Proxmox's; of that, raw options, entries such as mp0, and options for a second
// time are strays. Once Proxmox has written the file again, nothing tells them apart.
func (c *Config) Strays() []Stray {
	var out []Stray
	last := c.last()
	for _, o := range last.strays() {
		if o != nil {
			out = append(out, Stray{last.Name, *o})
		}
	}
	return out
}

// DropStrays takes the chosen strays out, and keeps every other byte.
func (c *Config) DropStrays(drop func(RawOption) bool) {
	last := c.last()
	if last == nil {
		return
	}
	found, kept := last.strays(), last.lines[:0:0]
	for i, l := range last.lines {
		if found[i] == nil || !drop(*found[i]) {
			kept = append(kept, l)
		}
	}
	last.lines = kept
}

// last is the snapshot at the end of the file; nil when there is none.
func (c *Config) last() *Section {
	n := len(c.sections)
	if n == 0 || c.sections[n-1].Name == PendingName {
		return nil
	}
	return c.sections[n-1]
}

// strays has the option of each line that is a stray, and nil for the others.
func (s *Section) strays() []*RawOption {
	if s == nil {
		return nil
	}
	out := make([]*RawOption, len(s.lines))
	before, behind, raw := "", false, false // behind what Proxmox wrote
	var seen []string
	for i, l := range s.lines[1:] {
		text := strings.TrimRight(l, "\r\n")
		if strings.HasPrefix(text, "#") {
			behind = behind || before != "" || raw
			continue
		}
		if m := rawLine.FindStringSubmatch(text); m != nil {
			o := RawOption{m[1], m[2]}
			raw, behind = true, behind || text != o.String()
			if behind {
				out[i+1] = &o
			}
			continue
		}
		m := optionLine.FindStringSubmatch(text)
		if m == nil {
			behind = true // an empty line, or one that Proxmox drops
			continue
		}
		behind = behind || raw || m[1] <= before
		before = m[1]
		if behind && (numbered(before) || slices.Contains(seen, before)) {
			out[i+1] = &RawOption{m[1], m[2]}
		}
		seen = append(seen, before)
	}
	return out
}

// numbered tells whether an option is one of several of its kind.
func numbered(key string) bool {
	return slices.Contains([]string{"dev", "mp", "net"}, strings.TrimRightFunc(key, unicode.IsDigit))
}
