// Package dist carries the built helpers inside the workstation's program, one for
// each architecture, compressed.
//
// The helpers are built by `make helpers` (dist/pack) before the workstation's own
// program is. Without them the package compiles all the same, and Helper says what
// to run. The package never builds, writes or starts anything. Start reading at
// Helper.
package dist

import (
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

//go:embed bin
var built embed.FS

// Arches lists the architectures that there is a helper for, as Go names them.
func Arches() []string { return []string{"amd64", "arm64"} }

// ErrNotBuilt is the error of Helper in a program that was built without helpers.
var ErrNotBuilt = errors.New("this phoenix was built without helpers; run `make helpers`, then build it again")

// Helper returns the helper for an architecture, compressed with gzip, and the
// SHA-256 of what is in it, in hexadecimal: the name it goes by on a host. The bytes
// must not be changed.
func Helper(arch string) (gz []byte, sha256hex string, err error) {
	return packed(built, "agentlet", arch)
}

// packed returns one of the programs.
func packed(from fs.FS, name, arch string) ([]byte, string, error) {
	if !slices.Contains(Arches(), arch) {
		return nil, "", fmt.Errorf("find %s for %s: there is one for %s only", name, arch, strings.Join(Arches(), " and "))
	}
	gz, err := fs.ReadFile(from, "bin/"+name+"-"+arch+".gz")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("find %s for %s: %w", name, arch, ErrNotBuilt)
	}
	if err != nil {
		return nil, "", fmt.Errorf("find %s for %s: %w", name, arch, err)
	}
	sum, err := fs.ReadFile(from, "bin/"+name+"-"+arch+".sha256")
	if err != nil {
		return nil, "", fmt.Errorf("find %s for %s: %w", name, arch, ErrNotBuilt)
	}
	hash := strings.TrimSpace(string(sum))
	if b, err := hex.DecodeString(hash); err != nil || len(b) != 32 {
		return nil, "", fmt.Errorf("find %s for %s: its hash %q is none; run `make helpers` again", name, arch, hash)
	}
	return gz, hash, nil
}
