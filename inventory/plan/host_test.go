package plan

import (
	"fmt"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/upgrade"
)

func TestWhatAHostIsComesInAnOrder(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{
		System: &system.Spec{Timezone: "UTC", Locale: "en_US.UTF-8", Hostname: "pve1"},
		Apt:    &apt.Spec{Packages: []string{"jq"}},
		Repositories: &repository.Spec{Repositories: repository.NoSubscription, ExtraSources: map[string]repository.Source{
			"b": {URIs: []string{"http://b"}, Suites: []string{"./"}, SignedBy: "/etc/apt/keyrings/b.asc"},
			"a": {URIs: []string{"http://a"}, Suites: []string{"./"}, SignedBy: "/usr/share/keyrings/elsewhere.gpg"},
		}},
		Upgrade: &upgrade.Spec{Upgrade: upgrade.Full},
		Files:   []file.Spec{{Path: "/etc/apt/keyrings/b.asc"}, {Path: "/etc/apt/keyrings", State: "directory"}},
	}}
	var got []string
	for _, s := range build(t, h, Selection{}).Steps {
		got = append(got, fmt.Sprintf("%s <- %s", s.ID, strings.Join(s.Needs, " ")))
	}
	want := []string{
		"system:time <- ", "system:locale <- ", "system:hostname <- ",
		"apt:repositories <- file:/etc/apt/keyrings file:/etc/apt/keyrings/b.asc", "apt:packages <- apt:repositories", "apt:upgrade <- apt:repositories apt:packages",
		"reboot:host <- system:hostname apt:upgrade",
		"file:/etc/apt/keyrings/b.asc <- ", "file:/etc/apt/keyrings <- ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatChangesNothingIsNoStep(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{System: &system.Spec{}, Upgrade: &upgrade.Spec{Upgrade: upgrade.Never}}}
	if p := build(t, h, Selection{}); len(p.Steps) != 0 {
		t.Errorf("%+v", p.Steps)
	}
}
