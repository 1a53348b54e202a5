package sharedir_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/sharedir"
	"phoenix/tasks/taskstest"
)

func TestCheck_showsWhatDiffersUnderItsOwnName(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spec  sharedir.Spec
		path  string
		paths []string
		fails string
	}{
		{"nothing is asked", sharedir.Spec{}, "/srv/a", nil, ""},
		{"a directory that has to be there", sharedir.Spec{Mode: "0700"}, "/srv/b", []string{"x.directory"}, "does not exist"},
		{"a directory that is made", sharedir.Spec{Create: true, Mode: "0700"}, "/srv/b", []string{"x.directory", "x.mode"}, ""},
		{"owners who are made before", sharedir.Spec{Owner: "ann", Group: "staff"}, "/srv/a", []string{"x.owner", "x.group"}, "no such name"},
		{"owners by number", sharedir.Spec{Owner: "0", Group: "0"}, "/srv/a", nil, ""},
		{"another mode", sharedir.Spec{Mode: "2770"}, "/srv/a", []string{"x.mode"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := taskstest.NewTree(t, map[string]string{"/srv/a/": "", "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "/etc/group": "root:x:0:\n"})
			d, err := tc.spec.Check(t.Context(), tasks.ReadOnly(h), "x.", tc.path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range d {
				got = append(got, c.Path)
			}
			if !slices.Equal(got, tc.paths) {
				t.Errorf("differs %q, want %q", got, tc.paths)
			}
			err = tc.spec.Apply(t.Context(), h, tc.path)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("got %v", err)
				}
				return
			}
			if again, err2 := tc.spec.Check(t.Context(), h, "x.", tc.path); err != nil || err2 != nil || len(again) > 0 {
				t.Errorf("%v, %v; still differs %v", err, err2, again)
			}
		})
	}
}

func TestCheck_aFileIsNoDirectory(t *testing.T) {
	h := taskstest.NewTree(t, map[string]string{"/srv/a": "text"})
	if _, err := (sharedir.Spec{}).Check(t.Context(), h, "", "/srv/a"); err == nil || !strings.Contains(err.Error(), "it is a file") {
		t.Errorf("got %v", err)
	}
}

func TestValidate_namesTheKeyOfThePath(t *testing.T) {
	p := sharedir.Spec{Mode: "9"}.Validate("shares.a.", "shares.a.path", "srv")
	if len(p) != 2 || p[0].Path != "shares.a.path" || p[1].Path != "shares.a.mode" {
		t.Errorf("problems %v", p)
	}
}
