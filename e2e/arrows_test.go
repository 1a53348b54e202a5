package e2e

import (
	"go/token"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "phoenix"

// arrows says which of our top folders a top folder may import, and why the rest
// is out. A folder may always import itself.
func arrows() map[string][]string {
	return map[string][]string{
		"tasks":     {},                     // the helper is made of it: standard library only
		"agentlet":  {"tasks"},              // the far end knows nothing of how it was reached
		"inventory": {"tasks", "schemas"},   // reads files, reaches nothing
		"schemas":   {},                     // data
		"transport": {"agentlet", "tasks"},  // carries jobs, knows nothing of the files people write
		"examples":  {},                     // data
		"e2e":       {"tasks", "transport"}, // test support only: the simulated machine and the bare client
		"cmd":       {"agentlet", "inventory", "schemas", "tasks", "transport"},
	}
}

// checkArrows holds every import of ours to the direction of the arrows, and the
// folders that the helper is made of to the standard library.
func checkArrows(t *testing.T, fset *token.FileSet, all []source) {
	for _, s := range all {
		top, _, _ := strings.Cut(s.path, "/")
		may, known := arrows()[top]
		if !known {
			t.Errorf("%s: a top folder that the design does not know", s.path)
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			target, ours := strings.CutPrefix(path, module+"/")
			target, _, _ = strings.Cut(target, "/")
			switch {
			case ours && target != top && !slices.Contains(may, target) && !s.test():
				t.Errorf("%s: %s must not import %s", fset.Position(imp.Pos()), top, path)
			case strings.HasPrefix(path, "github.com/NVIDIA/") && !strings.HasPrefix(s.path, "cmd/agentlet-nvml/"):
				t.Errorf("%s: only the GPU probe is linked with %s: it needs cgo, and the helper and phoenix are static", fset.Position(imp.Pos()), path)
			case !ours && top == "tasks" && !s.test() && strings.Contains(path, "."):
				t.Errorf("%s: tasks may use the standard library only, not %s", fset.Position(imp.Pos()), path)
			}
		}
	}
}

// TestHelperDependencies keeps the helper small and static: what it is linked from
// decides its size, and whether it runs in any container.
func TestHelperDependencies(t *testing.T) {
	forbidden := map[string]string{
		"net/http":                  "5 MB of code that nothing in the helper needs",
		"text/template":             "brings reflection over methods, which keeps dead code alive",
		"html/template":             "see text/template",
		"encoding/xml":              "reads nvidia-smi at the workstation (package smixml), and nothing else",
		"C":                         "a static helper has no cgo",
		"testing":                   "test support must not be linked into the product",
		module + "/tasks/sim":       "the simulated machine must not be linked into the helper",
		module + "/tasks/taskstest": "test support must not be linked into the product",
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", module+"/cmd/agentlet").Output()
	if err != nil {
		t.Fatalf("list the helper's dependencies: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 20 {
		t.Fatalf("the helper has %d dependencies: the list is broken", len(lines))
	}
	for _, line := range lines {
		path, standard, _ := strings.Cut(line, " ")
		if why, bad := forbidden[path]; bad {
			t.Errorf("the helper is linked with %s: %s", path, why)
		}
		if standard != "true" && !strings.HasPrefix(path, module+"/") {
			t.Errorf("the helper is linked with %s: it may use the standard library only", path)
		}
	}
}
