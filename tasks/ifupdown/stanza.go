package ifupdown

import (
	"fmt"
	"slices"
	"strings"
)

// Stanza is a line that begins with a keyword, and the lines up to the next one.
type Stanza struct {
	head line
	body []line
}

// NewStanza makes a stanza of one line, such as "auto vmbr0".
func NewStanza(words ...string) (*Stanza, error) {
	l, err := write("", words[0], strings.Join(words[1:], " "))
	if err != nil {
		return nil, err
	}
	return &Stanza{head: l}, nil
}

func (s *Stanza) lines() []line { return append([]line{s.head}, s.body...) }

// Text is the stanza without the blank lines behind it.
func (s *Stanza) Text() string {
	var b strings.Builder
	for _, l := range s.lines()[:s.end()+1] {
		b.WriteString(l.raw)
	}
	return strings.TrimRight(b.String(), blanks)
}

// Keyword is the stanza's first word: "iface", "auto", "source".
func (s *Stanza) Keyword() string { return s.head.key }

// Args are the words after the keyword.
func (s *Stanza) Args() []string { return strings.Fields(s.head.value) }

// arg is one word after the keyword, or "".
func (s *Stanza) arg(i int) string {
	if args := s.Args(); i < len(args) {
		return args[i]
	}
	return ""
}

// Name is the interface of an iface stanza.
func (s *Stanza) Name() string { return s.arg(0) }

// Family is "inet", "inet6", or "" where the stanza leaves it open.
func (s *Stanza) Family() string { return s.arg(1) }

// Method is "static", "manual", "dhcp" and the like, or "".
func (s *Stanza) Method() string { return s.arg(2) }

// folded is a name as ifupdown2 compares it: with dashes.
func folded(key string) string { return strings.ReplaceAll(key, "_", "-") }

// Values are the values of all options of that name, in order.
func (s *Stanza) Values(key string) []string {
	var out []string
	for _, l := range s.body {
		if l.key != "" && folded(l.key) == key {
			out = append(out, strings.ReplaceAll(l.value, "$IFACE", s.Name()))
		}
	}
	return out
}

// Has tells whether an option's name begins with prefix.
func (s *Stanza) Has(prefix string) bool {
	return slices.ContainsFunc(s.body, func(l line) bool { return strings.HasPrefix(folded(l.key), prefix) })
}

// end is where the stanza's own lines end: behind the last option and the comment
// that follows it at once, where Proxmox keeps the comment of an interface.
func (s *Stanza) end() int {
	end := s.options()
	for end < len(s.body) {
		if _, is := s.body[end].comment(); !is {
			break
		}
		end++
	}
	return end
}

// options is where the last option ends.
func (s *Stanza) options() int {
	end := 0
	for i, l := range s.body {
		if l.key != "" {
			end = i + 1
		}
	}
	return end
}

// Comment is the text of the comment lines that follow the last option at once.
func (s *Stanza) Comment() string {
	var out []string
	for _, l := range s.body[s.options():s.end()] {
		text, _ := l.comment()
		out = append(out, strings.TrimLeft(text, " \t"))
	}
	return strings.Join(out, "\n")
}

// SetComment replaces that comment. Each line of the text becomes one.
func (s *Stanza) SetComment(text string) error {
	var added []line
	for _, part := range strings.Split(text, "\n") {
		if err := Printable(part); err != nil {
			return fmt.Errorf("write comment of %s: %w", s.Name(), err)
		}
		added = append(added, line{raw: "#" + part + "\n"})
	}
	from, to := s.options(), s.end()
	s.endLine()
	s.body = slices.Concat(s.body[:from], added, s.body[to:])
	return nil
}

// SetMethod changes the method, and keeps the rest of the line.
func (s *Stanza) SetMethod(method string) error {
	family := s.Family()
	if family == "" {
		return nil // its addresses are static to ifupdown2
	}
	l, err := write("", s.head.key, s.Name()+" "+family+" "+method)
	if err != nil {
		return err
	}
	s.head = l
	return nil
}

// SetArgs replaces the words after the keyword.
func (s *Stanza) SetArgs(args ...string) error {
	l, err := write("", s.head.key, strings.Join(args, " "))
	if err != nil {
		return err
	}
	s.head = l
	return nil
}

// Set gives an option these values, one line each, and no others. The first is
// written where the option was; an option that is new comes behind the last.
func (s *Stanza) Set(key string, values ...string) error {
	return s.Replace(key, func(string) bool { return true }, values...)
}

// Replace takes out the lines of an option whose value is chosen and writes others
// in their place.
func (s *Stanza) Replace(key string, chosen func(value string) bool, values ...string) error {
	s.endLine()
	at, indent, name := -1, s.indent(), key
	var rest []line
	for _, l := range s.body {
		if l.key == "" || folded(l.key) != key || !chosen(l.value) {
			rest = append(rest, l)
		} else if at < 0 {
			at, indent, name = len(rest), indentOf(l), l.key
		}
	}
	if at < 0 {
		at = s.options()
	}
	var added []line
	for _, v := range values {
		l, err := write(indent, name, v)
		if err != nil {
			return fmt.Errorf("write %s of %s: %w", key, s.Name(), err)
		}
		added = append(added, l)
	}
	s.body = slices.Concat(rest[:at], added, rest[at:])
	return nil
}

// indent is that of the stanza's first option; Proxmox writes a tab.
func (s *Stanza) indent() string {
	for _, l := range s.body {
		if l.key != "" {
			return indentOf(l)
		}
	}
	return "\t"
}

func indentOf(l line) string { return l.raw[:len(l.raw)-len(strings.TrimLeft(l.raw, " \t"))] }

// endLine ends the stanza's last line, where the file stops without a line break.
func (s *Stanza) endLine() {
	if n := len(s.body); n > 0 {
		s.body[n-1] = ended(s.body[n-1])
		return
	}
	s.head = ended(s.head)
}

// write makes the line of an option, or refuses what would not come back as that.
func write(indent, key, value string) (line, error) {
	if err := Printable(value); err != nil {
		return line{}, err
	}
	l := newLine(indent + key + " " + value + "\n")
	if l.key != key || l.value != value || value == "" {
		return line{}, fmt.Errorf("%q cannot be the value of %s", value, key)
	}
	return l, nil
}

// Printable refuses text that would not stay on one line of an interfaces file, or
// that ifupdown2 reads as something else: line breaks and other control characters,
// backslashes, and what its template engine expands.
func Printable(text string) error {
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }); i >= 0 {
		return fmt.Errorf("%q has the character %q", text, text[i])
	}
	for _, s := range []string{"${", "<%"} {
		if strings.Contains(text, s) {
			return fmt.Errorf("%q has %s, which begins a template", text, s)
		}
	}
	return nil
}
