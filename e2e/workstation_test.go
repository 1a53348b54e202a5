package e2e

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// listed is a package as `go list` shows it.
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
}

// TestPhoenixIsBuiltOnAMac checks the types of phoenix as the compiler does for macOS.
// To compile and link it takes a minute; this takes seconds.
func TestPhoenixIsBuiltOnAMac(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap", "phoenix/cmd/phoenix")
	cmd.Env = append(os.Environ(), "GOOS=darwin", "GOARCH=arm64", "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	for dec, own := json.NewDecoder(strings.NewReader(string(out))), 0; ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			if own < 50 {
				t.Errorf("only %d packages of phoenix were checked", own)
			}
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, "phoenix/") {
			own++
		}
		if p.ImportPath != "unsafe" {
			done[p.ImportPath] = p.check(t, done)
		}
	}
}

// check checks a package, those that it imports being done; of others' packages only
// what they declare.
func (p listed) check(t *testing.T, done map[string]*types.Package) *types.Package {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	conf := types.Config{
		IgnoreFuncBodies: !strings.HasPrefix(p.ImportPath, "phoenix/"),
		Sizes:            types.SizesFor("gc", "arm64"),
		Importer: importer(func(name string) (*types.Package, error) {
			if mapped, ok := p.ImportMap[name]; ok {
				name = mapped
			}
			return done[name], nil
		}),
		Error: func(err error) { t.Errorf("GOOS=darwin: %v", err) },
	}
	pkg, _ := conf.Check(p.ImportPath, fset, files, nil) // Error has told
	return pkg
}

// importer finds a package by the name in an import.
type importer func(name string) (*types.Package, error)

func (f importer) Import(name string) (*types.Package, error) { return f(name) }
