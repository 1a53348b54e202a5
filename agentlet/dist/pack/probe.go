package main

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"phoenix/agentlet/dist"
)

// errNoCompiler is the error where an architecture's C compiler is missing.
var errNoCompiler = errors.New("no C compiler")

// compiler finds a C compiler that makes programs for Linux on an architecture.
func compiler(arch string) (string, error) {
	cross := map[string]string{"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc"}[arch]
	if runtime.GOOS == "linux" && runtime.GOARCH == arch {
		native := cmp.Or(strings.TrimSpace(os.Getenv("CC")), "gcc")
		program, _, _ := strings.Cut(native, " ") // it may have words: "ccache gcc"
		if _, err := exec.LookPath(program); err == nil {
			return native, nil
		}
		return "", fmt.Errorf("%w: %s is not installed (Debian: apt-get install gcc libc6-dev)", errNoCompiler, native)
	}
	if _, err := exec.LookPath(cross); err != nil {
		return "", fmt.Errorf("%w: %s is not installed (Debian: apt-get install %s libc6-dev-%s-cross)", errNoCompiler, cross,
			strings.Replace("gcc-"+strings.TrimSuffix(cross, "-gcc"), "_", "-", 1), arch)
	}
	return cross, nil
}

// probe builds the GPU probe for one architecture. It needs a C compiler: go-nvml loads
// the driver's library. Where there is none the rest is built all the same, and a probe
// of an earlier build is taken away.
func probe(dir, arch string) error {
	cc, err := compiler(arch)
	if errors.Is(err, errNoCompiler) {
		for _, ext := range []string{".gz", ".sha256"} {
			if err := os.Remove(filepath.Join(dir, "agentlet-nvml-"+arch+ext)); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "agentlet-nvml-%s: not built: %v; phoenix will have no GPU probe for %s hosts\n", arch, err, arch)
		return nil
	}
	data, err := compile(arch, "./cmd/agentlet-nvml", "CGO_ENABLED=1", "CC="+cc,
		// The header calls functions deprecated that drivers still have; the warnings would
		// hide others. The paths of the build are kept out of the program.
		"CGO_CPPFLAGS=", "CGO_CFLAGS=-O2 -Wno-deprecated-declarations", "CGO_LDFLAGS=-Wl,-z,lazy -Wl,-z,relro -Wl,--build-id=none")
	if err != nil {
		return fmt.Errorf("build GPU probe for %s with %s: %w", arch, cc, err)
	}
	if err := weaken(data); err != nil {
		return fmt.Errorf("build GPU probe for %s: %w", arch, err)
	}
	if err := oldEnough(data); err != nil {
		return fmt.Errorf("build GPU probe for %s: %w", arch, err)
	}
	return put(dir, "agentlet-nvml-"+arch, data)
}

// weaken makes the functions of the driver's library weak in the program's table of
// symbols. They are bound as they are called; but under LD_BIND_NOW the linker binds all
// of them before the program has loaded the library, and ends it over the first that is
// not weak, before it could say a word.
func weaken(data []byte) error {
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return err
	}
	section := file.SectionByType(elf.SHT_DYNSYM)
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return err
	}
	weak := 0
	for i, s := range symbols { // without the first, which is none
		if s.Section != elf.SHN_UNDEF || !strings.HasPrefix(s.Name, "nvml") {
			continue
		}
		// Elf64_Sym: the name has four bytes, then comes the byte of binding and type.
		at := section.Offset + uint64(i+1)*elf.Sym64Size + 4
		data[at] = elf.ST_INFO(elf.STB_WEAK, elf.ST_TYPE(s.Info))
		weak++
	}
	if weak < 100 {
		return fmt.Errorf("weaken the driver's functions: there are %d of them in the program, want hundreds", weak)
	}
	return nil
}

// oldEnough refuses a program that needs a newer C library than hosts have.
func oldEnough(data []byte) error {
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return err
	}
	symbols, err := file.ImportedSymbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if v, ok := strings.CutPrefix(s.Version, "GLIBC_"); ok && newer(v, dist.ProbeGlibc) {
			return fmt.Errorf("%s needs glibc %s, hosts have %s: build it on an older system", s.Name, v, dist.ProbeGlibc)
		}
	}
	return nil
}

// newer compares versions that are numbers and dots.
func newer(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range as {
		if i >= len(bs) {
			return true
		}
		x, errX := strconv.Atoi(as[i])
		y, errY := strconv.Atoi(bs[i])
		if errX != nil || errY != nil {
			return a != b // a version that cannot be read is not known to be old
		}
		if x != y {
			return x > y
		}
	}
	return false
}
