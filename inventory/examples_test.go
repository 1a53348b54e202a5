package inventory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory/diag"
)

// sharedCards is what phoenix warns of in the example that is to show it.
func sharedCards() string {
	return `profiles.vllm.gpu_assignment: container 951 shares GPUs: 0 with container 950; 1 with container 950
lxc_configs.955.gpu_assignment: container 955 shares GPUs: 0 with container 950
lxc_configs.957.gpu_assignment: container 957 shares GPUs: 1 with container 950
`
}

func loadExample(t *testing.T, name string) *Fleet {
	t.Helper()
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "id_ed25519"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fleet, found := Load(context.Background(), Options{Sources: []string{filepath.Join("..", "examples", name, "hosts.yaml")}, Home: home, UID: os.Getuid()})
	if warned := warnings(found); name == "services" && warned == sharedCards() {
		return fleet
	}
	if len(found) > 0 {
		var b strings.Builder
		_ = found.Render(&b, struct{ Color, Caret bool }{Caret: true}) // a Builder takes everything
		t.Fatalf("%s:\n%s", name, b.String())
	}
	return fleet
}

// warnings lists the paths and texts of warnings; it is empty when there is more.
func warnings(found diag.List) string {
	var b strings.Builder
	for _, d := range found {
		if d.Severity != diag.Warning {
			return ""
		}
		fmt.Fprintf(&b, "%s: %s\n", d.Path, d.Summary)
	}
	return b.String()
}

func TestEveryExampleValidates(t *testing.T) {
	dirs, err := filepath.Glob("../examples/*/hosts.yaml")
	if err != nil || len(dirs) < 2 {
		t.Fatalf("%v, %v", dirs, err)
	}
	used := make(map[string]bool)
	for _, d := range dirs {
		name := filepath.Base(filepath.Dir(d))
		for _, h := range loadExample(t, name).Hosts {
			for _, s := range h.Settings() {
				if s.Key == "lxc" || s.Key == "hypervisor" {
					used[filepath.Join(filepath.Dir(d), s.Value)] = true
				}
			}
		}
	}
	all, err := filepath.Glob("../examples/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if !used[file] {
			t.Errorf("%s belongs to no inventory, so nothing validates it", file)
		}
	}
}

func TestTheLabExampleMeansWhatItSays(t *testing.T) {
	f := loadExample(t, "lab")
	var got []string
	for _, h := range f.Hosts {
		line := fmt.Sprintf("%s %s %s become=%q jump=%v tz=%s", h.Name, h.Address, h.User, h.Become, h.Jump, h.Hypervisor.System.Timezone)
		for _, c := range h.Containers {
			line += fmt.Sprintf(" %d=%s,%s,%d", c.Spec.CTID, c.Spec.Name, c.Spec.NetworkConfig[0].IP, c.Spec.MemoryMB)
		}
		got = append(got, line)
	}
	want := []string{
		`pve1 pve1.lab.example phoenix become="sudo" jump=[bastion.lab.example] tz=Europe/Berlin 900=proxy,10.10.0.20/24,256`,
		`pve2 pve2.lab.example phoenix become="sudo" jump=[bastion.lab.example] tz=Europe/Berlin 901=registry,10.10.0.21/24,1024`,
		`pve3 pve3.lab.example phoenix become="sudo" jump=[bastion.lab.example] tz=Europe/Berlin 902=runner,dhcp,8192`,
		`edge1 192.0.2.10 root become="" jump=[none] tz=Europe/Berlin 100=gateway-edge1,10.20.1.2/24,512`,
		`edge2 192.0.2.20 phoenix become="sudo" jump=[bastion.lab.example admin@hop.example:2222] tz=Europe/Paris 100=gateway-edge2,10.20.2.2/24,512`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	monitor := f.Host("edge1").Hypervisor.Files[2].Content.Literal
	if want := "NAME=edge1\nADDRESS=192.0.2.10\nHOME=${HOME}\n"; monitor == nil || *monitor != want {
		t.Errorf("content %v", monitor)
	}
	if h := f.Host("pve1"); h.BecomePassword != "sudo" || !strings.HasSuffix(h.IdentityFiles[0], "/.ssh/id_ed25519") || f.Secrets["backup_key"].Age != "../examples/lab/secrets.age" {
		t.Errorf("password %q, identities %v, secrets %v", h.BecomePassword, h.IdentityFiles, f.Secrets)
	}
}

// TestTheHierarchyAsItWasWrittenFirst makes the containers with cards privileged again,
// as the scripts wanted them.
func TestTheHierarchyAsItWasWrittenFirst(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join("..", "examples", "hierarchy", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	const cards = `"gpu_assignment": "0,1"`
	lxc := read("phoenix_lxc_configs.json")
	was := strings.Replace(lxc, cards, cards+`, "unprivileged": false`, 1)
	if was == lxc {
		t.Fatalf("the example has no %s", cards)
	}
	_, got := load(t, files{
		"hosts.yaml": read("hosts.yaml"), "phoenix_hypervisor_config.json": read("phoenix_hypervisor_config.json"), "phoenix_lxc_configs.json": was,
	})
	const hint = ", of which this is a clone (a clone has the privilege of its parent: set both alike, or create this one from a template)"
	want := []string{
		"profiles.docker.pct_options.keyctl: keyctl is for unprivileged containers (take it out, or set unprivileged to true)",
		"profiles.gpu.unprivileged: unprivileged is true for container 900" + hint,
		"profiles.gpu.unprivileged: unprivileged is true for container 902" + hint,
	}
	if !slices.EqualFunc(got, want, strings.HasSuffix) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
