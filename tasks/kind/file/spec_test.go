package file_test

import (
	"strings"
	"syscall"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/taskstest"
)

func mkfifo(path string) error { return syscall.Mkfifo(path, 0o600) }

func TestValidate_namesTheFault(t *testing.T) {
	for _, tc := range []struct{ name, spec, path string }{
		{"a relative path", `{"path":"etc/motd"}`, "path"},
		{"a path with ..", `{"path":"/etc/../root"}`, "path"},
		{"a path with a line break", `{"path":"/etc/a\nb"}`, "path"},
		{"the root", `{"path":"/"}`, "path"},
		{"an unknown state", `{"path":"/x","state":"link"}`, "state"},
		{"content of a directory", `{"path":"/x","state":"directory","content":"a"}`, "content"},
		{"content that is null in all but name", `{"path":"/x","content":{"secret":""}}`, "content.secret"},
		{"a mode in words", `{"path":"/x","mode":"u=rw"}`, "mode"},
		{"a mode with an 8", `{"path":"/x","mode":"0848"}`, "mode"},
		{"an owner with a colon", `{"path":"/x","owner":"a:b"}`, "owner"},
		{"a mode below /etc/pve", `{"path":"/etc/pve/x","mode":"0600"}`, "mode"},
		{"a mode of what is absent", `{"path":"/x","state":"absent","mode":"0600"}`, "state"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var spec file.Spec
			if err := tasks.UnmarshalStrict([]byte(tc.spec), &spec); err != nil {
				t.Fatal(err)
			}
			if p := spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func note(t *testing.T, old, new string) string {
	t.Helper()
	m := machine(t, map[string]string{"/etc/f": old})
	s := strings.NewReplacer("\\", `\\`, "\n", `\n`, `"`, `\"`, "\x00", `\u0000`)
	res := taskstest.Check(t, file.Kind(), `{"path":"/etc/f","content":"`+s.Replace(new)+`"}`, m)
	if len(res.Changes) != 1 {
		t.Fatalf("%+v", res)
	}
	return res.Changes[0].Note
}

func TestDiff_readsLikeDiffU(t *testing.T) {
	numbered := func(from, to int) string {
		var b strings.Builder
		for i := from; i <= to; i++ {
			b.WriteString(strings.Repeat("l", i) + "\n")
		}
		return b.String()
	}
	for _, tc := range []struct{ name, old, new, want string }{
		{"one line replaced", "a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c"},
		{"one line added at the end", "a\n", "a\nb\n", "@@ -1 +1,2 @@\n a\n+b"},
		{"everything removed", "a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b"},
		{"from nothing", "", "a\n", "@@ -0,0 +1 @@\n+a"},
		{"the last line break is missing", "a\n", "a", "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file"},
		{"binary content is not drawn", "a\n", "a\x00b", "binary content"},
		{"two hunks", numbered(1, 20), "x\n" + numbered(2, 19) + "y\n",
			"@@ -1,4 +1,4 @@\n-l\n+x\n ll\n lll\n llll\n@@ -17,4 +17,4 @@\n " + strings.Repeat("l", 17) + "\n " + strings.Repeat("l", 18) + "\n " + strings.Repeat("l", 19) + "\n-" + strings.Repeat("l", 20) + "\n+y"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := note(t, tc.old, tc.new); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestDiff_isBounded(t *testing.T) {
	long := func(prefix string, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(prefix)
			b.WriteByte(byte('a' + i%26))
			b.WriteByte('\n')
		}
		return b.String()
	}
	if got := note(t, long("a", 3000), long("b", 3000)); got != "3000 lines become 3000 lines" {
		t.Errorf("got %.200q", got)
	}
	if got := strings.Count(note(t, "", long("x", 900)), "\n"); got > 210 {
		t.Errorf("%d lines are drawn", got)
	}
}
