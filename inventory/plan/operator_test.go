package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/inventory/diag"
	"phoenix/tasks/kind"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/script"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/secret"
)

// operated is a host with users, steps and health checks.
func operated() *inventory.Host {
	h := host()
	v := h.Hypervisor
	v.Users = []user.Spec{{Name: "ann", PasswordHash: &secret.Ref{Name: "ann_hash"}}}
	v.PVEUsers = []pveuser.Spec{{Name: "ann"}, {Name: "bob"}, {Name: "carl", Realm: "pve"}}
	v.Scripts = []inventory.Script{
		{Spec: script.Spec{Name: "late", Check: "true", Apply: "true"}, Needs: []inventory.Need{{Step: "script:early"}, {Step: "lxc:900"}}, TimeoutS: 7},
		{Spec: script.Spec{Name: "early", Check: "true", Apply: "true"}, Needs: []inventory.Need{{Step: "user:ann"}, {Step: "user:ann"}}},
	}
	v.Features = []inventory.Script{{Spec: script.Spec{Name: "early", Check: "true", Apply: "true", Env: map[string]string{"PHOENIX_PARAMETERS": "{}"}}, Needs: []inventory.Need{{Step: "script:early"}}, TimeoutS: 9}}
	v.HealthChecks = []inventory.HealthCheck{{Spec: health.Spec{Name: "up", Command: health.Command{Script: "true"}, Retries: 1}, After: []inventory.Need{{Step: "script:late"}}}}
	return h
}

func TestUsersStepsAndHealthChecksHaveTheirStepsAndNeeds(t *testing.T) {
	p := build(t, operated(), Selection{Tags: []string{"users", "features", "steps", "health_checks"}})
	var got []string
	for _, s := range p.Steps {
		got = append(got, fmt.Sprintf("%s <- %s, %d s", s.ID, strings.Join(s.Needs, " "), s.TimeoutS))
		if _, err := kind.All().Decode(s); err != nil {
			t.Error(err)
		}
	}
	limit := (&health.Spec{Retries: 1}).LimitS()
	want := []string{
		"user:ann <- , 0 s", "pveuser:ann@pam <- user:ann, 0 s", "pveuser:bob@pam <- , 0 s", "pveuser:carl@pve <- , 0 s",
		"feature:early <- script:early, 9 s", "script:late <- script:early, 7 s", "script:early <- user:ann, 0 s", fmt.Sprintf("health:up <- script:late, %d s", limit),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(p.Secrets) != 1 || p.Secrets[0] != "ann_hash" {
		t.Errorf("secrets %v", p.Secrets)
	}
}

func TestHealthChecksComeLast(t *testing.T) {
	p := build(t, operated(), Selection{})
	if last := p.Steps[len(p.Steps)-1].ID; last != "health:up" {
		t.Errorf("the last step is %s", last)
	}
	for _, s := range p.Steps {
		if s.ID == "user:ann" && strings.Join(s.Needs, " ") != "apt:packages" {
			t.Errorf("a user needs %q", s.Needs)
		}
	}
}

func faults(t *testing.T, hypervisor string) diag.List {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n  pve2: {address: 10.0.0.2, hypervisor: h.json}\n", "h.json": hypervisor,
		"features/f/feature.json": `{"description":"x","check":"s","apply":"s","needs": ["apt:packages"]}`, "features/f/s": "true"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fleet, found := inventory.Load(t.Context(), inventory.Options{UID: os.Getuid()})
	if fleet == nil {
		t.Fatal(found)
	}
	return Faults(fleet)
}

func TestNeedsThatNoStepFulfilsHaveTheirPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"all there": {`{"version":1,"apt":{"packages":["jq"]},"steps":{"a":{"check":"x","apply":"x","needs":["apt:packages"]}}}`, nil},
		"a misspelt need": {`{"version":1,"apt":{"packages":["jq"]},"steps":{"a":{"check":"x","apply":"x","needs":["apt:package"]}}}`,
			[]string{"h.json:1:87: steps.a.needs.0: host pve1 has no step apt:package (did you mean apt:packages?)"}},
		"a misspelt after": {`{"version":1,"health_checks":{"a":{"command":"x","after":["lxc:900"]}}}`,
			[]string{"h.json:1:59: health_checks.a.after.0: host pve1 has no step lxc:900 (such as"}},
		"a feature's need, however many hosts use it": {`{"version":1,"features":{"f":{}}}`,
			[]string{"features/f/feature.json:1:54: needs.0: host pve1 has no step apt:packages (such as"}},
		"a circle": {`{"version":1,"steps":{"a":{"check":"x","apply":"x","needs":["script:b"]},"b":{"check":"x","apply":"x","needs":["script:a"]}}}`,
			[]string{"h.json:1:61: steps.a.needs.0: plan pve1: order steps: dependency cycle script:a -> script:b -> script:a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := faults(t, tc.text)
			if len(got) != len(tc.want) {
				t.Fatalf("got %v, want %q", got, tc.want)
			}
			for i, d := range got {
				if !strings.HasPrefix(d.Error(), tc.want[i]) {
					t.Errorf("got %s\nwant %s", d.Error(), tc.want[i])
				}
			}
		})
	}
}

func TestUsers_theKeysOfRootAreAStepOfTheirOwn(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{Users: []user.Spec{
		{Name: "root", Shell: "/bin/bash", AuthorizedKeys: []string{"ssh-ed25519 AAAA ann"}, ExclusiveKeys: true},
		{Name: "ann", AuthorizedKeys: []string{"ssh-ed25519 AAAA ann"}},
	}}}
	want := map[string]string{
		"user:root":      `{"name":"root","shell":"/bin/bash"}`,
		"user:root/keys": `{"name":"root","authorized_keys":["ssh-ed25519 AAAA ann"],"exclusive_keys":true}`,
	}
	p := build(t, h, Selection{Tags: []string{"user:root"}})
	for _, s := range p.Steps {
		if string(s.Spec) != want[s.ID] {
			t.Errorf("%s is %s, want %s", s.ID, s.Spec, want[s.ID])
		}
	}
	if len(p.Steps) != 2 || !slices.Equal(p.Steps[1].Needs, []string{"user:root"}) {
		t.Errorf("steps %+v", p.Steps)
	}
}
