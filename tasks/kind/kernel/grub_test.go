package kernel

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/dropin"
)

func TestGrub_editsKeepWhatIsNotTheirs(t *testing.T) {
	for _, tc := range []struct {
		name, old, want string
		add, drop       []string
	}{
		{"a comment and single quotes stay", "GRUB_CMDLINE_LINUX_DEFAULT='quiet' # hand\n", "GRUB_CMDLINE_LINUX_DEFAULT='quiet a' # hand\n", []string{"a"}, nil},
		{"without quotes it gets some", "  export GRUB_CMDLINE_LINUX_DEFAULT=quiet\r\n", "  export GRUB_CMDLINE_LINUX_DEFAULT=\"quiet a\"\r\n", []string{"a"}, nil},
		{"a reference stays", "GRUB_CMDLINE_LINUX=\"x\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX quiet\"\n", "GRUB_CMDLINE_LINUX=\"x\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX a\"\n", []string{"a"}, []string{"quiet"}},
		{"the last of two assignments counts", "GRUB_CMDLINE_LINUX_DEFAULT=\"a\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"\"\n", "GRUB_CMDLINE_LINUX_DEFAULT=\"a\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"a\"\n", []string{"a"}, nil},
		{"no assignment yet", "GRUB_TIMEOUT=5", "GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=\"a\"\n", []string{"a"}, nil},
		{"a word for all entries goes, too", "GRUB_CMDLINE_LINUX=\"quiet splash\"\n", "GRUB_CMDLINE_LINUX=\"splash\"\n", nil, []string{"quiet"}},
		{"nothing to do leaves odd blanks", "GRUB_CMDLINE_LINUX_DEFAULT=\" a   b \"\n", "GRUB_CMDLINE_LINUX_DEFAULT=\" a   b \"\n", []string{"a"}, []string{"c"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &grubDefaults{[]dropin.File{{Path: grubFile, Data: []byte(tc.old)}}}
			if _, err := g.edits(tc.add, func(w string) bool { return slices.Contains(tc.drop, w) }); err != nil {
				t.Fatal(err)
			}
			if got := string(g.files[0].Data); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestGrub_aLaterFileThatBeginsAnewGetsTheWord(t *testing.T) {
	g := &grubDefaults{[]dropin.File{
		{Path: grubFile, Data: []byte("GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n")},
		{Path: grubDir + "/50-cloud.cfg", Data: []byte("GRUB_CMDLINE_LINUX_DEFAULT=\"console=ttyS0\"\n")},
	}}
	edits, err := g.edits([]string{"a"}, func(string) bool { return false })
	if err != nil || len(edits) != 2 {
		t.Fatalf("%+v, %v", edits, err)
	}
	if words, _, err := g.words(); err != nil || strings.Join(words, " ") != "console=ttyS0 a" {
		t.Errorf("words %q, %v", words, err)
	}
}

// FuzzGrub: a word that was added is read back, one that was dropped is not, other lines
// stay byte for byte, and a second time changes nothing.
func FuzzGrub(f *testing.F) {
	f.Add("GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_TIMEOUT=5\n", "intel_iommu=on", "quiet")
	f.Add("GRUB_CMDLINE_LINUX='x' #\nGRUB_CMDLINE_LINUX_DEFAULT=$GRUB_CMDLINE_LINUX", "a", "x")
	f.Fuzz(func(t *testing.T, text, add, drop string) {
		if !cmdlineWord.MatchString(add) || !absentWord.MatchString(drop) || add == drop {
			return
		}
		g := &grubDefaults{[]dropin.File{{Path: grubFile, Data: []byte(text)}}}
		if _, _, err := g.words(); err != nil {
			return
		}
		gone := func(w string) bool { return w == drop }
		if _, err := g.edits([]string{add}, gone); err != nil {
			t.Fatalf("what was read before cannot be read any more: %v", err)
		}
		got := string(g.files[0].Data)
		words, _, err := g.words()
		if err != nil || !slices.Contains(words, add) || slices.Contains(words, drop) {
			t.Errorf("%q is now %q, words %q, %v", text, got, words, err)
		}
		for line := range strings.Lines(text) {
			if !grubLine.MatchString(strings.TrimRight(line, "\r\n")) && !strings.Contains(got, line) {
				t.Errorf("the line %q is gone from %q", line, got)
			}
		}
		if edits, err := g.edits([]string{add}, gone); err != nil || len(edits) > 0 {
			t.Errorf("a second time changes %v, %v", edits, err)
		}
	})
}

// FuzzSysctl: what was set is read back, and other lines stay byte for byte.
func FuzzSysctl(f *testing.F) {
	f.Add([]byte("vm.swappiness=1\n-net/ipv4/ip_forward = 0\n# hand"), "net.ipv4.ip_forward", "1")
	f.Fuzz(func(t *testing.T, old []byte, name, value string) {
		if !sysctlName.MatchString(name) || fold(value) == "" || strings.ContainsAny(value, "\r\n") {
			return
		}
		got, err := setSysctl(old, map[string]string{name: fold(value)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var last string
		for line := range strings.Lines(string(got)) {
			if n, v, ok := assignment(line); ok && n == canonical(name) {
				last = v
			}
		}
		if last != fold(value) {
			t.Errorf("%q with %s=%s is %q, which is read as %q", old, name, value, got, last)
		}
		for line := range strings.Lines(string(old)) {
			if n, _, ok := assignment(line); (!ok || n != canonical(name)) && !strings.Contains(string(got), strings.TrimRight(line, "\n")) {
				t.Errorf("the line %q is gone from %q", line, got)
			}
		}
	})
}
