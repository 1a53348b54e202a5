// Command pack builds the helpers for every architecture and packs them for package
// dist: `go run ./agentlet/dist/pack` from the root of the module. The same source
// and toolchain give the same bytes, wherever and whenever it runs. It writes only
// into agentlet/dist/bin, or the folder it is given. Start reading at pack.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"phoenix/agentlet/dist"
)

// maxSize is the budget of a helper, in bytes: it travels to every host.
const maxSize = 6 << 20

func main() {
	dir := filepath.Join("agentlet", "dist", "bin")
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	for _, arch := range dist.Arches() {
		if err := pack(dir, arch); err != nil {
			fmt.Fprintln(os.Stderr, "pack:", err)
			os.Exit(1)
		}
	}
}

// pack builds the helper for one architecture and writes it, compressed, and the
// hash of what is in it.
func pack(dir, arch string) error {
	tmp, err := os.MkdirTemp("", "phoenix-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	bin := filepath.Join(tmp, "agentlet")
	// Without inlining the project's own code is a tenth smaller. What is hot is the
	// standard library's, which keeps it.
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-gcflags=phoenix/...=-l", "-ldflags", "-s -w -buildid=", "-o", bin, "./cmd/agentlet")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build helper for %s: %w", arch, err)
	}
	data, err := os.ReadFile(bin)
	if err != nil {
		return err
	}
	if len(data) > maxSize {
		return fmt.Errorf("build helper for %s: it has %d bytes, more than the %d that are allowed", arch, len(data), maxSize)
	}
	gz, err := compress(data)
	if err != nil {
		return fmt.Errorf("compress helper for %s: %w", arch, err)
	}
	sum := sha256.Sum256(data)
	base := filepath.Join(dir, "agentlet-"+arch)
	if err := os.WriteFile(base+".gz", gz, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(base+".sha256", []byte(hex.EncodeToString(sum[:])+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Printf("agentlet-%s: %d bytes, %d compressed, sha256 %x\n", arch, len(data), len(gz), sum)
	return nil
}

// compress packs without a name or a time, so that equal input gives equal output.
func compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
