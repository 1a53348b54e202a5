package inventory

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory/gpulock"
	"phoenix/inventory/secrets"
	"phoenix/schemas"
	"phoenix/tasks/kind"
	"phoenix/tasks/kind/application"
	"phoenix/tasks/kind/arc"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/guestfirewall"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/kind/network"
	"phoenix/tasks/kind/nfs"
	"phoenix/tasks/kind/nvidia"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/samba"
	"phoenix/tasks/kind/script"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/kind/zpool"
	"phoenix/tasks/ruleset"
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
	case reflect.TypeFor[lxc.Assignment]():
		return []string{"integer", "string", "array", "object"}
	case reflect.TypeFor[lxc.Taking]():
		return []string{"boolean", "string"}
	case reflect.TypeFor[oneOrMore]():
		return []string{"string", "array"}
	case reflect.TypeFor[mig.Layout](), reflect.TypeFor[health.Command]():
		return []string{"string", "array"}
	case reflect.TypeFor[health.Statuses]():
		return []string{"integer", "array"}
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
	case t == reflect.TypeFor[oneOrMore](), t == reflect.TypeFor[containers](), t == reflect.TypeFor[mig.Layout](), t == reflect.TypeFor[health.Command](), t == reflect.TypeFor[health.Statuses]():
	case t == reflect.TypeFor[lxc.Assignment]():
		w.fields(path, s, reflect.TypeFor[gpulock.Request](), nil)
	case t.Kind() == reflect.Struct:
		w.fields(path, s, t, nil)
	case t.Kind() == reflect.Slice:
		w.compare(path+"[]", s.Items, t.Elem())
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		w.compare(path+".*", w.mapValue(s), t.Elem())
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
	for _, f := range flat(t) {
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

// flat lists the fields of a struct, those of inlined ones in their place.
func flat(t reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for f := range t.Fields() {
		if f.Tag.Get("json") == ",inline" {
			out = append(out, flat(f.Type)...)
			continue
		}
		if f.IsExported() {
			out = append(out, f)
		}
	}
	return out
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
		w.fields("", w.root, doc, []string{"storage", "files", "services", "users", "steps", "health_checks", "zfs"}, "zfs", "storage", "files", "services", "users", "steps", "health_checks")
		for field, key := range map[string]string{"Storage": "id", "Files": "path", "Services": "name"} {
			f, _ := doc.FieldByName(field)
			name := f.Tag.Get("json")
			w.fields(name+".*", w.mapValue(w.root.Properties[name]), f.Type.Elem(), []string{key})
		}
	})
	t.Run("users, steps and health checks", func(t *testing.T) {
		w := walker{t, readSchema(t, "hypervisor")}
		entry := func(section string) *schema { return w.mapValue(w.root.Properties[section]) }
		w.fields("users.*", entry("users"), reflect.TypeFor[user.Spec](), []string{"name"}, "pve")
		w.fields("users.*.pve", w.root.Defs["pve_user"], reflect.TypeFor[pveuser.Spec](), []string{"name"})
		w.fields("steps.*", entry("steps"), reflect.TypeFor[script.Spec](), []string{"name", "check", "apply"}, "check", "apply", "needs", "timeout_s")
		w.fields("steps/NAME/step.json", w.root.Defs["step_folder"], reflect.TypeFor[script.Spec](), []string{"name", "check", "apply"}, "needs", "timeout_s")
		w.fields("features/NAME/feature.json", readSchema(t, "feature"), reflect.TypeFor[script.Spec](), []string{"name", "env", "check", "apply"}, "$schema", "description", "for", "parameters", "check", "apply", "needs", "timeout_s")
		w.fields("health_checks.*", entry("health_checks"), reflect.TypeFor[health.Spec](), []string{"name"}, "after")
	})
	t.Run("network", func(t *testing.T) {
		w := walker{t, readSchema(t, "hypervisor")}
		bridges := w.root.Defs["network"].Properties["bridges"]
		w.fields("network.bridges.*", w.mapValue(bridges), reflect.TypeFor[network.Bridge](), nil)
	})
	t.Run("nfs, samba and firewall", func(t *testing.T) {
		w := walker{t, readSchema(t, "hypervisor")}
		in := func(def, key string) *schema { return w.mapValue(w.root.Defs[def].Properties[key]) }
		w.fields("nfs.exports.*", in("nfs", "exports"), reflect.TypeFor[nfs.Export](), nil)
		w.fields("samba.shares.*", in("samba", "shares"), reflect.TypeFor[samba.Share](), nil)
		w.fields("samba.users.*", in("samba", "users"), reflect.TypeFor[samba.User](), nil)
		w.fields("firewall.cluster.groups.*[]", w.root.Defs["firewall_rule"], reflect.TypeFor[ruleset.Rule](), nil)
	})
	t.Run("zfs", func(t *testing.T) {
		w := walker{t, readSchema(t, "hypervisor")}
		section := w.root.Defs["zfs"]
		w.fields("zfs", section, reflect.TypeFor[zfsDoc](), []string{"pools", "datasets"}, "pools", "datasets")
		w.fields("zfs.pools.*", w.mapValue(section.Properties["pools"]), reflect.TypeFor[zpool.Spec](), []string{"name"})
		w.fields("zfs.datasets.*", w.mapValue(section.Properties["datasets"]), reflect.TypeFor[dataset.Spec](), []string{"name"})
		w.fields("zfs.arc_max_gb", &schema{Additional: json.RawMessage("false"), Properties: map[string]*schema{"arc_max_gb": section.Properties["arc_max_gb"]}}, reflect.TypeFor[arc.Spec](), nil)
	})
	t.Run("lxc", func(t *testing.T) {
		w := walker{t, readSchema(t, "lxc")}
		containerKeys := append(insideKeys(), "profiles", "host", "firewall", "health_checks", "gpu_memory_gb")
		for _, key := range []string{"lxc_configs", "profiles"} {
			w.fields(key+".*", w.mapValue(w.root.Properties[key]), reflect.TypeFor[lxc.Spec](), []string{"ctid", "nodes", "stage", "inside", "gpu_ledger"}, containerKeys...)
		}
		w.fields("defaults", w.root.Properties["defaults"], reflect.TypeFor[lxc.Spec](), []string{"ctid", "nodes", "stage", "inside", "gpu_ledger"}, containerKeys...)
	})
	t.Run("what is inside a container", func(t *testing.T) {
		w := walker{t, readSchema(t, "lxc")}
		w.fields("files.*", w.root.Defs["file"], reflect.TypeFor[file.Spec](), []string{"path"})
		w.fields("application_script", w.root.Defs["application_script"], reflect.TypeFor[application.Spec](), []string{"check", "apply"}, "check", "apply", "timeout_s")
		w.fields("nvidia.runfile", w.root.Defs["nvidia_runfile"], reflect.TypeFor[nvidia.Runfile](), nil)
		for name, family := range built() {
			k, known := kind.All()[family]
			if !known || w.root.Defs[name] == nil {
				t.Errorf("%s has no family or no schema", name)
				continue
			}
			w.compare(name, w.root.Defs[name], reflect.TypeOf(k.New()))
		}
	})
	t.Run("the health checks of a container", func(t *testing.T) {
		w := walker{t, readSchema(t, "lxc")}
		w.fields("health_checks.*", w.root.Defs["health_check"], reflect.TypeFor[health.Spec](), []string{"name"})
	})
	t.Run("the firewall of a container", func(t *testing.T) {
		w := walker{t, readSchema(t, "lxc")}
		w.fields("firewall", w.root.Defs["firewall"], reflect.TypeFor[guestfirewall.Spec](), []string{"ctid"})
		w.fields("firewall.rules[]", w.root.Defs["firewall_rule"], reflect.TypeFor[ruleset.Rule](), nil)
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
	plain := []string{"version", "port", "tensor_parallel_size", "gpu_memory_utilization", "max_model_len", "tunnel_port", "agent_port", "cores", "cpu_limit", "cpu_units", "owner_uid", "owner_gid", "uid", "gid", "vlan", "mtu", "ashift", "boot_order", "tty_count", "exit_code", "retries", "clone_from_ctid", "container_id", "host_id", "count", "snapshot_retention", "max_workers", "max_workers_per_storage"}
	for _, name := range []string{"hypervisor", "lxc", "inventory", "feature"} {
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
