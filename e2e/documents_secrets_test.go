package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentsNameEveryKeyThatTakesASecret holds the table of the section Secrets to the
// schemas: the keys, whose they are, and whether they take a text, too.
func TestDocumentsNameEveryKeyThatTakesASecret(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repositoryRoot, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## Secrets\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var shown []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| (yes|no) \\|$").FindAllStringSubmatch(section, -1) {
		for of := range strings.SplitSeq(m[2], ", ") {
			shown = append(shown, of+" "+m[1]+" "+m[3])
		}
	}
	slices.Sort(shown)
	places := map[string]bool{}
	for name, of := range map[string]string{"inventory": "`hosts.yaml`", "hypervisor": "hypervisor", "lxc": "container"} {
		w := secretWalk{places: places, of: of, root: schemaTree(t, name)}
		if name == "lxc" {
			w.visit("", w.def("#/$defs/container"), nil)
		} else {
			w.visit("", w.root, nil)
		}
	}
	var want []string
	for p := range places {
		want = append(want, p)
	}
	slices.Sort(want)
	if len(want) < 10 {
		t.Fatalf("the schemas have %v: the search is broken", want)
	}
	if !slices.Equal(shown, want) {
		t.Errorf("docs/configuration.md lists\n%s\nand the schemas have\n%s", strings.Join(shown, "\n"), strings.Join(want, "\n"))
	}
}

func schemaTree(t *testing.T, name string) map[string]any {
	t.Helper()
	o := finish(t, documentCommand(t.Context(), t.TempDir(), "phoenix", "schema", name)).want(t, 0)
	var tree map[string]any
	if err := json.Unmarshal([]byte(o.stdout), &tree); err != nil {
		t.Fatalf("parse schema %s: %v", name, err)
	}
	return tree
}

// secretWalk finds where a schema takes {"secret": "NAME"}.
type secretWalk struct {
	root   map[string]any
	of     string
	places map[string]bool
}

// def follows a pointer into the schema's definitions.
func (w secretWalk) def(pointer string) map[string]any {
	defs, _ := w.root["$defs"].(map[string]any)
	part, _ := defs[strings.TrimPrefix(pointer, "#/$defs/")].(map[string]any)
	return part
}

// visit goes through the keys below a path; names that people choose are written as *.
func (w secretWalk) visit(path string, part map[string]any, above []string) {
	if ref, is := part["$ref"].(string); is {
		if slices.Contains(above, ref) {
			return
		}
		w.visit(path, w.def(ref), append(above, ref))
	}
	keys, _ := part["properties"].(map[string]any)
	if _, takes := keys["secret"]; takes && len(keys) == 1 {
		text := "no"
		if types, several := part["type"].([]any); several && slices.Contains(types, any("string")) {
			text = "yes"
		}
		if w.of == "`hosts.yaml`" { // a host, a group and all hosts have the same settings
			path = path[strings.LastIndex(path, ".")+1:]
		}
		w.places[w.of+" "+path+" "+text] = true
		return
	}
	for key, p := range keys {
		w.below(strings.TrimPrefix(path+"."+key, "."), p, above)
	}
	patterns, _ := part["patternProperties"].(map[string]any)
	for _, p := range patterns {
		w.below(path+".*", p, above)
	}
	w.below(path+".*", part["additionalProperties"], above)
	w.below(path+".*", part["items"], above)
}

func (w secretWalk) below(path string, part any, above []string) {
	if p, is := part.(map[string]any); is {
		w.visit(path, p, above)
	}
}

// TestInventoriesOfExamplesForTheLabSayWhatTheyNeed: the variables of their secrets, and
// the consent of a run.
func TestInventoriesOfExamplesForTheLabSayWhatTheyNeed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repositoryRoot, "examples", "*", "lab.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(file))
		head, body, _ := strings.Cut(string(data), "\nversion:")
		need := []string{"examples/" + name + "/lab.yaml"}
		if name == "hypervisor" || len(consents(name)) > 0 {
			need = append(need, "lab.yaml --allow-reboot")
		}
		for _, m := range regexp.MustCompile(`env: (\w+)`).FindAllStringSubmatch(body, -1) {
			need = append(need, m[1])
		}
		for _, n := range need {
			if !strings.Contains(head, n) {
				t.Errorf("the head of %s does not name %s", file, n)
			}
		}
	}
}
