package plan

import (
	"testing"

	"phoenix/inventory"
	"phoenix/tasks/kind/containers"
	"phoenix/tasks/kind/lxc"
)

func TestAHostWithAnLXCFileIsAskedForContainersThatTheFileLacks(t *testing.T) {
	yes := true
	h := &inventory.Host{Name: "pve1", LXC: "lxc.json", Containers: []inventory.Container{
		{Spec: lxc.Spec{CTID: 900, MemoryMB: 512}}, {Spec: lxc.Spec{CTID: 901, IsTemplate: &yes}}, {Spec: lxc.Spec{CTID: 902, State: lxc.StateAbsent}},
	}}
	steps := build(t, h, Selection{}).Steps
	last := steps[len(steps)-1]
	if want := `{"configured":[{"ctid":900,"memory_mb":512,"runs":true},{"ctid":901},{"ctid":902}]}`; last.ID != containers.StepID || string(last.Spec) != want || len(last.Needs) > 0 {
		t.Errorf("got %+v %s, want %s", last, last.Spec, want)
	}
	for name, c := range map[string]struct {
		host *inventory.Host
		sel  Selection
		want bool
	}{
		"a host whose file has none of its containers": {&inventory.Host{Name: "pve2", LXC: "lxc.json"}, Selection{}, true},
		"a host without a file":                        {&inventory.Host{Name: "pve3"}, Selection{}, false},
		"the section":                                  {h, Selection{Tags: []string{"lxc_configs"}}, true},
		"the step":                                     {h, Selection{Tags: []string{"containers"}}, true},
		"another family":                               {h, Selection{Tags: []string{"lxc"}}, false},
		"one container":                                {h, Selection{OnlyCT: []int{900}}, false},
		"all but the section":                          {h, Selection{SkipTags: []string{"lxc_configs"}}, false},
	} {
		got := false
		for _, s := range build(t, c.host, c.sel).Steps {
			got = got || s.Kind == containers.Name
		}
		if got != c.want {
			t.Errorf("%s: asked %t, want %t", name, got, c.want)
		}
	}
}
