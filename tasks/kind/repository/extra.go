package repository

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptsources"
)

// extra is one of the sources that the spec names, with the host's release filled in.
type extra struct {
	name string
	want aptsources.Stanza
}

func (t *task) extra(name string, m *machine) *extra {
	s := t.spec.ExtraSources[name]
	want := aptsources.Stanza{
		Types: s.Types, URIs: s.URIs, Components: s.Components, Architectures: s.Architectures,
		SignedBy: aptsources.Key(s.SignedBy), Disabled: s.Enabled != nil && !*s.Enabled,
	}
	if len(want.Types) == 0 {
		want.Types = []string{"deb"}
	}
	for _, suite := range s.Suites {
		if rest, ok := strings.CutPrefix(suite, "release"); ok && (rest == "" || rest[0] == '-' || rest[0] == '/') {
			suite = m.codename + rest
		}
		want.Suites = append(want.Suites, suite)
	}
	return &extra{name, want}
}

func (x *extra) path() string { return "extra_sources." + x.name }

// owns tells whether a change is one of this source.
func (x *extra) owns(path string) bool {
	return path == x.path() || strings.HasPrefix(path, x.path()+".")
}

func (x *extra) file() string { return aptsources.Dir + "/" + x.name + ".sources" }

// property is one field of the source's own stanza.
type property struct {
	key, field string
	// from and to are canonical; value is what is written.
	from, to, value string
}

// properties compares the own stanza. What the spec leaves out is not managed.
func (x *extra) properties(e aptsources.Entry) []property {
	list := func(key, field string, from, to []string) property {
		return property{key, field, joined(unique(slices.Clone(from))), joined(unique(slices.Clone(to))), joined(to)}
	}
	out := []property{
		list("types", "Types", e.Types, x.want.Types), list("uris", "URIs", e.URIs, x.want.URIs),
		list("suites", "Suites", e.Suites, x.want.Suites), list("components", "Components", e.Components, x.want.Components),
	}
	if len(x.want.Architectures) > 0 {
		out = append(out, list("architectures", "Architectures", e.Architectures, x.want.Architectures))
	}
	if x.want.SignedBy != "" {
		out = append(out, property{"signed_by", "Signed-By", shownKey(e.SignedBy), shownKey(x.want.SignedBy), x.want.SignedBy})
	}
	value := map[bool]string{true: "yes", false: "no"}[!x.want.Disabled]
	return append(out, property{"enabled", "Enabled", strconv.FormatBool(e.Enabled), strconv.FormatBool(!x.want.Disabled), value})
}

// shownKey is a path as it is and a key as its fingerprint of the text.
func shownKey(key string) string {
	if strings.Contains(key, "\n") {
		return fmt.Sprintf("a key, sha256:%x", sha256.Sum256([]byte(key)))[:len("a key, sha256:")+12]
	}
	return key
}

// compare adds what differs: single properties of the source's own file, or all of it
// when no file names the archive.
func (x *extra) compare(m *machine, d *tasks.Diff) error {
	if f := m.file(x.file()); len(f.Entries) > 0 {
		differs := len(*d)
		for _, p := range x.properties(f.Entries[0]) {
			d.Add(x.path()+"."+p.key, p.from, p.to, tasks.EffectLive)
		}
		if len(*d) == differs && !x.want.Disabled {
			x.compareLists(m, d)
		}
		return nil
	}
	where, err := x.elsewhere(m)
	switch {
	case err != nil:
		return err
	case x.want.Disabled:
		d.Add(x.path()+".enabled", strconv.FormatBool(len(where) > 0), "false", tasks.EffectLive)
	case len(where) == 0:
		d.Add(x.path(), "", joined([]string{joined(x.want.Types), joined(x.want.URIs), joined(x.want.Suites), joined(x.want.Components)}), tasks.EffectLive)
	default:
		x.compareLists(m, d)
	}
	return nil
}

// compareLists adds the archives that are enabled and were never fetched.
func (x *extra) compareLists(m *machine, d *tasks.Diff) {
	for _, suite := range x.want.Suites {
		if !slices.ContainsFunc(x.want.URIs, func(u string) bool { return m.fetched(u, suite) }) {
			d.Add(x.path(), suite+" is not fetched", suite+" is fetched", tasks.EffectLive)
			return
		}
	}
}

// place is an entry of a file.
type place struct {
	file  *aptsources.File
	entry int
}

// elsewhere finds the enabled entries of other files that name the archive: none, or
// all of it. What is named in parts can be neither written, since apt takes no archive
// twice with different keys, nor left.
func (x *extra) elsewhere(m *machine) ([]place, error) {
	var where []place
	missing := ""
	for _, one := range x.parts() {
		found := false
		m.each(func(f *aptsources.File, i int, e aptsources.Entry) {
			if e.Has(one[0], one[1], one[2], one[3]) {
				found = true
				if p := (place{f, i}); !slices.Contains(where, p) {
					where = append(where, p)
				}
			}
		})
		if !found {
			missing = strings.TrimSpace(strings.Join(one[:], " "))
		}
	}
	if len(where) > 0 && missing != "" && !x.want.Disabled {
		return nil, fmt.Errorf("compare extra source %s: %s has a part of it, %q is missing (take that entry out, or leave here what is there)",
			x.name, where[0].file.At(where[0].entry), missing)
	}
	return where, nil
}

// parts are all lines that the source stands for: type, address, suite, component.
func (x *extra) parts() [][4]string {
	components := x.want.Components
	if len(components) == 0 {
		components = []string{""}
	}
	var out [][4]string
	for _, typ := range x.want.Types {
		for _, uri := range x.want.URIs {
			for _, suite := range x.want.Suites {
				for _, c := range components {
					out = append(out, [4]string{typ, uri, suite, c})
				}
			}
		}
	}
	return out
}

// mend changes the files as far as d says.
func (x *extra) mend(m *machine, d tasks.Diff) error {
	f := m.file(x.file())
	if len(f.Entries) > 0 {
		for _, p := range x.properties(f.Entries[0]) {
			if d.Has(x.path() + "." + p.key) {
				f.Set(0, p.field, p.value)
			}
		}
		return nil
	}
	where, err := x.elsewhere(m)
	if err != nil {
		return err
	}
	if d.Has(x.path() + ".enabled") {
		for _, p := range where {
			if !x.all(p.file.Entries[p.entry]) {
				return fmt.Errorf("switch off extra source %s: %s has other archives too (take it out there by hand)", x.name, p.file.At(p.entry))
			}
			p.file.Enable(p.entry, false)
		}
	}
	if d.Has(x.path()) && len(where) == 0 {
		f.Append(x.want)
	}
	return nil
}

// all tells whether an entry names nothing but this source.
func (x *extra) all(e aptsources.Entry) bool {
	within := func(have, want []string) bool {
		return !slices.ContainsFunc(have, func(w string) bool { return !slices.Contains(want, w) })
	}
	uris := !slices.ContainsFunc(e.URIs, func(u string) bool {
		return !slices.ContainsFunc(x.want.URIs, func(w string) bool { return aptsources.SameURI(u, w) })
	})
	return uris && within(e.Types, x.want.Types) && within(e.Suites, x.want.Suites) && within(e.Components, x.want.Components)
}

// keyring wants the file that a path names: apt would take nothing from the archive.
func (x *extra) keyring(h tasks.Host) error {
	if !strings.HasPrefix(x.want.SignedBy, "/") || x.want.Disabled {
		return nil
	}
	if _, err := h.Stat(x.want.SignedBy); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("find the key of extra source %s: there is no %s (put it there with files, or give the key itself in signed_by)", x.name, x.want.SignedBy)
	} else if err != nil {
		return err
	}
	return nil
}
