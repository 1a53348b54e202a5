// Command pack builds the helpers for every architecture, and the GPU probe for those
// that there is a C compiler for, and packs them for package dist: `go run
// ./agentlet/dist/pack` from the root of the module. The same source and toolchain give
// the same bytes, wherever and whenever it runs. It writes only into agentlet/dist/bin,
// or the folder it is given. Start reading at pack and probe.
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

// maxSize is the budget of a program, in bytes: it travels to every host.
const maxSize = 6 << 20

func main() {
	dir := filepath.Join("agentlet", "dist", "bin")
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	for _, arch := range dist.Arches() {
		for _, build := range []func(dir, arch string) error{pack, probe} {
			if err := build(dir, arch); err != nil {
				fmt.Fprintln(os.Stderr, "pack:", err)
				os.Exit(1)
			}
		}
	}
}

// pack builds the helper for one architecture and writes it, compressed, and the
// hash of what is in it.
func pack(dir, arch string) error {
	data, err := compile(arch, "./cmd/agentlet", "CGO_ENABLED=0")
	if err != nil {
		return fmt.Errorf("build helper for %s: %w", arch, err)
	}
	return put(dir, "agentlet-"+arch, data)
}

// compile builds one program.
func compile(arch, program string, env ...string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "phoenix-pack-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	bin := filepath.Join(tmp, "program")
	// Without inlining the project's own code, without room between functions and without
	// the assembly of hashes the helper is a fifth smaller. Of the standard library, what a
	// check calls all the time (JSON, maps, strings, the runtime) keeps its inlining:
	// without, a check of 300 properties takes a tenth longer.
	flags := []string{"build", "-trimpath", "-buildvcs=false", "-tags=purego", "-ldflags", "-s -w -buildid= -funcalign=4"}
	for _, small := range []string{"phoenix/...", "regexp/...", "crypto/...", "time", "os/...", "net/...", "fmt", "syscall", "internal/poll", "internal/syscall/...", "path/...", "io/...", "context"} {
		flags = append(flags, "-gcflags="+small+"=-l")
	}
	build := exec.Command("go", append(flags, "-o", bin, program)...)
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	build.Env = append(build.Env, env...)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("it has %d bytes, more than the %d that are allowed", len(data), maxSize)
	}
	return data, nil
}

// put writes a program, compressed, and its hash.
func put(dir, name string, data []byte) error {
	gz, err := compress(data)
	if err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	sum := sha256.Sum256(data)
	base := filepath.Join(dir, name)
	if err := os.WriteFile(base+".gz", gz, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(base+".sha256", []byte(hex.EncodeToString(sum[:])+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, %d compressed, sha256 %x\n", name, len(data), len(gz), sum)
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
