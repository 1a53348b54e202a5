package fwfile

import "strings"

// Option returns the value of an option; the last line wins.
func (f *File) Option(key string) (value string, ok bool) {
	for _, l := range contents(f.all(Options, "")) {
		if k, v := cutOption(l); strings.EqualFold(k, key) {
			value, ok = v, true
		}
	}
	return value, ok
}

func cutOption(line string) (key, value string) {
	key, value, _ = strings.Cut(line, ":")
	return strings.TrimSpace(key), strings.TrimSpace(value)
}

// SetOption sets an option in its place, or adds it.
func (f *File) SetOption(key, value string) {
	is := func(l string) bool { k, _ := cutOption(l); return strings.EqualFold(k, key) }
	f.put(Options, "", is, []string{key + ": " + value}, false)
}

// put replaces lines in all sections of a kind; the new ones go to the first.
func (f *File) put(k Kind, name string, drop func(string) bool, lines []string, top bool) {
	f.need(k, name)
	for i, s := range f.all(k, name) {
		if i > 0 {
			lines = nil
		}
		s.replace(drop, lines, top)
	}
}

// Entry is one address with a comment: of a set, or what an alias stands for.
type Entry struct {
	// Address is an address, a network or an alias; in a set "!" before it excludes.
	Address string
	// Comment behind it; empty when there is none.
	Comment string
}

func parseEntry(line string) Entry {
	address, comment, _ := strings.Cut(line, "#")
	return Entry{strings.TrimSpace(address), strings.TrimSpace(comment)}
}

func (e Entry) String() string {
	if e.Comment == "" {
		return e.Address
	}
	return e.Address + " # " + e.Comment
}

// Alias returns what a name stands for. Names are compared without case.
func (f *File) Alias(name string) (Entry, bool) {
	for _, l := range contents(f.all(Aliases, "")) {
		if strings.EqualFold(aliasName(l), name) {
			return parseEntry(strings.TrimSpace(l)[len(name):]), true
		}
	}
	return Entry{}, false
}

func aliasName(line string) string {
	if words := strings.Fields(line); len(words) > 0 {
		return words[0]
	}
	return ""
}

// SetAlias sets an alias in its place, or adds it.
func (f *File) SetAlias(name string, e Entry) {
	is := func(l string) bool { return strings.EqualFold(aliasName(l), name) }
	f.put(Aliases, "", is, []string{name + " " + e.String()}, false)
}

// IPSet returns the entries of a set, and whether there is one of that name.
func (f *File) IPSet(name string) ([]Entry, bool) {
	sections := f.all(IPSets, name)
	var out []Entry
	for _, l := range contents(sections) {
		out = append(out, parseEntry(l))
	}
	return out, len(sections) > 0
}

// SetIPSet replaces all entries of a set.
func (f *File) SetIPSet(name string, entries []Entry) {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = e.String()
	}
	f.put(IPSets, name, func(string) bool { return true }, lines, false)
}

// Group returns the rules of a security group, and whether there is one of that
// name.
func (f *File) Group(name string) ([]Rule, bool) {
	sections := f.all(Groups, name)
	return rules(contents(sections)), len(sections) > 0
}

// SetGroup replaces all rules of a security group.
func (f *File) SetGroup(name string, rr []Rule) {
	f.put(Groups, name, func(string) bool { return true }, written(rr), false)
}

// Rules are the rules of the file itself, in order.
func (f *File) Rules() []Rule { return rules(contents(f.all(Rules, ""))) }

// SetRules puts rules before all others and takes away those that drop names. The
// rest keeps its order.
func (f *File) SetRules(drop func(Rule) bool, rr []Rule) {
	f.put(Rules, "", func(l string) bool { return drop(read(l)) }, written(rr), true)
}

func rules(lines []string) []Rule {
	var out []Rule
	for _, l := range lines {
		out = append(out, read(l))
	}
	return out
}

func written(rr []Rule) []string {
	lines := make([]string, len(rr))
	for i, r := range rr {
		lines[i] = r.String()
	}
	return lines
}
