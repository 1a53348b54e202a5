package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The budgets of the house.
const (
	maxFileLines   = 500
	maxFuncLines   = 80
	p95FuncLines   = 50
	maxIfcMethods  = 5
	repositoryRoot = ".."
)

// source is one parsed file.
type source struct {
	path  string // relative to the repository
	file  *ast.File
	lines []string
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) dir() string { return filepath.ToSlash(filepath.Dir(s.path)) }

// TestConventions reads every Go file of the repository and holds it to the house
// rules. Each rule is a subtest, so that a broken one is named.
func TestConventions(t *testing.T) {
	fset := token.NewFileSet()
	all := parseRepository(t, fset)
	t.Run("no file passes its budget", func(t *testing.T) {
		for _, s := range all {
			if len(s.lines) > maxFileLines {
				t.Errorf("%s has %d lines, more than %d: split it by noun", s.path, len(s.lines), maxFileLines)
			}
		}
	})
	t.Run("no function passes its budget", func(t *testing.T) { checkFunctions(t, fset, all) })
	t.Run("interfaces are small", func(t *testing.T) { checkInterfaces(t, fset, all) })
	t.Run("packages and exported names are documented", func(t *testing.T) { checkDocs(t, fset, all) })
	t.Run("there is no init and no mutable package variable", func(t *testing.T) { checkGlobals(t, fset, all) })
	t.Run("no forbidden word or call", func(t *testing.T) { checkWords(t, all) })
	t.Run("imports follow the arrows", func(t *testing.T) { checkArrows(t, fset, all) })
}

func parseRepository(t *testing.T, fset *token.FileSet) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(repositoryRoot, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, path, data, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(repositoryRoot, path)
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		all = append(all, source{filepath.ToSlash(rel), file, lines})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d Go files below %s: the walk is broken", len(all), repositoryRoot)
	}
	return all
}

func checkFunctions(t *testing.T, fset *token.FileSet, all []source) {
	var lengths []int
	for _, s := range all {
		if s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1
			lengths = append(lengths, n)
			if n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, more than %d", fset.Position(f.Pos()), f.Name.Name, n, maxFuncLines)
			}
		}
	}
	slices.Sort(lengths)
	if p := lengths[len(lengths)*95/100]; p > p95FuncLines {
		t.Errorf("the 95th percentile of %d functions is %d lines, more than %d", len(lengths), p, p95FuncLines)
	}
}

func checkInterfaces(t *testing.T, fset *token.FileSet, all []source) {
	for _, s := range all {
		ast.Inspect(s.file, func(n ast.Node) bool {
			i, ok := n.(*ast.InterfaceType)
			if ok && i.Methods.NumFields() > maxIfcMethods {
				t.Errorf("%s: an interface with %d methods, more than %d", fset.Position(i.Pos()), i.Methods.NumFields(), maxIfcMethods)
			}
			return true
		})
	}
}

func checkDocs(t *testing.T, fset *token.FileSet, all []source) {
	documented := map[string]bool{}
	for _, s := range all {
		if s.test() {
			continue
		}
		doc := s.file.Doc.Text()
		documented[s.dir()] = documented[s.dir()] || strings.HasPrefix(doc, "Package ") || strings.HasPrefix(doc, "Command ")
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: exported %s has no doc comment", fset.Position(d.Pos()), name)
			}
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

// undocumented lists the exported names that a declaration introduces without a
// comment. The names of a group share the group's comment.
func undocumented(d ast.Decl) []string {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !interfaceMethod[d.Name.Name] {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					names = append(names, s.Names[0].Name)
				}
			}
		}
	}
	return names
}

// interfaceMethod names methods whose meaning is their interface's.
var interfaceMethod = map[string]bool{"Error": true, "String": true, "Close": true, "Read": true, "Write": true}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func checkGlobals(t *testing.T, fset *token.FileSet, all []source) {
	for _, s := range all {
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					t.Errorf("%s: init runs behind the reader's back", fset.Position(d.Pos()))
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR || s.test() {
					continue
				}
				for _, spec := range d.Specs {
					if v := spec.(*ast.ValueSpec); !constantLike(v, d) {
						t.Errorf("%s: package variable %s can be changed", fset.Position(v.Pos()), v.Names[0].Name)
					}
				}
			}
		}
	}
}

// constantLike allows the variables that only the language forbids to be
// constants: compiled patterns, sentinels, embedded files, interface proofs.
func constantLike(v *ast.ValueSpec, d *ast.GenDecl) bool {
	if v.Names[0].Name == "_" {
		return true
	}
	if strings.Contains(d.Doc.Text()+v.Doc.Text(), "go:embed") || hasEmbed(d.Doc) || hasEmbed(v.Doc) {
		return true
	}
	if len(v.Values) != 1 {
		return false
	}
	call, ok := v.Values[0].(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && (pkg.Name == "regexp" || pkg.Name == "errors" || pkg.Name == "strings" && sel.Sel.Name == "NewReplacer" ||
		pkg.Name == "netip" && sel.Sel.Name == "MustParsePrefix")
}

func hasEmbed(g *ast.CommentGroup) bool {
	return g != nil && slices.ContainsFunc(g.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") })
}

func checkWords(t *testing.T, all []source) {
	// The words are put together here, so that this file does not find itself.
	words := []struct{ word, why string }{
		{"TO" + "DO", "build it, or say so in an issue"},
		{"FIX" + "ME", "build it, or say so in an issue"},
		{"//no" + "lint", "mend the finding"},
		{"Insecure" + "IgnoreHostKey", "host keys are always checked"},
	}
	inTests := []struct{ word, why string }{
		{"time.Sl" + "eep(", "wait for the event, or use testing/synctest"},
		{"t.Sk" + "ip", "a skipped test hides a missing prerequisite: name it and fail"},
	}
	for _, s := range all {
		for i, line := range s.lines {
			for _, w := range words {
				if strings.Contains(line, w.word) {
					t.Errorf("%s:%d: %s: %s", s.path, i+1, w.word, w.why)
				}
			}
			for _, w := range inTests {
				if s.test() && strings.Contains(line, w.word) {
					t.Errorf("%s:%d: %s: %s", s.path, i+1, w.word, w.why)
				}
			}
		}
	}
}
