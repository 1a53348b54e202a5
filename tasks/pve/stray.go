package pve

import (
	"slices"
	"strings"
	"unicode"
)

// Stray is a line that a program other than Proxmox seems to have written behind a
// snapshot.
type Stray struct {
	// Snapshot is the name of its section.
	Snapshot string
	// Only is set where the section has the line, or the option, nowhere before: without
	// it the section would say less.
	Only bool
	// Doubt is set where a change by hand before it would look the same. Such a line may
	// be Proxmox's own, and is never dropped.
	Doubt bool
	RawOption
}

// Strays lists the lines that were appended to the file of a container with snapshots,
// and so stand in the last of these instead of in the head. Proxmox writes a section as
// comments, options in their order, each once, and raw options, without empty lines
// (write_pct_config, pve-container 5.3.5). Strays stand behind the last option that only
// Proxmox can have written there, of a section that has a volume and a time. They are
// options for a second time, devices and mounts, and raw options that are there already
// or are not written as Proxmox does; but nothing that another section has too: that
// was Proxmox's once. Once it has written the file again, nothing tells them apart.
func (c *Config) Strays() []Stray {
	var out []Stray
	for _, o := range c.strays() {
		if o != nil {
			out = append(out, *o)
		}
	}
	return out
}

// DropStrays takes the chosen strays out, but none in doubt, and keeps every other byte.
func (c *Config) DropStrays(drop func(RawOption) bool) {
	last := c.last()
	if last == nil {
		return
	}
	found, kept := c.strays(), last.lines[:0:0]
	for i, l := range last.lines {
		if found[i] == nil || found[i].Doubt || !drop(found[i].RawOption) {
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

// strays has a stray for each line of the last snapshot that is one, and nil for the
// others.
func (c *Config) strays() []*Stray {
	s := c.last()
	if s == nil {
		return nil
	}
	out := make([]*Stray, len(s.lines))
	lines := s.read()
	end, complete := written(lines)
	if !complete {
		return out
	}
	behind := false // behind what Proxmox does not write
	for i := end; i < len(s.lines); i++ {
		l := lines[i]
		x := &Stray{Snapshot: s.Name, RawOption: l.RawOption, Only: !l.in(lines[:i])}
		odd := l.raw && strings.TrimRight(s.lines[i], "\r\n") != l.String()
		shows := !l.raw || odd || behind
		if l.Key != "" && shows && !(x.Only && c.knows(s, l)) {
			x.Doubt = x.Only && l.raw && !odd
			out[i] = x
		}
		behind = behind || !l.raw || odd
	}
	return out
}

// written is where the lines end that stand as Proxmox writes them, or are none that
// other programs append. A section that Proxmox has made has a volume and a time.
func written(lines []line) (end int, complete bool) {
	before, raw, volume, time := "", false, false, false
	end = 1
	for i, l := range lines {
		switch {
		case l.Key == "" || l.raw:
			raw = raw || l.raw
			continue
		case !raw && l.Key >= before, !numbered(l.Key) && !l.in(lines[:i]):
			end = i + 1
		}
		before = l.Key
		volume, time = volume || l.Key == "rootfs", time || l.Key == "snaptime"
	}
	return end, volume && time
}

// line is an option or a raw option; one that says nothing has no key.
type line struct {
	RawOption
	raw bool
}

func (s *Section) read() []line {
	out := make([]line, len(s.lines))
	for i, text := range s.lines {
		text = strings.TrimRight(text, "\r\n")
		if m := rawLine.FindStringSubmatch(text); m != nil {
			out[i] = line{RawOption{m[1], m[2]}, true}
		} else if m := optionLine.FindStringSubmatch(text); m != nil {
			out[i] = line{RawOption{m[1], m[2]}, false}
		}
	}
	return out
}

// in tells whether the lines have the option, or the very raw option.
func (l line) in(lines []line) bool {
	return slices.ContainsFunc(lines, func(o line) bool { return o == l || !l.raw && !o.raw && o.Key == l.Key })
}

// knows tells whether another section has the option, or the very raw option.
func (c *Config) knows(but *Section, l line) bool {
	return slices.ContainsFunc(append([]*Section{c.head}, c.sections...), func(s *Section) bool {
		return s != but && l.in(s.read())
	})
}

// numbered tells whether an option is one of several that other programs append.
func numbered(key string) bool {
	return slices.Contains([]string{"dev", "mp"}, strings.TrimRightFunc(key, unicode.IsDigit))
}
