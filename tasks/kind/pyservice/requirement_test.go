package pyservice

import (
	"fmt"
	"strings"
	"testing"
)

func TestRequirements_readsWhatCanBeCompared(t *testing.T) {
	const text = "# pinned\nFlask==3.0.0  # web\nuvicorn[standard] == 0.30.1\nfoo.Bar_baz\n-r other.txt\n--index-url https://x/\nx>=1\n" +
		"y==1; python_version < \"3\"\nz==2 \\\n    --hash=sha256:abc\nhttps://x/y.whl\nw @ https://x/w.whl\n\n"
	got := fmt.Sprint(requirements(text))
	if want := "[{flask 3.0.0 } {uvicorn 0.30.1 } {foo-bar-baz  } {z 2 --hash=sha256:abc}]"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
}

func TestSatisfied_comparesAsPEP440(t *testing.T) {
	for _, tc := range []struct {
		have, want string
		ok         bool
	}{
		{"1.0", "", true}, {"1.0", "1.0", true}, {"1.0.0", "1.0", true}, {"1.0", "1.0.1", false}, {"1.10", "1.1", false},
		{"0.21.0+cu128", "0.21.0", true}, {"0.21.0+cu128", "0.21.0+cpu", false}, {"0.21.0", "0.21.0+cpu", false},
		{"1.0rc1", "1.0.RC1", true}, {"1.0.post1", "1.0", false}, {"2!1.0", "1.0", false}, {"10", "1", false},
	} {
		if satisfied(tc.have, tc.want) != tc.ok {
			t.Errorf("%s for %s: want %t", tc.have, tc.want, tc.ok)
		}
	}
}

// FuzzRequirement: what is taken for one project with one version is one word, and no option.
func FuzzRequirement(f *testing.F) {
	for _, s := range []string{"a==1", "A_b[c]==1.0+x", "-r x", "a ; b", "a==1 --hash=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parseRequirement(text)
		if !ok {
			return
		}
		if r.name == "" || strings.ContainsAny(r.name+r.version, " \t\n;/") || strings.HasPrefix(r.name, "-") || normal(r.name) != r.name {
			t.Errorf("%q is %+v", text, r)
		}
		if r.version != "" && !satisfied(r.version, r.version) {
			t.Errorf("%s is not itself", r.version)
		}
	})
}
