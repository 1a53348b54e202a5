package sim

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// property is one key of a property string: "name=eth0,bridge=vmbr0".
type property struct {
	name     string
	typ      string // "string" when empty
	required bool
	byPlace  bool // the key may be left out: it is the default key
	min, max float64
	bounded  bool // min and max hold
	minOnly  bool // min holds
	enum     []string
	pattern  string // compiled only when a value is judged
	format   format
}

// propSchema describes a property string, as PVE::JSONSchema does.
type propSchema []property

// format checks a value and returns Proxmox's complaint without its final line
// break, or "".
type format func(m *Machine, value string) string

func (s propSchema) find(name string) *property {
	for i := range s {
		if s[i].name == name {
			return &s[i]
		}
	}
	return nil
}

func (s propSchema) defaultKey() string {
	for i := range s {
		if s[i].byPlace {
			return s[i].name
		}
	}
	return ""
}

// split parses text without judging the values.
func (s propSchema) split(text string) (map[string]string, string) {
	got := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, hasKey := strings.Cut(part, "=")
		switch {
		case !hasKey:
			key, value = s.defaultKey(), part
			if key == "" {
				return nil, "value without key, but schema does not define a default key"
			}
		case key == "" || value == "":
			return nil, "missing key in comma-separated list property"
		}
		if _, twice := got[key]; twice {
			return nil, "duplicate key in comma-separated list property: " + key
		}
		if p := s.find(key); p != nil && p.typ == "boolean" {
			value = normalBoolean(value)
		}
		got[key] = value
	}
	return got, ""
}

// parse reads text; path prefixes the keys in the complaint ("net0").
func (s propSchema) parse(m *Machine, path, text string) (map[string]string, string) {
	got, complaint := s.split(text)
	if complaint != "" {
		return nil, complaint
	}
	faults := map[string]string{}
	for key, value := range got {
		p := s.find(key)
		if p == nil {
			faults[key] = "property is not defined in schema and the schema does not allow additional properties"
			continue
		}
		if fault := p.check(m, value); fault != "" {
			faults[key] = fault
		}
	}
	for i := range s {
		if _, there := got[s[i].name]; s[i].required && !there {
			faults[s[i].name] = "property is missing and it is not optional"
		}
	}
	if len(faults) == 0 {
		return got, ""
	}
	return nil, joinFaults("format error", path+".", faults)
}

// joinFaults prints faults in the order of their keys, one line each.
func joinFaults(head, prefix string, faults map[string]string) string {
	var b strings.Builder
	b.WriteString(head)
	for _, key := range sortedKeys(faults) {
		b.WriteString("\n" + prefix + key + ": " + faults[key])
	}
	return b.String()
}

// check returns the complaint about one value, or "".
func (p *property) check(m *Machine, value string) string {
	if fault := checkType(p.typ, value); fault != "" {
		return fault
	}
	if p.format != nil {
		if fault := p.format(m, value); fault != "" {
			return "invalid format - " + fault + "\n"
		}
		return ""
	}
	if p.bounded || p.minOnly {
		if fault := checkRange(value, p.min, p.max, p.bounded); fault != "" {
			return fault
		}
	}
	if p.pattern != "" && !regexp.MustCompile(p.pattern).MatchString(value) {
		return "value does not match the regex pattern"
	}
	if p.enum != nil && !slices.Contains(p.enum, value) {
		return fmt.Sprintf("value '%s' does not have a value in the enumeration '%s'", value, strings.Join(p.enum, ", "))
	}
	return ""
}

// checkRange judges a number that checkType has accepted.
func checkRange(value string, lowest, highest float64, hasMax bool) string {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Sprintf("type check ('number') failed - got '%s'", value)
	}
	if n < lowest {
		return "value must have a minimum value of " + strconv.FormatFloat(lowest, 'f', -1, 64)
	}
	if hasMax && n > highest {
		return "value must have a maximum value of " + strconv.FormatFloat(highest, 'f', -1, 64)
	}
	return ""
}

// checkType judges a value against one of the schema's types.
func checkType(typ, value string) string {
	ok := true
	switch typ {
	case "boolean":
		v := normalBoolean(value)
		ok = v == "0" || v == "1"
	case "integer":
		ok = matchInteger(value)
	case "number":
		_, err := strconv.ParseFloat(value, 64)
		ok = err == nil
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("type check ('%s') failed - got '%s'", typ, value)
}

func matchInteger(s string) bool {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// normalBoolean turns the words Proxmox takes for a boolean into 1 and 0 and leaves
// anything else alone.
func normalBoolean(s string) string {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return "1"
	case "0", "off", "no", "false":
		return "0"
	}
	return s
}

// print writes values the way Proxmox does: the default key first and without its
// name, then the required keys, then the others, each group sorted.
func (s propSchema) print(values map[string]string) string {
	var parts, required, rest []string
	for _, key := range sortedKeys(values) {
		switch p := s.find(key); {
		case p != nil && p.byPlace:
			parts = append(parts, values[key])
		case p != nil && p.required:
			required = append(required, key+"="+values[key])
		default:
			rest = append(rest, key+"="+values[key])
		}
	}
	parts = slices.Concat(parts, required, rest)
	return strings.Join(parts, ",")
}
