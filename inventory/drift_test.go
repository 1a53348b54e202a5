package inventory

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory/secrets"
	"phoenix/schemas"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/secret"
)

// schema is a JSON Schema as far as drift can happen.
type schema struct {
	Ref         string             `json:"$ref"`
	Description string             `json:"description"`
	Type        json.RawMessage    `json:"type"`
	Const       json.RawMessage    `json:"const"`
	Enum        []string           `json:"enum"`
	Properties  map[string]*schema `json:"properties"`
	Additional  json.RawMessage    `json:"additionalProperties"`
	Patterns    map[string]*schema `json:"patternProperties"`
	Items       *schema            `json:"items"`
	Defs        map[string]*schema `json:"$defs"`
}

func readSchema(t *testing.T, name string) *schema {
	t.Helper()
	data, err := schemas.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	s := new(schema)
	if err := json.Unmarshal(data, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// walker compares schemas and Go types both ways.
type walker struct {
	t    *testing.T
	root *schema
}

func (w walker) resolve(s *schema) *schema {
	for s.Ref != "" {
		path := strings.Split(strings.TrimPrefix(s.Ref, "#/"), "/")
		next := w.root.Defs[path[1]]
		if len(path) == 4 {
			next = next.Properties[path[3]]
		}
		s = next
	}
	return s
}

func (w walker) types(s *schema) []string {
	switch {
	case s.Const != nil:
		return []string{"integer"}
	case s.Enum != nil:
		return []string{"string"}
	}
	var one string
	if json.Unmarshal(s.Type, &one) == nil {
		return []string{one}
	}
	var many []string
	if err := json.Unmarshal(s.Type, &many); err != nil && s.Type != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(many, func(t string) bool { return t == "null" })
}

// jsonTypes are the JSON types that a Go type reads.
func jsonTypes(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[secret.Text]():
		return []string{"string", "object"}
	case reflect.TypeFor[lxc.Interfaces]():
		return []string{"object", "array"}
	case reflect.TypeFor[oneOrMore]():
		return []string{"string", "array"}
	case reflect.TypeFor[containers]():
		return []string{"integer", "string", "array"}
	}
	switch t.Kind() {
	case reflect.Int:
		return []string{"integer"}
	case reflect.Float64:
		return []string{"number"}
	case reflect.Bool:
		return []string{"boolean"}
	case reflect.String:
		return []string{"string"}
	case reflect.Slice:
		return []string{"array"}
	}
	return []string{"object"}
}

func (w walker) compare(path string, s *schema, t reflect.Type) {
	s = w.resolve(s)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if got := w.types(s); !slices.Equal(got, jsonTypes(t)) {
		w.t.Errorf("%s: the schema has %v, %s reads %v", path, got, t, jsonTypes(t))
	}
	switch {
	case t == reflect.TypeFor[secret.Text]():
		w.fields(path, s, reflect.TypeFor[secret.Ref](), nil)
	case t == reflect.TypeFor[lxc.Interfaces]():
		w.fields(path, s, t.Elem(), nil)
		w.compare(path+"[]", s.Items, t.Elem())
	case t == reflect.TypeFor[oneOrMore](), t == reflect.TypeFor[containers]():
	case t.Kind() == reflect.Struct:
		w.fields(path, s, t, nil)
	case t.Kind() == reflect.Slice:
		w.compare(path+"[]", s.Items, t.Elem())
	}
}

// fields compares an object and a struct. missing are the fields that the document
// has in another form: as the key of a map.
func (w walker) fields(path string, s *schema, t reflect.Type, missing []string, also ...string) {
	s = w.resolve(s)
	if string(s.Additional) != "false" {
		w.t.Errorf("%s: unknown keys are allowed", path)
	}
	known := slices.Clone(also)
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if slices.Contains(missing, key) {
			continue
		}
		known = append(known, key)
		if p := s.Properties[key]; p != nil {
			w.compare(path+"."+key, p, f.Type)
		} else {
			w.t.Errorf("%s: %s reads %q, which the schema lacks", path, t, key)
		}
	}
	for key, p := range s.Properties {
		if !slices.Contains(known, key) {
			w.t.Errorf("%s: the schema has %q, which %s does not read", path, key, t)
		}
		if p.Description == "" && w.resolve(p).Description == "" {
			w.t.Errorf("%s.%s has no description", path, key)
		}
	}
}

// mapValue is the schema of the values of a map.
func (w walker) mapValue(s *schema) *schema {
	for _, v := range w.resolve(s).Patterns {
		return v
	}
	w.t.Fatal("the object has no patternProperties")
	return nil
}

func TestSchemasAndTypesDoNotDriftApart(t *testing.T) {
	t.Run("hypervisor", func(t *testing.T) {
		w := walker{t, readSchema(t, "hypervisor")}
		doc := reflect.TypeFor[hypervisorDoc]()
		w.fields("", w.root, doc, []string{"storage", "files", "services"}, "storage", "files", "services")
		for field, key := range map[string]string{"Storage": "id", "Files": "path", "Services": "name"} {
			f, _ := doc.FieldByName(field)
			name := f.Tag.Get("json")
			w.fields(name+".*", w.mapValue(w.root.Properties[name]), f.Type.Elem(), []string{key})
		}
	})
	t.Run("lxc", func(t *testing.T) {
		w := walker{t, readSchema(t, "lxc")}
		for _, key := range []string{"lxc_configs", "profiles"} {
			w.fields(key+".*", w.mapValue(w.root.Properties[key]), reflect.TypeFor[lxc.Spec](), []string{"ctid"}, "profiles", "host")
		}
		w.fields("defaults", w.root.Properties["defaults"], reflect.TypeFor[lxc.Spec](), []string{"ctid"}, "profiles", "host")
	})
	t.Run("inventory", func(t *testing.T) {
		w := walker{t, readSchema(t, "inventory")}
		typ := reflect.TypeFor[settings]()
		w.fields("defaults", w.root.Properties["defaults"], typ, nil)
		w.fields("groups.*", w.mapValue(w.root.Properties["groups"]), typ, nil, "hosts", "children")
		w.fields("hosts.*", w.mapValue(w.root.Properties["hosts"]), typ, nil, "groups")
		w.fields("secrets.*", w.mapValue(w.root.Properties["secrets"]), reflect.TypeFor[secrets.Source](), nil)
	})
}

func TestEveryQuantityHasItsUnitInItsName(t *testing.T) {
	// Numbers that count or name something have no unit.
	plain := []string{"version", "port", "cores", "cpu_limit", "cpu_units", "owner_uid", "owner_gid", "uid", "gid", "vlan", "mtu", "boot_order", "tty_count"}
	for _, name := range []string{"hypervisor", "lxc", "inventory"} {
		w := walker{t, readSchema(t, name)}
		var visit func(path string, s *schema)
		visit = func(path string, s *schema) {
			for key, p := range s.Properties {
				types := w.types(w.resolve(p))
				unit := slices.ContainsFunc([]string{"_s", "_mb", "_gb", "_mbs"}, func(u string) bool { return strings.HasSuffix(key, u) })
				if len(types) == 1 && (types[0] == "integer" || types[0] == "number") && !unit && !slices.Contains(plain, key) {
					t.Errorf("%s: %s.%s is a number without a unit", name, path, key)
				}
			}
			for key, d := range s.Defs {
				visit(fmt.Sprintf("%s/%s", path, key), d)
			}
		}
		visit("", w.root)
	}
}
