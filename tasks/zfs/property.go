package zfs

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
)

// Property is a value and where it comes from.
type Property struct {
	// Value with -p: sizes in bytes.
	Value string
	// Source is local, received, default, temporary, "inherited from NAME", none or
	// "-" (a property that is not set but is).
	Source string
}

// Properties are those of one pool or dataset, by name.
type Properties map[string]Property

// ParseProperties reads `get -Hp -o property,value,source`: three fields with tabs
// between.
func ParseProperties(text string) (Properties, error) {
	out := make(Properties)
	for _, line := range tasks.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) != 3 || f[0] == "" {
			return nil, fmt.Errorf("read properties: want a name, a value and a source, got %q", line)
		}
		out[f[0]] = Property{f[1], f[2]}
	}
	return out, nil
}

// Own tells whether the value was set here, or can only be what it is. One that
// comes from a dataset above changes with that one.
func (p Property) Own() bool { return !strings.HasPrefix(p.Source, "inherited") }

func (p Property) String() string {
	if p.Own() {
		return p.Value
	}
	return p.Value + " (" + p.Source + ")"
}

// Difference adds a change for each wanted property that differs, at
// PREFIX.NAME. One with the right value that is only inherited differs, too: it is
// wanted here, whatever becomes of the datasets above. Properties that cannot be
// changed any more have the effect replace.
func Difference(d *tasks.Diff, prefix string, have Properties, want map[string]string, known Table) {
	for _, name := range tasks.Keys(want) {
		kind := known.of(name)
		now, wanted := have[name], kind.canonical(want[name])
		now.Value = kind.canonical(now.Value)
		if now.Value == "-" && kind.text {
			now.Value = ""
		}
		if now.Value == wanted && now.Own() {
			continue
		}
		effect := tasks.EffectLive
		if kind.fixed {
			if now.Value == wanted {
				continue
			}
			effect = tasks.EffectReplace
		}
		d.Add(prefix+name, now.String(), wanted, effect)
	}
}

// Pairs are arguments NAME=VALUE for the wanted properties, sorted; all, or those
// that d names behind prefix.
func Pairs(want map[string]string, prefix string, d tasks.Diff, known Table) []string {
	var out []string
	for _, name := range tasks.Keys(want) {
		if d == nil || slices.ContainsFunc(d, func(c tasks.Change) bool { return c.Path == prefix+name && c.Effect == tasks.EffectLive }) {
			out = append(out, name+"="+known.of(name).argument(want[name]))
		}
	}
	return out
}
