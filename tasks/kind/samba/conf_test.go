package samba

import (
	"strings"
	"testing"
)

// The property: what was written for a share is read back, and nothing else with it.
func FuzzShare(f *testing.F) {
	f.Add("data", "/srv/data", "a # b ; c = d", "vfs objects", "acl_xattr")
	f.Add("Two Words$", "/x y", "[x]", "fruit:aapl", "yes")
	f.Fuzz(func(t *testing.T, name, path, text, option, value string) {
		s := &Spec{Shares: map[string]Share{name: {Path: path, Comment: text, Options: map[string]string{option: value}}}}
		if len(s.Validate()) > 0 {
			return
		}
		all := parse(s.text())
		if len(all) != 2 || all[1].name != name {
			t.Fatalf("%q was read as %+v", s.text(), all)
		}
		if d := shareDiff(name, s.Shares[name], all); len(d) > 0 {
			t.Fatalf("%q differs: %+v", s.text(), d)
		}
	})
}

// The property: the include is put at the end once, and every other line stays.
func FuzzInclude(f *testing.F) {
	f.Add("[global]\n\tworkgroup = X\n; comment")
	f.Add("include = /etc/samba/phoenix.conf\n[a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := withInclude(text)
		if placement(got) != "last line" || withInclude(got) != got {
			t.Fatalf("%q became %q", text, got)
		}
		rest := strings.TrimSuffix(got, includeLine+"\n")
		for line := range strings.Lines(text) {
			if !isInclude(strings.TrimSpace(line)) && !strings.Contains(rest, line) {
				t.Fatalf("%q lost %q: %q", text, line, got)
			}
		}
	})
}
