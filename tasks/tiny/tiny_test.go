package tiny

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

func TestTheProgramPrintsItsLineAndEndsWell(t *testing.T) {
	const text = "one line, and another\nend\n"
	program, err := Program(runtime.GOARCH, text)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "tiny")
	if err := os.WriteFile(at, program, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(at).Output()
	if err != nil || string(out) != text {
		t.Errorf("it printed %q: %v", out, err)
	}
}

func TestTheProgramIsAStaticExecutableBelowAKilobyte(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		program, err := Program(arch, "x\n")
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.NewFile(bytes.NewReader(program))
		if err != nil {
			t.Fatalf("%s: %v", arch, err)
		}
		if f.Machine != machine || f.Type != elf.ET_EXEC || len(program) >= 1024 || len(f.Progs) != 1 || f.Progs[0].Type != elf.PT_LOAD {
			t.Errorf("%s: %+v, %d bytes", arch, f.FileHeader, len(program))
		}
	}
	if _, err := Program("riscv64", "x"); err == nil {
		t.Error("there is a program for riscv64")
	}
}

// The words of MOVZ, ADR and SVC as the architecture's manual gives them, for the machine
// that the tests do not run on. ADR must reach the text, 28 bytes on.
func TestTheCodeForARMIsThatOfTheManual(t *testing.T) {
	const want = "200080d2" + "e1000010" + "420380d2" + "080880d2" + "010000d4" + "000080d2" + "a80b80d2" + "010000d4"
	if got := hex.EncodeToString(arm64(26)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTheArchiveIsReadByOthers(t *testing.T) {
	raw := Tar(File{"proof", []byte("abc")}, File{"lib/x.so", bytes.Repeat([]byte("y"), 512)})
	r := tar.NewReader(bytes.NewReader(raw))
	for _, want := range []struct {
		name string
		size int
	}{{"proof", 3}, {"lib/x.so", 512}} {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || h.Name != want.name || len(data) != want.size || h.Mode != 0o755 || h.Uid != 0 || h.Typeflag != tar.TypeReg {
			t.Errorf("%+v with %d bytes: %v", h, len(data), err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
}
