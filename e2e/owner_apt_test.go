package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAptReadsTheSourcesThatAreWritten hands the golden files to the real apt. Stanzas
// that are switched off are switched on first, since apt looks at no others.
func TestAptReadsTheSourcesThatAreWritten(t *testing.T) {
	files, err := filepath.Glob("../tasks/kind/repository/testdata/*.sources")
	if err != nil || len(files) < 6 {
		t.Fatalf("%v, %v", files, err)
	}
	dir := t.TempDir()
	read := func(name, text string) (string, error) {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "apt-get", "indextargets", "-o", "Dir::Etc::SourceList="+at, "-o", "Dir::Etc::SourceParts=/dev/null").CombinedOutput()
		return string(out), err
	}
	for _, f := range append(files, "../tasks/aptsources/testdata/docker.sources") {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "Enabled: no\n", "")
		if out, err := read(filepath.Base(f), text); err != nil {
			t.Errorf("%s: %v: %s", f, err, out)
		}
		if out, err := read(filepath.Base(f), strings.Replace(text, "Suites:", "Suite:", 1)); err == nil || !strings.Contains(out, "Malformed entry 1") {
			t.Errorf("%s without its suites: %v: %s", f, err, out)
		}
	}
}
