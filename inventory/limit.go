package inventory

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"phoenix/inventory/diag"
)

// Select returns the hosts that a limit names, in the order of the inventory. A
// limit is a list of patterns separated by commas or colons: a glob over names
// ("pve*"), "@GROUP" (a glob too), and either with "!" before it, which takes hosts
// away. When there are only exclusions they are taken from all hosts; the empty
// limit is all. A pattern that matches nothing, and a selection without hosts, are
// errors.
func (f *Fleet) Select(limit string) ([]*Host, error) {
	patterns := strings.FieldsFunc(limit, func(r rune) bool { return r == ',' || r == ':' || r == ' ' })
	included, excluded := make(map[string]bool), make(map[string]bool)
	onlyExclusions := true
	for _, p := range patterns {
		bare, not := strings.CutPrefix(p, "!")
		matched, err := f.match(bare)
		if err != nil {
			return nil, fmt.Errorf("select hosts by %q: %w", limit, err)
		}
		into := included
		if not {
			into = excluded
		} else {
			onlyExclusions = false
		}
		for _, name := range matched {
			into[name] = true
		}
	}
	var out []*Host
	for _, h := range f.Hosts {
		if (onlyExclusions || included[h.Name]) && !excluded[h.Name] {
			out = append(out, h)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("select hosts by %q: no host is left", limit)
	}
	return out, nil
}

// match lists the hosts of one pattern.
func (f *Fleet) match(pattern string) ([]string, error) {
	if group, isGroup := strings.CutPrefix(pattern, "@"); isGroup {
		return f.matchGroup(group)
	}
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
		return nil, fmt.Errorf("read pattern %q: not a glob", pattern)
	}
	var out, all []string
	for _, h := range f.Hosts {
		all = append(all, h.Name)
		if ok, _ := path.Match(pattern, h.Name); ok {
			out = append(out, h.Name)
		}
	}
	if len(out) == 0 && pattern != "all" {
		return nil, noMatch("host", pattern, all)
	}
	if len(out) == 0 {
		return all, nil
	}
	return out, nil
}

func (f *Fleet) matchGroup(pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
		return nil, fmt.Errorf("read pattern %q: not a glob", "@"+pattern)
	}
	var out, all []string
	known := false
	for _, g := range f.groups {
		all = append(all, g.name)
		if ok, _ := path.Match(pattern, g.name); !ok {
			continue
		}
		known = true
		for _, h := range f.Hosts {
			if slices.Contains(h.Groups, g.name) {
				out = append(out, h.Name)
			}
		}
	}
	switch {
	case !known:
		return nil, noMatch("group", pattern, all)
	case len(out) == 0:
		return nil, fmt.Errorf("find group %q: it has no hosts", pattern)
	}
	return out, nil
}

func noMatch(what, pattern string, all []string) error {
	if hint := diag.DidYouMean(pattern, all); hint != "" {
		return fmt.Errorf("find %s %q: there is none (%s)", what, pattern, hint)
	}
	return fmt.Errorf("find %s %q: there is none", what, pattern)
}
