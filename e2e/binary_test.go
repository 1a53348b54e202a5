package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// checkHelper holds one packed helper to its size, its hash, and to being static.
func checkHelper(t *testing.T, name, packed, hash string) {
	t.Helper()
	unzip, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	data, err := io.ReadAll(unzip)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Logf("%s: %d bytes, %d packed", name, len(data), len(packed))
	if len(data) >= 6<<20 {
		t.Errorf("%s has %d bytes, want less than 6 MiB", name, len(data))
	}
	if sum := sha256.Sum256(data); strings.TrimSpace(hash) != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: its hash is %x, beside it lies %s", name, sum, hash)
	}
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	machine := map[string]elf.Machine{"agentlet-amd64.gz": elf.EM_X86_64, "agentlet-arm64.gz": elf.EM_AARCH64}[name]
	if file.Machine != machine {
		t.Errorf("%s is for %s, want %s", name, file.Machine, machine)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static: it has a %s", name, p.Type)
		}
	}
}
