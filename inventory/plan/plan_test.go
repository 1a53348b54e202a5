package plan

import (
	"fmt"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/template"
	"phoenix/tasks/secret"
)

func text(s string) *secret.Text { return &secret.Text{Literal: &s} }

func host() *inventory.Host {
	yes := true
	return &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{
		System:    &system.Spec{NTP: &yes},
		Apt:       &apt.Spec{Packages: []string{"curl"}},
		Storages:  []storage.Spec{{ID: "data", Type: "dir", Path: "/data"}, {ID: "tmpl", Type: "dir", Path: "/t"}},
		Templates: []template.Spec{{Name: "debian-12-standard", Storage: "tmpl"}, {Name: "alpine-3.20-default", Storage: "local"}},
		Files:     []file.Spec{{Path: "/etc/motd", Content: text("hi")}, {Path: "/etc/key", Content: &secret.Text{Ref: &secret.Ref{Name: "key"}}}},
		Services:  []service.Spec{{Name: "chrony", Active: &yes}},
	}, Containers: []inventory.Container{
		{Spec: lxc.Spec{CTID: 900, Template: "debian-12-standard_12.7-1_amd64.tar.zst", TemplateStorage: "tmpl", StoragePool: "data", Tags: []string{"Web"}}},
		{Spec: lxc.Spec{CTID: 901, Template: "tmpl:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst", Volumes: []lxc.Volume{{Storage: "data", SizeGB: 1, ContainerPath: "/d"}}, DependsOn: []int{900}}},
		{Spec: lxc.Spec{CTID: 902, Template: "alpine-3.20-default", StoragePool: "elsewhere"}},
		{Spec: lxc.Spec{CTID: 903, Template: "alpine-3.20-default", StoragePool: "data", State: lxc.StateAbsent}},
	}}
}

func build(t *testing.T, h *inventory.Host, sel Selection) Plan {
	t.Helper()
	p, err := Build(h, sel)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ids(p Plan) string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, s.ID)
	}
	return strings.Join(out, " ")
}

func TestEveryThingHasItsStepAndItsNeeds(t *testing.T) {
	var got []string
	for _, s := range build(t, host(), Selection{}).Steps {
		got = append(got, fmt.Sprintf("%s <- %s", s.ID, strings.Join(s.Needs, " ")))
	}
	want := []string{
		"system:time <- ", "apt:packages <- ", "storage:data <- ", "storage:tmpl <- ",
		"template:debian-12-standard <- storage:tmpl", "template:alpine-3.20-default <- ",
		"file:/etc/motd <- ", "file:/etc/key <- ", "service:chrony <- ",
		"lxc:900 <- storage:data storage:tmpl template:debian-12-standard",
		"lxc:901 <- storage:data storage:tmpl template:debian-12-standard lxc:900",
		"lxc:902 <- template:alpine-3.20-default",
		"lxc:903 <- ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheHelperCanDecodeEveryStep(t *testing.T) {
	p := build(t, host(), Selection{})
	for _, s := range p.Steps {
		if _, err := kind.All().Decode(s); err != nil {
			t.Error(err)
		}
	}
	if err := (tasks.Job{Mode: tasks.ModeCheck, Steps: p.Steps}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestOnlyReferredSecretsTravel(t *testing.T) {
	if got := build(t, host(), Selection{}).Secrets; len(got) != 1 || got[0] != "key" {
		t.Errorf("secrets %v", got)
	}
	if got := build(t, host(), Selection{SkipTags: []string{"file:/etc/key"}}).Secrets; len(got) != 0 {
		t.Errorf("secrets of skipped steps travel: %v", got)
	}
}

func TestSelectionsTakeSteps(t *testing.T) {
	for name, c := range map[string]struct {
		sel  Selection
		want string
	}{
		"by family":               {Selection{Tags: []string{"storage"}}, "storage:data storage:tmpl"},
		"by section":              {Selection{Tags: []string{"services", "system"}}, "system:time service:chrony"},
		"by step":                 {Selection{Tags: []string{"file:/etc/motd"}}, "file:/etc/motd"},
		"by a container's tag":    {Selection{Tags: []string{"web"}}, "lxc:900"},
		"by CTID as a tag":        {Selection{Tags: []string{"ct901"}}, "lxc:901"},
		"by CTID":                 {Selection{OnlyCT: []int{900, 902}}, "lxc:900 lxc:902"},
		"skipping wins":           {Selection{Tags: []string{"lxc"}, SkipTags: []string{"ct900", "ct903"}}, "lxc:901 lxc:902"},
		"by CTID of another host": {Selection{OnlyCT: []int{1000}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(build(t, host(), c.sel)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNeedsThatWereLeftOutAreDropped(t *testing.T) {
	p := build(t, host(), Selection{Tags: []string{"ct901", "templates"}})
	if got := strings.Join(p.Steps[2].Needs, " "); got != "template:debian-12-standard" {
		t.Errorf("needs %q", got)
	}
}

func TestMistypedTagsAreErrors(t *testing.T) {
	other := &inventory.Host{Name: "pve2", Containers: []inventory.Container{{Spec: lxc.Spec{CTID: 1000}}}}
	hosts := []*inventory.Host{host(), other}
	if err := (Selection{Tags: []string{"ct1000", "web"}, OnlyCT: []int{1000}}).Validate(hosts); err != nil {
		t.Error(err)
	}
	err := Selection{Tags: []string{"storaeg"}, SkipTags: []string{"xyzzyplugh"}, OnlyCT: []int{904}}.Validate(hosts)
	want := `select steps: no step of the selected hosts has the tag "storaeg" (did you mean storage?)
select steps: no step of the selected hosts has the tag "xyzzyplugh"
select steps: no step of the selected hosts has the container "904" (did you mean 900?)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestOneTemplateOnTwoStoragesIsTwoSteps(t *testing.T) {
	h := host()
	h.Hypervisor.Templates[1] = template.Spec{Name: "debian-12-standard", Storage: "local"}
	if got := ids(build(t, h, Selection{Tags: []string{"templates"}})); got != "template:debian-12-standard@tmpl template:debian-12-standard@local" {
		t.Errorf("got %q", got)
	}
}

func TestACycleIsAnError(t *testing.T) {
	h := host()
	h.Containers[0].Spec.DependsOn = []int{901}
	if _, err := Build(h, Selection{}); err == nil || !strings.Contains(err.Error(), "plan pve1: order steps: dependency cycle lxc:900 -> lxc:901 -> lxc:900") {
		t.Error(err)
	}
}
