package pve

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Config is the configuration of one container, /etc/pve/lxc/CTID.conf, with every
// byte kept: Bytes of a Config that was not edited is what was parsed. The grammar
// is the one of PVE::LXC::Config::parse_pct_config (pve-container 5.3.5).
type Config struct {
	head     *Section
	sections []*Section
}

// Section is a part of a Config: the live head, what is staged for the next start
// ("pve:pending"), or a snapshot. The zero value is an empty section, and so is a
// nil one.
type Section struct {
	// Name is empty for the head.
	Name  string
	lines []string // with their line ends; the header line, if any, comes first
}

// PendingName is the name of the section that waits for the next start.
const PendingName = "pve:pending"

// RawOption is a line "lxc.KEY: VALUE" that goes to LXC as it is.
type RawOption struct{ Key, Value string }

// String is the form in which Proxmox writes the line.
func (r RawOption) String() string { return r.Key + ": " + r.Value }

var (
	sectionLine = regexp.MustCompile(`(?i)^\[(pve:pending|[a-z][a-z0-9_\-]+)\]\s*$`)
	rawLine     = regexp.MustCompile(`^(lxc\.[a-zA-Z0-9_\-.]+)\s*[:=]\s*(.*?)\s*$`)
	optionLine  = regexp.MustCompile(`^([a-z][a-z_]*\d*):\s*(.+?)\s*$`)
)

// ParseConfig splits a container's configuration into its sections. It never fails:
// lines that fit no rule are kept, and mean nothing.
func ParseConfig(data []byte) *Config {
	c := &Config{head: &Section{}}
	cur := c.head
	for _, raw := range bytes.SplitAfter(data, []byte("\n")) {
		if len(raw) == 0 {
			continue
		}
		l := string(raw)
		if m := sectionLine.FindStringSubmatch(strings.TrimRight(l, "\r\n")); m != nil {
			cur = &Section{Name: m[1]}
			if strings.EqualFold(m[1], PendingName) {
				cur.Name = PendingName
			}
			c.sections = append(c.sections, cur)
		}
		cur.lines = append(cur.lines, l)
	}
	return c
}

// Bytes is the content of the file.
func (c *Config) Bytes() []byte {
	var b bytes.Buffer
	for _, s := range append([]*Section{c.head}, c.sections...) {
		for _, l := range s.lines {
			b.WriteString(l)
		}
	}
	return b.Bytes()
}

// Head is the section that holds now.
func (c *Config) Head() *Section { return c.head }

// Pending is the section that waits for the next start; it is empty when nothing
// waits.
func (c *Config) Pending() *Section { return c.section(PendingName) }

// Snapshot is the section of a snapshot; it is empty when there is none of that name.
func (c *Config) Snapshot(name string) *Section { return c.section(name) }

// Snapshots lists the names of the snapshots in the order of the file.
func (c *Config) Snapshots() []string {
	var names []string
	for _, s := range c.sections {
		if s.Name != PendingName && !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

func (c *Config) section(name string) *Section {
	for _, s := range c.sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Get returns the value of an option, in which the last of several lines wins, as
// it does for Proxmox.
func (s *Section) Get(key string) (string, bool) {
	value, found := "", false
	for _, o := range s.options() {
		if o.Key == key {
			value, found = o.Value, true
		}
	}
	return value, found
}

// Keys lists the options of the section, sorted, each once. Raw options, the
// description and, in the pending section, "delete" are not among them.
func (s *Section) Keys() []string {
	var keys []string
	for _, o := range s.options() {
		if o.Key != "delete" || s.Name != PendingName {
			keys = append(keys, o.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Indexed returns the options PREFIX0, PREFIX1, … by their number.
func (s *Section) Indexed(prefix string) map[int]string {
	out := make(map[int]string)
	for _, o := range s.options() {
		digits, ok := strings.CutPrefix(o.Key, prefix)
		if n, err := strconv.Atoi(digits); ok && err == nil {
			out[n] = o.Value
		}
	}
	return out
}

// Raw lists the raw options in the order of the file.
func (s *Section) Raw() []RawOption {
	if s == nil {
		return nil
	}
	var out []RawOption
	for _, l := range s.lines {
		if m := rawLine.FindStringSubmatch(strings.TrimRight(l, "\r\n")); m != nil {
			out = append(out, RawOption{m[1], m[2]})
		}
	}
	return out
}

// Description is the text of the comment lines, decoded, without the newline that
// Proxmox puts at its end.
func (s *Section) Description() string {
	if s == nil {
		return ""
	}
	var b strings.Builder
	for _, l := range s.lines {
		l = strings.TrimRight(l, "\r\n")
		text, comment := strings.CutPrefix(l, "#")
		if strings.HasPrefix(l, "description:") {
			if m := optionLine.FindStringSubmatch(l); m != nil {
				text, comment = m[2], true
			}
		}
		if comment {
			b.WriteString(unescape(text) + "\n")
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// Deletes lists the options that the pending section takes away at the next start.
func (s *Section) Deletes() []string {
	v, _ := s.Get("delete")
	var out []string
	for _, k := range strings.FieldsFunc(v, isListSeparator) {
		out = append(out, strings.TrimPrefix(k, "!"))
	}
	return out
}

// With returns the options of s as they will be once the pending section next has
// been applied. Raw options and comments stay as they are.
func (s *Section) With(next *Section) *Section {
	out := &Section{Name: s.Name, lines: slices.Clone(s.lines)}
	gone := next.Deletes()
	out.lines = slices.DeleteFunc(out.lines, func(l string) bool {
		m := optionLine.FindStringSubmatch(strings.TrimRight(l, "\r\n"))
		return m != nil && slices.Contains(gone, m[1])
	})
	for _, k := range next.Keys() {
		v, _ := next.Get(k)
		out.lines = append(out.lines, k+": "+v+"\n")
	}
	return out
}

// SetRaw replaces all raw options of the section and keeps every other byte. It
// refuses what would not come back as exactly one raw option each.
func (s *Section) SetRaw(options []RawOption) error {
	fresh := make([]string, 0, len(options))
	for _, o := range options {
		l := o.String()
		m := rawLine.FindStringSubmatch(l)
		if HasControl(l) || m == nil || m[1] != o.Key || m[2] != o.Value {
			return fmt.Errorf("write raw option %q: not a line of the form lxc.KEY: VALUE", l)
		}
		fresh = append(fresh, l+"\n")
	}
	s.lines = slices.DeleteFunc(s.lines, func(l string) bool {
		return rawLine.MatchString(strings.TrimRight(l, "\r\n"))
	})
	end := len(s.lines) // before the empty lines that separate the next section
	for end > 0 && strings.TrimSpace(s.lines[end-1]) == "" {
		end--
	}
	if end > 0 && len(fresh) > 0 && !strings.HasSuffix(s.lines[end-1], "\n") {
		s.lines[end-1] += "\n"
	}
	s.lines = slices.Insert(s.lines, end, fresh...)
	return nil
}

// Replace gives an option of the section another value and keeps every other byte. It
// refuses one that the section does not have, and a value that would not come back.
func (s *Section) Replace(key, value string) error {
	line := key + ": " + value
	m := optionLine.FindStringSubmatch(line)
	if HasControl(line) || m == nil || m[1] != key || m[2] != value {
		return fmt.Errorf("write option %q: not a line of the form KEY: VALUE", line)
	}
	for i := len(s.lines) - 1; i >= 0; i-- { // the last of several holds
		if m := optionLine.FindStringSubmatch(strings.TrimRight(s.lines[i], "\r\n")); m != nil && m[1] == key {
			s.lines[i] = line + "\n"
			return nil
		}
	}
	return fmt.Errorf("write option %q: there is none of that name", line)
}

// options lists the lines "key: value".
func (s *Section) options() []RawOption {
	if s == nil {
		return nil
	}
	var out []RawOption
	for _, l := range s.lines {
		if m := optionLine.FindStringSubmatch(strings.TrimRight(l, "\r\n")); m != nil {
			out = append(out, RawOption{m[1], m[2]})
		}
	}
	return out
}

// unescape undoes the percent encoding of comments; a percent sign without two
// hexadecimal digits stays, as in Perl's uri_unescape.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func isListSeparator(r rune) bool { return strings.ContainsRune(" ,;\t", r) }

// ParseRawOption reads "lxc.KEY: VALUE" or "lxc.KEY = VALUE".
func ParseRawOption(line string) (RawOption, error) {
	m := rawLine.FindStringSubmatch(line)
	if m == nil || HasControl(line) {
		return RawOption{}, fmt.Errorf("read raw option %q: want lxc.KEY: VALUE", line)
	}
	return RawOption{m[1], m[2]}, nil
}

// Values returns all options of the section by name, and its description under
// "description".
func (s *Section) Values() map[string]string {
	out := make(map[string]string)
	for _, o := range s.options() {
		out[o.Key] = o.Value
	}
	delete(out, "description")
	if d := s.Description(); d != "" {
		out["description"] = d
	}
	return out
}
