package lxc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/taskstest"
)

// Several templates and the clones of each are made side by side. What goes wrong there
// would be a race of this package, or two calls of pct that hinder each other.
func TestContainersAreMadeSideBySide(t *testing.T) {
	m := newMachine(t, "8.4")
	var steps []tasks.Step
	add := func(ctid int, spec string, uses ...string) {
		steps = append(steps, tasks.Step{ID: lxc.StepID(ctid), Kind: lxc.Name, Spec: json.RawMessage(spec), Uses: append(uses, "node", "storage:local-lvm")})
	}
	for i := range 3 {
		parent := 800 + i
		add(parent, fmt.Sprintf(`{"ctid":%d,"name":"base%d","template":"debian-12-standard","storage_pool":"local-lvm","is_template":true,
			"network_config":{"name":"eth0","bridge":"vmbr0","ip":"dhcp"}}`, parent, i))
		for j := range 3 {
			id := 900 + 10*i + j
			add(id, fmt.Sprintf(`{"ctid":%d,"name":"web%d","clone_from_ctid":%d,"memory_mb":%d}`, id, id, parent, 256+id), fmt.Sprintf("ct:%d", parent))
			steps[len(steps)-1].Needs = []string{lxc.StepID(parent)}
		}
	}
	run := func() (ended map[string]tasks.Result, most int) {
		ended = map[string]tasks.Result{}
		var under tasks.Underway
		r := tasks.Runner{Host: m, Registry: tasks.NewRegistry(lxc.Kind()), Emit: func(e tasks.Event) {
			under.Note(e)
			most = max(most, under.Len())
			if e.Result != nil {
				ended[e.Step] = *e.Result
			}
		}}
		job := tasks.Job{RunID: "test", Mode: tasks.ModeRun, Steps: steps, Limits: map[string]int{"node": 4, "storage:local-lvm": 3}}
		if err := r.Run(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		return ended, most
	}
	ended, most := run()
	for id, res := range ended {
		if res.Status != tasks.StatusChanged {
			t.Errorf("%s: %s: %s", id, res.Status, res.Why)
		}
	}
	if most != 3 {
		t.Errorf("%d at a time, want 3", most)
	}
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	ended, _ = run()
	for id, res := range ended {
		if res.Status != tasks.StatusOK {
			t.Errorf("again: %s: %s: %s %+v", id, res.Status, res.Why, res.Changes)
		}
	}
	if len(m.Changes()) > 0 {
		t.Errorf("a second run does %v", m.Changes())
	}
	files, err := m.ReadDir("/etc/pve/lxc")
	if err != nil || len(files) != len(steps) {
		t.Errorf("%d files, %v: %s", len(files), err, strings.Join(files, " "))
	}
}
