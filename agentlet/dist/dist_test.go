package dist

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHelper(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	good := fstest.MapFS{
		"bin/agentlet-amd64.gz":     {Data: []byte("gz")},
		"bin/agentlet-amd64.sha256": {Data: []byte(sum + "\n")},
		"bin/agentlet-arm64.gz":     {Data: []byte("gz")},
		"bin/agentlet-arm64.sha256": {Data: []byte("nonsense\n")},
	}
	for _, c := range []struct {
		name, arch, want string
		from             fstest.MapFS
	}{
		{"one that was built", "amd64", "", good},
		{"one whose hash is none", "arm64", "run `make helpers` again", good},
		{"a clean checkout", "amd64", "run `make helpers`, then build it again", fstest.MapFS{"bin/README.md": {}}},
		{"an architecture that there is none for", "riscv64", "amd64 and arm64 only", good},
	} {
		t.Run(c.name, func(t *testing.T) {
			gz, got, err := packed(c.from, "agentlet", c.arch)
			if c.want == "" && (err != nil || got != sum || string(gz) != "gz") {
				t.Errorf("got %q, %q, %v", gz, got, err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want it to say %q", err, c.want)
			}
		})
	}
}

// What is embedded, where anything is, must be what its hash says.
func TestTheEmbeddedHelpersMatchTheirHashes(t *testing.T) {
	for _, arch := range Arches() {
		checkEmbedded(t, arch, Helper, ErrNotBuilt)
		checkEmbedded(t, arch, Probe, ErrNoProbe)
	}
	if _, _, err := Probe("riscv64"); err == nil || !strings.Contains(err.Error(), "amd64 and arm64 only") {
		t.Errorf("a probe for riscv64: %v", err)
	}
}

// checkEmbedded holds a program to its hash. There is none in a clean checkout; `make
// test` builds them first.
func checkEmbedded(t *testing.T, arch string, program func(string) ([]byte, string, error), absent error) {
	t.Helper()
	gz, want, err := program(arch)
	if errors.Is(err, absent) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(gz))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("%s: hash %s, want %s", arch, got, want)
	}
	if len(data) > 6<<20 || !bytes.HasPrefix(data, []byte("\x7fELF")) {
		t.Errorf("%s: %d bytes beginning with %q; want an ELF file under 6 MiB", arch, len(data), data[:4])
	}
}
