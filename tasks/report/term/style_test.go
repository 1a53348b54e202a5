package term

import (
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
)

func env(pairs ...string) func(string) string {
	m := make(map[string]string)
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		m[name] = value
	}
	return func(name string) string { return m[name] }
}

func TestDecideColor(t *testing.T) {
	for _, c := range []struct {
		name     string
		color    ColorMode
		env      []string
		terminal bool
		want     bool
	}{
		{"a terminal has colour", "", nil, true, true},
		{"a pipe has none", ColorAuto, nil, false, false},
		{"NO_COLOR takes it away", "", []string{"NO_COLOR=1"}, true, false},
		{"NO_COLOR=0 takes it away too, as any value does", "", []string{"NO_COLOR=0"}, true, false},
		{"an empty NO_COLOR does nothing", "", []string{"NO_COLOR="}, true, true},
		{"CLICOLOR=0 takes it away", "", []string{"CLICOLOR=0"}, true, false},
		{"CLICOLOR=1 gives a pipe none", "", []string{"CLICOLOR=1"}, false, false},
		{"CLICOLOR_FORCE gives it to a pipe", "", []string{"CLICOLOR_FORCE=1"}, false, true},
		{"CLICOLOR_FORCE=0 does nothing", "", []string{"CLICOLOR_FORCE=0"}, false, false},
		{"FORCE_COLOR gives it to a pipe", "", []string{"FORCE_COLOR=1"}, false, true},
		{"FORCE_COLOR beats CLICOLOR=0", "", []string{"FORCE_COLOR=1", "CLICOLOR=0"}, true, true},
		{"NO_COLOR beats CLICOLOR_FORCE", "", []string{"NO_COLOR=1", "CLICOLOR_FORCE=1"}, true, false},
		{"a dumb terminal has none", "", []string{"TERM=dumb"}, true, false},
		{"a dumb terminal can be forced", "", []string{"TERM=dumb", "CLICOLOR_FORCE=1"}, true, true},
		{"--color always beats all", ColorAlways, []string{"NO_COLOR=1", "TERM=dumb"}, false, true},
		{"--color never beats all", ColorNever, []string{"CLICOLOR_FORCE=1"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Decide(Input{Color: c.color, Getenv: env(c.env...), Terminal: c.terminal}).Color; got != c.want {
				t.Errorf("colour %v, want %v", got, c.want)
			}
		})
	}
}

func TestDecideLiveAndUnicode(t *testing.T) {
	for _, c := range []struct {
		name          string
		env           []string
		terminal      bool
		live, unicode bool
	}{
		{"a terminal is live", []string{"TERM=xterm"}, true, true, false},
		{"NO_COLOR does not stop it", []string{"NO_COLOR=1", "LANG=de_DE.UTF-8"}, true, true, true},
		{"a dumb one is not", []string{"TERM=dumb"}, true, false, false},
		{"a pipe is not", []string{"LANG=C.utf8"}, false, false, true},
		{"LC_ALL beats LANG", []string{"LC_ALL=C", "LANG=en_US.UTF-8"}, true, true, false},
		{"LC_CTYPE beats LANG", []string{"LC_CTYPE=en_US.UTF-8", "LANG=C"}, true, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Decide(Input{Color: ColorNever, Getenv: env(c.env...), Terminal: c.terminal})
			if want := (Style{Live: c.live, Unicode: c.unicode}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain text stays", "hello, world", "hello, world"},
		{"letters of all scripts stay", "Größe 大きさ 🚀", "Größe 大きさ 🚀"},
		{"colours go whole", "\x1b[1;31mred\x1b[0m", "red"},
		{"clearing the screen goes", "a\x1b[2J\x1b[Hb", "ab"},
		{"a window title goes whole", "a\x1b]0;owned\ab\x1b]8;;http://x\x1b\\c", "abc"},
		{"a title without an end swallows nothing", "a\x1b]0;owned", "a0;owned"},
		{"a broken sequence swallows nothing", "\x1b[12\x01x", "x"},
		{"a lone escape goes", "a\x1b", "a"},
		{"C1 controls go", "a\u009b31mb\u0085c\u009d0;t\u009cd", "abcd"},
		{"bidi overrides go", "safe\u202egpj.exe\u2066", "safegpj.exe"},
		{"zero width characters go", "a\u200bb\ufeffc", "abc"},
		{"blanks of all kinds become blanks", "a\tb\rc\nd\u2028e", "a b c d e"},
		{"backspaces and bells go", "a\bb\ac\x7fd", "abcd"},
		{"invalid UTF-8 is marked", "a\xffb\x9b", "a\ufffdb\ufffd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := (Style{Unicode: true}).Clean(c.in); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if got := (Style{}).Clean("Größe\x1b[m 🚀"); got != `Gr\u00f6\u00dfe \u1f680` {
		t.Errorf("in ASCII %q", got)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "\x1b[31m", "\u009b1", "\x1b]0;x\x1b\\", "\xc2", "\u202e", "\x1b\x1b[["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, style := range []Style{{}, {Unicode: true}} {
			clean := style.Clean(s)
			if i := strings.IndexFunc(clean, func(r rune) bool {
				return r < ' ' || r >= 0x7f && (!style.Unicode || r < 0xa0) || r >= 0x202a && r <= 0x202e
			}); i >= 0 {
				t.Fatalf("%q of %q holds a control character at %d", clean, s, i)
			}
			if again := style.Clean(clean); again != clean {
				t.Fatalf("cleaning %q again gives %q", clean, again)
			}
			for _, n := range []int{0, 1, 3, 10} {
				if w := Width(style.Fit(clean, n, true)); w != n {
					t.Fatalf("%q fits %d columns as %d", clean, n, w)
				}
			}
		}
	})
}

func TestFit(t *testing.T) {
	u := Style{Unicode: true}
	for _, c := range []struct {
		name    string
		got     string
		want    string
		columns int
	}{
		{"short text is filled up", u.Fit("ab", 4, true), "ab  ", 4},
		{"or not", u.Fit("ab", 4, false), "ab", 2},
		{"long text is cut", u.Fit("abcdef", 4, true), "abc…", 4},
		{"in ASCII with dots", (Style{}).Fit("abcdef", 5, false), "ab...", 5},
		{"wide characters count twice", u.Fit("大きさ", 5, true), "大き…", 5},
		{"half of one is not shown", u.Fit("大きさ", 4, true), "大… ", 4},
		{"combining marks count nothing", u.Fit("e\u0301e\u0301", 2, false), "e\u0301e\u0301", 2},
		{"no room is no text", u.Fit("abc", 0, true), "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.got != c.want || Width(c.got) != c.columns {
				t.Errorf("%q of %d columns, want %q of %d", c.got, Width(c.got), c.want, c.columns)
			}
		})
	}
}

func TestPaintOnlyWhereColourIs(t *testing.T) {
	if got := (Style{}).Paint(Bad, "x"); got != "x" {
		t.Errorf("%q", got)
	}
	if got := (Style{Color: true}).Paint(Bad, "x"); got != "\x1b[1;31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := (Style{Color: true}).Paint(Plain, "x"); got != "x" {
		t.Errorf("%q", got)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0 ms", 99 * time.Millisecond: "99 ms", 450 * time.Millisecond: "0.4 s", 9999 * time.Millisecond: "9.9 s",
		42 * time.Second: "42 s", 72 * time.Second: "1 min 12 s", 123 * time.Minute: "2 h 3 min",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

func TestChange(t *testing.T) {
	s := Style{Unicode: true}
	for _, c := range []struct {
		name   string
		change tasks.Change
		want   string
	}{
		{"another value", tasks.Change{Path: "memory_mb", From: "512", To: "1024", Effect: tasks.EffectLive}, "~ memory_mb   512 -> 1024  (live)"},
		{"a new value", tasks.Change{Path: "tags", To: "web"}, "+ tags        web"},
		{"a value that goes", tasks.Change{Path: "tags", From: "web"}, "- tags        web"},
		{"a replacement", tasks.Change{Path: "pool", From: "a", To: "b", Effect: tasks.EffectReplace}, "! pool        a -> b  (replace)"},
		{"no values", tasks.Change{Path: "content", Note: "-a\n+b"}, "~ content\n    -a\n    +b"},
		{"a value of several lines", tasks.Change{Path: "d", From: "a", To: "x\ny\r\n"}, "~ d\n    - a\n    + x\n      y"},
		{"a hostile value", tasks.Change{Path: "d\x1b[2J", From: "a", To: "\x1b]0;x\ab"}, "~ d           a -> b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(s.Change(c.change, 10), "\n"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAStepNamesItsOneChange(t *testing.T) {
	for _, tc := range []struct {
		status tasks.Status
		diff   tasks.Diff
		want   string
	}{
		{tasks.StatusChanged, tasks.Diff{{Path: "memory_mb", From: "1", To: "2"}}, "~ lxc:900 changed (memory_mb, 5 ms)"},
		{tasks.StatusChanged, tasks.Diff{{Path: "a", To: "1"}, {Path: "b", To: "2"}}, "~ lxc:900 changed (2 properties, 5 ms)"},
		{tasks.StatusChanged, tasks.Diff{{Path: "exists", To: "cloned from container 800"}}, "~ lxc:900 changed (cloned from container 800, 5 ms)"},
		{tasks.StatusWouldChange, tasks.Diff{{Path: "exists", From: "container web"}}, "~ lxc:900 would change (destroyed, 5 ms)"},
		{tasks.StatusFailed, tasks.Diff{{Path: "memory_mb", From: "1", To: "2"}}, "! lxc:900 failed (1 property, 5 ms)"},
	} {
		if got := (Style{}).result("lxc:900", tasks.Result{Status: tc.status, Changes: tc.diff, DurationMS: 5}); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
