package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/kind/lxc"
)

func TestBootIsAskedForWhateverTheTagsSay(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Containers: []inventory.Container{
		{Spec: lxc.Spec{CTID: 900}}, {Spec: lxc.Spec{CTID: 901, DependsOn: []int{900}}},
	}}
	for tags, want := range map[string]string{"": "lxc:900 lxc:901 bootcheck:host", "ct900": "lxc:900 bootcheck:host", "bootcheck": "bootcheck:host"} {
		sel := Selection{Boot: true}
		if tags != "" {
			sel.Tags = []string{tags}
		}
		if err := sel.Validate([]*inventory.Host{h}); err != nil {
			t.Error(err)
		}
		var got []string
		p := build(t, h, sel)
		for _, s := range p.Steps {
			if strings.HasPrefix(s.ID, "lxc:") || s.Kind == bootcheck.Name {
				got = append(got, s.ID)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("tags %q: %q, want %q", tags, got, want)
		}
		var spec bootcheck.Spec
		if err := json.Unmarshal(p.Steps[len(p.Steps)-1].Spec, &spec); err != nil || !slices.Equal(spec.DependsOn[901], []int{900}) || len(spec.DependsOn) != 1 {
			t.Errorf("%+v, %v", spec, err)
		}
	}
	if err := (Selection{Tags: []string{"bootcheck"}}).Validate([]*inventory.Host{h}); err == nil {
		t.Error("the tag is known where nobody asks for the boot")
	}
	for _, s := range build(t, h, Selection{}).Steps {
		if s.Kind == bootcheck.Name {
			t.Error("asked for without being asked")
		}
	}
}
