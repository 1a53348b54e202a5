package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHypervisorExampleOnTheLab runs the example as its document says, on both releases.
func TestHypervisorExampleOnTheLab(t *testing.T) {
	for _, release := range []string{"8.4", "9.1"} {
		t.Run("Proxmox VE "+release, func(t *testing.T) {
			t.Parallel()
			comesUpOnTheLab(t, "hypervisor", release, "--allow-reboot")
		})
	}
}

// notInExample are the keys of the schema that the example has no use for, and why.
func notInExample() map[string]string {
	out := map[string]string{
		"template.sha512": "Proxmox's signed index has the checksums",
		"runfile.path":    "there is an url instead",
		"dns.domain":      "there is search instead",
		"feature.$schema": "it is for editors",
	}
	for _, key := range strings.Fields("check.http check.tcp header.secret http.url http.method http.headers http.status http.contains http.matches http.insecure http.follow_redirects tcp.address") {
		out["health_"+key] = "examples/docker-host asks web servers and ports"
	}
	return out
}

// TestHypervisorExampleSaysEverything wants every key of the schema in the example.
func TestHypervisorExampleSaysEverything(t *testing.T) {
	schema := readJSON(t, repositoryRoot+"/schemas/hypervisor.schema.json")
	u := usage{defs: schema["$defs"].(map[string]any), used: map[string]bool{}}
	u.walk("", schema, readJSON(t, exampleDir+"/phoenix_hypervisor_config.json"))
	u.walk("step_folder", u.defs["step_folder"], readJSON(t, exampleDir+"/steps/smart/step.json"))
	u.defs["feature"] = readJSON(t, repositoryRoot+"/schemas/feature.schema.json")
	u.walk("feature", u.defs["feature"], readJSON(t, exampleDir+"/features/scrub/feature.json"))
	except := notInExample()
	for name, def := range u.defs {
		properties, _ := def.(map[string]any)["properties"].(map[string]any)
		for key := range properties {
			switch at := name + "." + key; {
			case !u.used[at] && except[at] == "":
				t.Errorf("the example does not say %s", at)
			case u.used[at] && except[at] != "":
				t.Errorf("the example says %s, although %s", at, except[at])
			}
		}
	}
}

func readJSON(t *testing.T, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(plainJSON(data), &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}

// usage finds which keys of a schema a document uses: "storage.path".
type usage struct {
	defs map[string]any
	used map[string]bool
}

func (u usage) walk(def string, schema, value any) {
	s, ok := schema.(map[string]any)
	if !ok {
		return
	}
	if ref, is := s["$ref"].(string); is {
		if name := path.Base(ref); strings.Count(ref, "/") == 2 {
			u.walk(name, u.defs[name], value)
		}
		return
	}
	for _, of := range []string{"oneOf", "anyOf", "allOf"} {
		list, _ := s[of].([]any)
		for _, one := range list {
			u.walk(def, one, value)
		}
	}
	switch v := value.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		patterns, _ := s["patternProperties"].(map[string]any)
		for key, child := range v {
			if p, known := properties[key]; known {
				u.used[def+"."+key] = true
				u.walk(def, p, child)
				continue
			}
			for _, p := range patterns {
				u.walk(def, p, child)
			}
			u.walk(def, s["additionalProperties"], child)
		}
	case []any:
		for _, child := range v {
			u.walk(def, s["items"], child)
		}
	}
}

// notByHand are the keys of the example that nobody can change on a host, and why.
func notByHand() map[string]string {
	return map[string]string{
		"version": "is about the file", "apt.cache_max_age_s": "says how", "apt.lock_timeout_s": "says how",
		"network.confirm_timeout_s": "says how", "firewall.confirm_timeout_s": "says how",
		"nvidia.install": "says how", "nvidia.runfile.url": "says how", "nvidia.runfile.sha256": "says how",
		"nvidia.gpu_policy": "is a rule for containers", "nvidia.gpus.1.policy": "is a rule for containers", "nvidia.mig.0": "is so of a card that has no MIG",
		"steps.vzdump.needs": "says when", "steps.vzdump.timeout_s": "says how", "steps.vzdump.interpreter": "says how",
		"templates.0.storage": "says where", "templates.1.storage": "says where",
		"users.ann.pve.realm": "is part of the name", "users.audit.pve.realm": "is part of the name",
		"users.media.system":     "counts when the user is made",
		"storage.backup.type":    "fails the step when it is another", // tasks/kind/storage tests it
		"storage.fast.type":      "fails the step when it is another",
		"storage.nas.type":       "fails the step when it is another",
		"storage.office.type":    "fails the step when it is another",
		"storage.thin.type":      "fails the step when it is another",
		"health_checks.web":      "is asked, and nothing that a run makes",
		"health_checks.pools":    "is asked, and nothing that a run makes",
		"storage.templates.type": "fails the step when it is another",
	}
}

// TestHypervisorExampleByHand holds the table of changes to the example: each key of
// it is changed by hand, or it is said why it cannot be.
func TestHypervisorExampleByHand(t *testing.T) {
	keys := map[string]bool{}
	leaves("", readJSON(t, exampleDir+"/phoenix_hypervisor_config.json"), keys)
	changed := map[string]bool{}
	for _, h := range hands() {
		changed[h.key] = true
	}
	except := notByHand()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		why, excepted := except[key]
		switch {
		case !changed[key] && !excepted:
			t.Errorf("%s is not changed by hand", key)
		case changed[key] && excepted:
			t.Errorf("%s is changed by hand, although it %s", key, why)
		}
	}
	for key := range except {
		if !keys[key] {
			t.Errorf("the example has no %s", key)
		}
	}
}

// leaves lists the paths of what is neither an object nor a list of objects.
func leaves(at string, v any, into map[string]bool) {
	below := func(key string) string { return strings.TrimPrefix(at+"."+key, ".") }
	switch v := v.(type) {
	case map[string]any:
		if _, secret := v["secret"]; !secret && !strings.HasPrefix(at, "health_checks.") {
			for key, child := range v {
				leaves(below(key), child, into)
			}
			return
		}
	case []any:
		if len(v) > 0 {
			if _, objects := v[0].(map[string]any); objects && !strings.HasSuffix(at, ".acl") && !strings.HasPrefix(at, "firewall.cluster.groups.") {
				for i, child := range v {
					leaves(below(fmt.Sprint(i)), child, into)
				}
				return
			}
		}
	}
	if i := strings.Index(at, ".rules."); i >= 0 && strings.HasPrefix(at, "firewall.") {
		at = strings.Join(strings.Split(at, ".")[:4], ".") // a rule is one line
	}
	into[at] = true
}

// plainJSON takes comments and trailing commas out.
func plainJSON(data []byte) []byte {
	token := regexp.MustCompile(`"(?:\\.|[^"\\])*"|//[^\n]*`)
	plain := token.ReplaceAllFunc(data, func(m []byte) []byte {
		if m[0] == '/' {
			return nil
		}
		return m
	})
	return regexp.MustCompile(`,(\s*[}\]])`).ReplaceAll(plain, []byte("$1"))
}
