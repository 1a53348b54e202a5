package ifupdown

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
)

// The files of ifupdown2 on Proxmox VE.
const (
	// Main is the file that sources the others.
	Main = "/etc/network/interfaces"
	// Pending is what the web interface wrote and nobody has applied yet. It replaces
	// Main at the next boot (pvenetcommit.service).
	Pending = "/etc/network/interfaces.new"
	// Lock is held by Proxmox's API while it writes either.
	Lock = "/etc/network/.pve-interfaces.lock"
)

// Config is Main and every file that it sources.
type Config struct {
	// Files in the order in which ifupdown2 begins to read them; Main is the first.
	Files []*File
	// order has all stanzas as ifupdown2 meets them.
	order []placed
}

type placed struct {
	file   *File
	stanza *Stanza
}

// Read reads Main, where there is one, and what it sources.
func Read(h tasks.Host) (*Config, error) {
	data, _, err := tasks.ReadIfExists(h, Main)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	return c, c.add(h, Main, data)
}

// ReadNext reads what the next boot finds: Pending in the place of Main, where there is
// one. It fails where there is neither.
func ReadNext(h tasks.Host) (*Config, error) {
	at := Pending
	data, there, err := tasks.ReadIfExists(h, at)
	if err == nil && !there {
		at = Main
		data, err = h.ReadFile(at)
	}
	if err != nil {
		return nil, err
	}
	c := &Config{}
	return c, c.add(h, at, data)
}

func (c *Config) add(h tasks.Host, at string, data []byte) error {
	f := Parse(at, data)
	if err := f.uneditable(); err != nil {
		return fmt.Errorf("read %s: %w", at, err)
	}
	c.Files = append(c.Files, f)
	for _, s := range f.stanzas {
		c.order = append(c.order, placed{f, s})
		if err := c.source(h, s); err != nil {
			return err
		}
	}
	return nil
}

// source reads the files that a source line names. ifupdown2 looks for a relative
// name in whatever directory it was started in, so those are nobody's.
func (c *Config) source(h tasks.Host, s *Stanza) error {
	pattern := s.arg(0)
	if s.Keyword() == "source-directory" && pattern != "" {
		pattern += "/*"
	}
	if !strings.HasPrefix(s.Keyword(), "source") || !path.IsAbs(pattern) {
		return nil
	}
	names, err := glob(h, path.Clean(pattern))
	if err != nil {
		return fmt.Errorf("find the files of %q: %w", s.Text(), err)
	}
	for _, name := range names {
		if slices.ContainsFunc(c.Files, func(f *File) bool { return f.Path == name }) {
			continue
		}
		data, err := h.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := c.add(h, name, data); err != nil {
			return err
		}
	}
	return nil
}

// glob lists the regular files that match, sorted. As in Python, which ifupdown2 is
// written in, * does not match a name that begins with a dot.
func glob(h tasks.Host, pattern string) ([]string, error) {
	found := []string{"/"}
	for _, part := range strings.Split(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, "*?[") {
				next = append(next, path.Join(dir, part))
				continue
			}
			names, err := h.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			for _, name := range names {
				ok, err := path.Match(part, name)
				if err != nil {
					return nil, err
				}
				if ok && !strings.HasPrefix(name, ".") {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		found = next
	}
	return onlyFiles(h, found)
}

func onlyFiles(h tasks.Host, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		info, err := h.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !info.Mode.IsDir() {
			out = append(out, name)
		}
	}
	return out, nil
}

// Interface is everything that the files say of one interface.
type Interface struct {
	Name string
	// Auto says that it comes up at boot and that `ifreload -a` cares for it.
	Auto bool
	// Stanzas are its iface stanzas, of any file, in the order of reading.
	Stanzas []*Stanza
	// Files has the file of each stanza.
	Files []*File
}

// Interface collects what is said of an interface. A stanza that is written for a
// range of names, which ifupdown2 allows, cannot be edited for one of them.
func (c *Config) Interface(name string) (Interface, error) {
	i := Interface{Name: name}
	for _, p := range c.order {
		switch key := p.stanza.Keyword(); {
		case key == "auto" || key == "allow-auto":
			// An auto line counts for the stanzas behind it only.
			args := p.stanza.Args()
			i.Auto = i.Auto || len(i.Stanzas) == 0 && (slices.Contains(args, name) || slices.Contains(args, "all"))
		case key == "iface" && p.stanza.Name() == name:
			i.Stanzas, i.Files = append(i.Stanzas, p.stanza), append(i.Files, p.file)
		case key == "iface" && inRange(p.stanza.Name(), name):
			return i, fmt.Errorf("find %s in %s: %q speaks of several interfaces (write a stanza for each)", name, p.file.Path, p.stanza.head.value)
		}
	}
	return i, nil
}

// inRange tells whether "vmbr[0-3]" may mean the name.
func inRange(written, name string) bool {
	begin, rest, ok := strings.Cut(written, "[")
	_, end, ok2 := strings.Cut(rest, "]")
	return ok && ok2 && strings.HasPrefix(name, begin) && strings.HasSuffix(name, end)
}

// Values are the values of an option in all stanzas.
func (i Interface) Values(key string) []string {
	var out []string
	for _, s := range i.Stanzas {
		out = append(out, s.Values(key)...)
	}
	return out
}

// SetAuto adds the interface's own auto line, or takes its name out of every one.
func (c *Config) SetAuto(i Interface, auto bool) error {
	if auto {
		s, err := NewStanza("auto", i.Name)
		if err == nil {
			i.Files[0].InsertBefore(i.Stanzas[0], s)
		}
		return err
	}
	for _, p := range c.order {
		if key := p.stanza.Keyword(); key != "auto" && key != "allow-auto" {
			continue
		}
		args := p.stanza.Args()
		rest := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == i.Name })
		switch {
		case len(rest) == len(args):
		case len(rest) == 0:
			p.file.Remove(p.stanza)
		default:
			if err := p.stanza.SetArgs(rest...); err != nil {
				return err
			}
		}
	}
	return nil
}
