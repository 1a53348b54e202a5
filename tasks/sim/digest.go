package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// largeFile is the size, in bytes, above which a file counts by size and both ends.
const largeFile = 1 << 20

// Digest is a hash, in hexadecimal, over names, types, modes, owners, link targets
// and contents of the machine's tree. Times do not count, nor do /run, /var/log,
// /var/lib/phoenix, lock files, and the faults. Two equal digests mean that nothing
// was changed in between, and that no unit was started or stopped.
func (m *Machine) Digest() (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(m.Root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p := "/" + strings.TrimPrefix(strings.TrimPrefix(full, m.Root), "/")
		if uncounted(p) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		return digestFile(sum, full, p)
	})
	if err != nil {
		return "", fmt.Errorf("digest simulated machine: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// uncounted tells whether the path is left out of the digest.
func uncounted(p string) bool {
	return slices.Contains([]string{"/run", "/var/log", "/var/lib/phoenix", "/.sim/lock", "/.sim/faults.json"}, p) ||
		strings.HasSuffix(p, ".lock") || strings.HasSuffix(p, "/lock") || strings.HasSuffix(p, "/lock-frontend")
}

func digestFile(sum hash.Hash, full, p string) error {
	info, err := os.Lstat(full)
	if err != nil {
		return err
	}
	fmt.Fprintf(sum, "%q %s ", p, info.Mode())
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(full)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%q", target)
	case info.Mode().IsRegular():
		return digestContent(sum, full, info.Size())
	}
	return nil
}

func digestContent(sum hash.Hash, full string, size int64) error {
	f, err := os.Open(full)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintf(sum, "%d ", size)
	parts := []io.Reader{f}
	if size > largeFile {
		parts = []io.Reader{io.NewSectionReader(f, 0, largeFile/2), io.NewSectionReader(f, size-largeFile/2, largeFile/2)}
	}
	_, err = io.Copy(sum, io.MultiReader(parts...))
	return err
}
