package sim

import (
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// parse reads the words after the verb as Getopt::Long does for PVE::CLIHandler:
// options anywhere, one dash or two, unique beginnings, the last one wins.
func (p *pctCall) parse(words []string) error {
	p.args = map[string]string{}
	var rest []string
	var faults []string
	for i := 0; i < len(words); i++ {
		word := words[i]
		if word == "--" {
			rest = append(rest, words[i+1:]...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			rest = append(rest, word)
			continue
		}
		name, inline, hasInline := strings.Cut(strings.TrimPrefix(word[1:], "-"), "=")
		o, fault := p.verb.find(name)
		if fault != "" {
			faults = append(faults, fault)
			continue
		}
		value, took, fault := optionValue(o, name, inline, hasInline, words[i+1:])
		if fault != "" {
			faults = append(faults, fault)
			continue
		}
		i += took
		p.args[o.name] = value
	}
	if len(faults) > 0 {
		return p.usage("%s\n400 unable to parse option", strings.Join(faults, "\n"))
	}
	return p.place(rest)
}

// optionValue finds an option's value: after "=", or in the next word. A boolean
// needs none.
func optionValue(o option, name, inline string, hasInline bool, next []string) (value string, took int, fault string) {
	switch {
	case hasInline && (inline != "" || o.typ == "boolean"):
		return inline, 0, ""
	case o.typ == "boolean":
		if len(next) > 0 && !strings.HasPrefix(next[0], "-") {
			return next[0], 1, ""
		}
		return "1", 0, ""
	case hasInline || len(next) == 0:
		return "", 0, "Option " + name + " requires an argument"
	}
	return next[0], 1, ""
}

// find resolves an option's name or a unique beginning of it.
func (v pctVerb) find(name string) (option, string) {
	if o, ok := numberedOption(strings.ToLower(name)); ok && v.numbered() {
		return o, ""
	}
	var found []string
	var first option
	for _, o := range v.withNumbers(name) {
		if strings.EqualFold(o.name, name) {
			return o, ""
		}
		if name != "" && strings.HasPrefix(strings.ToLower(o.name), strings.ToLower(name)) {
			if len(found) == 0 {
				first = o
			}
			found = append(found, o.name)
		}
	}
	switch len(found) {
	case 0:
		return option{}, "Unknown option: " + name
	case 1:
		return first, ""
	}
	sort.Strings(found)
	return option{}, "Option " + name + " is ambiguous (" + strings.Join(found, ", ") + ")"
}

// withNumbers lists the verb's options and, when name may be the beginning of one,
// the numbered ones.
func (v pctVerb) withNumbers(name string) []option {
	list := slices.Clone(v.options)
	for _, name := range v.fixed { // arguments are options, too, but that does not give them
		if name != "extra-args" {
			list = append(list, textOption(strings.TrimPrefix(name, "?")))
		}
	}
	for _, base := range []string{"net", "mp", "dev", "unused"} {
		if !v.numbered() || name == "" || !strings.HasPrefix(base, strings.ToLower(strings.TrimRight(name, "0123456789"))) {
			continue
		}
		for n := range 256 {
			if o, ok := numberedOption(base + strconv.Itoa(n)); ok {
				list = append(list, o)
			}
		}
	}
	return list
}

// place gives the words that are no options their names.
func (p *pctCall) place(rest []string) error {
	for _, name := range p.verb.fixed {
		if name == "extra-args" {
			p.extra, rest = rest, nil
			break
		}
		name, optional := strings.CutPrefix(name, "?")
		if len(rest) == 0 {
			if optional {
				break
			}
			return p.usage("400 not enough arguments")
		}
		p.args[name], rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		return p.usage("400 too many arguments")
	}
	for name, value := range p.args {
		if o, fault := p.verb.find(name); fault == "" && o.name == name && o.typ == "boolean" {
			value = normalBoolean(value)
			if value != "0" && value != "1" {
				return p.usage("400 unable to parse boolean option")
			}
			p.args[name] = value
		}
	}
	return nil
}

// verify judges all arguments against the schema and reports all faults at once.
func (p *pctCall) verify() error {
	if err := p.readKeys(); err != nil {
		return err
	}
	faults := map[string]string{}
	code := 2
	for name, value := range p.args {
		fault := p.argument(name, value)
		if fault == "" {
			continue
		}
		faults[name] = fault
		if name == "timezone" {
			code = 255
		}
	}
	if len(faults) > 0 {
		return badParameters{code, faults}
	}
	if id, err := strconv.Atoi(p.args["vmid"]); err == nil {
		p.id = id
	}
	return nil
}

// argument judges one argument.
func (p *pctCall) argument(name, value string) string {
	if slices.Contains(p.verb.fixed, name) || slices.Contains(p.verb.fixed, "?"+name) {
		switch name {
		case "vmid", "newid", "target-vmid":
			return (&property{typ: "integer", format: formatVMID()}).check(p.m, value)
		case "snapname":
			return (&property{format: formatConfigID}).check(p.m, value)
		case "storage":
			return (&property{format: formatStorageID}).check(p.m, value)
		case "size":
			if _, ok := parseSize(strings.TrimPrefix(value, "+")); !ok {
				return "value does not match the regex pattern"
			}
		case "disk":
			return checkDisk(value)
		}
		return ""
	}
	o, fault := p.verb.find(name)
	if fault != "" {
		return fault
	}
	return o.check(p.m, value)
}

// checkDisk judges the name of a volume's key.
func checkDisk(value string) string {
	if o, ok := findOption(value); ok && (o.name == "rootfs" || strings.HasPrefix(o.name, "mp")) {
		return ""
	}
	names := []string{"rootfs"}
	for n := range 256 {
		names = append(names, "mp"+strconv.Itoa(n))
	}
	return "value '" + value + "' does not have a value in the enumeration '" + strings.Join(names, ", ") + "'"
}

// readKeys replaces the name of the file with public keys by its content.
func (p *pctCall) readKeys() error {
	file, ok := p.args["ssh-public-keys"]
	if !ok {
		return nil
	}
	data, err := os.ReadFile(p.m.path(file))
	if err != nil {
		return die(2, "can't open '%s' - No such file or directory", file)
	}
	p.args["ssh-public-keys"] = string(data)
	return nil
}
