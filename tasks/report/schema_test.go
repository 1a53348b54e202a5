package report

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"phoenix/tasks"
)

const schemaPath = "../../schemas/report.schema.json"

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, r Report) error {
	t.Helper()
	var b bytes.Buffer
	if err := WriteJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestEveryPrefixOfAStreamHasAValidReport(t *testing.T) {
	s := compiled(t)
	for _, name := range []string{"mixed.ndjson", "check.ndjson"} {
		events := fixture(t, name)
		for n := 1; n <= len(events); n++ {
			if err := validate(t, s, Build(events[:n])); err != nil {
				t.Fatalf("%s, first %d events: %v", name, n, err)
			}
		}
	}
}

func TestTheSchemaRefusesWhatIsNoReport(t *testing.T) {
	s := compiled(t)
	for name, spoil := range map[string]func(*Report){
		"another format":      func(r *Report) { r.Schema = "phoenix.report/v2" },
		"an unknown status":   func(r *Report) { r.Hosts[0].Status = "fine" },
		"an unknown exit":     func(r *Report) { r.ExitCode = 3 },
		"an unknown effect":   func(r *Report) { r.Hosts[0].Steps[1].Changes[0].Effect = "magic" },
		"a negative duration": func(r *Report) { r.Hosts[0].DurationMS = -1 },
	} {
		r := Build(fixture(t, "mixed.ndjson"))
		spoil(&r)
		if validate(t, s, r) == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

// TestTheSchemaAndTheTypeHaveTheSameKeys walks both, so that neither can gain or lose
// a key without the other.
func TestTheSchemaAndTheTypeHaveTheSameKeys(t *testing.T) {
	raw, err := os.ReadFile(schemaPath)
	if err != nil {
		t.Fatal(err)
	}
	var doc node
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	w := walker{t: t, defs: doc.Defs}
	w.walk("report", reflect.TypeFor[Report](), doc)
}

type node struct {
	Ref         string          `json:"$ref"`
	Description string          `json:"description"`
	Properties  map[string]node `json:"properties"`
	Required    []string        `json:"required"`
	Items       *node           `json:"items"`
	Defs        map[string]node `json:"$defs"`
}

type walker struct {
	t    *testing.T
	defs map[string]node
}

func (w walker) walk(at string, typ reflect.Type, n node) {
	if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
		n = w.defs[name]
	}
	switch {
	case typ == reflect.TypeFor[time.Time]() || typ == reflect.TypeFor[json.RawMessage]():
	case typ.Kind() == reflect.Pointer:
		w.walk(at, typ.Elem(), n)
	case typ.Kind() == reflect.Slice:
		if n.Items == nil {
			w.t.Errorf("%s: no items in the schema", at)
			return
		}
		w.walk(at+".*", typ.Elem(), *n.Items)
	case typ.Kind() == reflect.Struct:
		w.fields(at, typ, n)
	}
}

func (w walker) fields(at string, typ reflect.Type, n node) {
	seen := 0
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous {
			continue
		}
		key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		p, ok := n.Properties[key]
		if !ok {
			w.t.Errorf("%s.%s is in the type and not in the schema", at, key)
			continue
		}
		seen++
		if optional := option != ""; optional == slices.Contains(n.Required, key) {
			w.t.Errorf("%s.%s: required in the schema: %v, always written by the type: %v", at, key, !optional, !optional)
		}
		if p.Description == "" {
			w.t.Errorf("%s.%s has no description", at, key)
		}
		w.walk(at+"."+key, f.Type, p)
	}
	if seen != len(n.Properties) {
		w.t.Errorf("%s: the schema has %d keys, the type %d of them", at, len(n.Properties), seen)
	}
}

func TestTheSchemaListsEveryStatus(t *testing.T) {
	s := compiled(t)
	r := Build(fixture(t, "mixed.ndjson"))
	for _, status := range []tasks.Status{tasks.StatusOK, tasks.StatusChanged, tasks.StatusWouldChange, tasks.StatusFailed, tasks.StatusSkipped, tasks.StatusUnknown} {
		for _, cause := range []tasks.Cause{tasks.CauseNone, tasks.CauseNeed, tasks.CauseRefused, tasks.CausePending, tasks.CauseCanceled, tasks.CauseTimeout, tasks.CauseNotApplied} {
			r.Hosts[0].Steps[0].Result = tasks.Result{Status: status, Cause: cause}
			if err := validate(t, s, r); err != nil {
				t.Fatalf("%s, %s: %v", status, cause, err)
			}
		}
	}
}
