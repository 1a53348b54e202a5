package inventory

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestRulesBetweenContainersAndHosts holds every file of testdata/rules to its want: all
// that is found, each with its place, what is wrong, and how to mend it. What stands
// beside a fault in a file is right: it must not be found. `go test . -args update`
// writes want anew.
func TestRulesBetweenContainersAndHosts(t *testing.T) {
	names, err := filepath.Glob("testdata/rules/*.txtar")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d rules: %v", len(names), err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		here, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			fs, want := files{}, -1
			for i, f := range a.Files {
				if f.Name == "want" {
					want = i
					continue
				}
				fs[f.Name] = string(f.Data)
			}
			t.Chdir(t.TempDir())
			writeFiles(t, fs)
			for file := range fs {
				if err := os.Chmod(file, mode(a.Comment)); err != nil {
					t.Fatal(err)
				}
			}
			_, found := Load(context.Background(), Options{UID: os.Getuid()})
			var got bytes.Buffer
			for _, d := range found {
				got.WriteString(d.Error() + "\n")
				if strings.Contains(d.Source, "hunter2") {
					t.Errorf("the line that is shown has the secret: %s", d.Source)
				}
			}
			if flag.Arg(0) == "update" {
				a.Files[want].Data = got.Bytes()
				if err := os.WriteFile(here, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got.Len() == 0 || got.String() != string(a.Files[want].Data) {
				t.Errorf("%s\nfound\n%swant\n%s", strings.TrimSpace(string(a.Comment)), &got, a.Files[want].Data)
			}
		})
	}
}

// mode is 0644 for the files of a rule that is about who can read them, and says so.
func mode(comment []byte) os.FileMode {
	if bytes.Contains(comment, []byte("mode 0644")) {
		return 0o644
	}
	return 0o600
}
