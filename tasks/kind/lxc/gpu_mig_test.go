package lxc_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// migMachine is a host whose first card is divided into a 3g.20gb of two parts and a
// 1g.5gb, with all device nodes; ids are the UUIDs in that order.
func migMachine(t *testing.T) (m *machine, ids []string) {
	t.Helper()
	m = gpuMachine(t, "8.4")
	err := m.sim.SetMIG("0000:01:00.0", sim.MIGCard{On: true, Pending: true, Instances: []sim.MIGInstance{
		{ID: 2, Profile: "3g.20gb", Start: 4, Computes: map[int]int{0: 2, 1: 1}}, {ID: 9, Profile: "1g.5gb", Start: 2, Computes: map[int]int{0: 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"gi2/access", "gi2/ci0/access", "gi2/ci1/access", "gi9/access", "gi9/ci0/access"} {
		m.sh(t, "nvidia-modprobe -f /proc/driver/nvidia/capabilities/gpu0/mig/"+n)
	}
	out, err := m.sim.Host().Run(t.Context(), tasks.Cmd{Argv: []string{"nvidia-smi", "-L"}})
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(out.Stdout)) {
		if _, id, is := strings.Cut(l, "(UUID: MIG-"); is {
			ids = append(ids, "MIG-"+strings.TrimSuffix(strings.TrimSpace(id), ")"))
		}
	}
	if len(ids) != 3 {
		t.Fatalf("instances %v", ids)
	}
	return m, ids
}

// nodes are the paths of a container's devices.
func (m *machine) nodes(t *testing.T) (out []string) {
	for _, d := range m.devices(t) {
		path, _, _ := strings.Cut(d, ",")
		out = append(out, strings.TrimPrefix(path, "/dev/nvidia"))
	}
	return out
}

// The numbers that the driver gives the capabilities of the instances, and the nodes that
// go with a card.
const (
	gi2, gi2ci0, gi2ci1, gi9, gi9ci0 = "-caps/nvidia-cap21", "-caps/nvidia-cap22", "-caps/nvidia-cap23", "-caps/nvidia-cap84", "-caps/nvidia-cap85"
)

func TestAContainerGetsOnlyTheNodesOfItsInstance(t *testing.T) {
	m, ids := migMachine(t)
	for _, c := range []struct {
		name  string
		given []string
		want  []string
	}{
		{"the only part of its GPU instance", ids[2:], []string{gi9, gi9ci0, "-uvm", "-uvm-tools", "0", "ctl"}},
		{"another instance", ids[1:2], []string{gi2, gi2ci1, "-uvm", "-uvm-tools", "0", "ctl"}},
		{"two that share a card", ids[:2], []string{gi2, gi2ci0, gi2ci1, "-uvm", "-uvm-tools", "0", "ctl"}},
		{"in capitals, beside a whole card", []string{strings.ToUpper(ids[2]), "1"}, []string{gi9, gi9ci0, "-uvm", "-uvm-tools", "0", "1", "ctl"}},
		{"a whole card", []string{"1"}, []string{"-uvm", "-uvm-tools", "1", "ctl"}},
	} {
		with := spec(`"gpu_assignment":"` + strings.Join(c.given, ",") + `"`)
		wantStatus(t, m.apply(t, with, tasks.Consent{Restart: true}), tasks.StatusChanged)
		if got := m.nodes(t); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		wantStatus(t, m.check(t, with), tasks.StatusOK)
	}
	if i := slices.IndexFunc(m.devices(t), func(d string) bool { return strings.Contains(d, "caps") }); i >= 0 {
		t.Errorf("%s is left", m.devices(t)[i])
	}
}

func TestACapabilityThatIsNotAssignedIsDrift(t *testing.T) {
	m, ids := migMachine(t)
	with := spec(`"gpu_assignment":"` + ids[2] + `"`)
	wantStatus(t, m.apply(t, with, tasks.Consent{Restart: true}), tasks.StatusChanged)
	m.sh(t, "pct set 900 --dev9 /dev/nvidia-caps/nvidia-cap21")
	res := m.check(t, with)
	if len(res.Changes) != 1 || res.Changes[0].Path != "gpu_assignment./dev/nvidia-caps/nvidia-cap21" || res.Changes[0].To != "" {
		t.Errorf("%+v", res.Changes)
	}
	m.sh(t, "pct set 900 --dev10 /dev/nvidia-caps/nvidia-cap1")
	if res = m.check(t, with); len(res.Changes) != 2 || !res.Changes.Has("gpu_assignment./dev/nvidia-caps/nvidia-cap1") {
		t.Errorf("the one that lets cards be divided: %+v", res.Changes)
	}
	wantStatus(t, m.apply(t, with, tasks.Consent{Restart: true}), tasks.StatusChanged)
	wantStatus(t, m.check(t, with), tasks.StatusOK)
	if d := m.devices(t); !slices.Contains(d, "/dev/nvidia-caps/nvidia-cap84,mode=0444") {
		t.Errorf("devices %q", d)
	}
}

func TestAnInstanceThatCannotBeHad(t *testing.T) {
	const other = "MIG-00000000-0000-0000-0000-000000000001"
	m, ids := migMachine(t)
	res := m.check(t, spec(`"gpu_assignment":"`+other+`"`))
	if !strings.Contains(res.Why, "this host has no MIG instance "+other) {
		t.Errorf("no such instance: %+v", res)
	}
	res = m.check(t, spec(`"gpu_assignment":"`+other+`","gpu_ledger":{"file":"cts.lock.json","request":"1 MIG instance 1g.5gb"}`))
	if !strings.HasSuffix(res.Why, "; to have another one chosen, take container 900 out of cts.lock.json and run again") {
		t.Errorf("one that was chosen: %+v", res)
	}
	drop(t, m.sim, "/dev/nvidia-caps/nvidia-cap85")
	if res = m.check(t, spec(`"gpu_assignment":"`+ids[2]+`"`)); !strings.Contains(res.Why, "the host has no /dev/nvidia-caps/nvidia-cap85") {
		t.Errorf("no node: %+v", res)
	}
	rec := taskstest.NewRecorder(m.sim.Host())
	m.Recorder = rec
	m.check(t, spec(`"gpu_assignment":"1"`))
	if slices.ContainsFunc(rec.Ops(), func(o taskstest.Op) bool { return o.Cmd != nil }) {
		t.Errorf("whole cards started %v", rec.Ops())
	}
}

func TestInstancesInASpec(t *testing.T) {
	const id = "MIG-00000000-0000-0000-0000-000000000001"
	for more, want := range map[string]string{
		`"gpu_assignment":"` + id + `"`:                                                      "",
		`"gpu_assignment":["` + id + `","` + id + `"]`:                                       "is named twice",
		`"gpu_assignment":"MIG-GPU-00000000-0000-0000-0000-000000000001/1/0"`:                "is not the UUID of a MIG instance",
		`"gpu_assignment":"` + id + `","devices":[{"path":"/dev/nvidia-caps/nvidia-cap12"}]`: "/dev/nvidia-caps/nvidia-cap12 belongs to gpu_assignment",
		`"gpu_assignment":"0","devices":[{"path":"/dev/nvidia-caps/nvidia-cap12"}]`:          "",
	} {
		s := new(lxc.Spec)
		if err := tasks.UnmarshalStrict([]byte(spec(more)), s); err != nil {
			t.Fatal(err)
		}
		found := s.Validate()
		if (want == "") != (len(found) == 0) || want != "" && !strings.Contains(found[0].String(), want) {
			t.Errorf("%s: %v, want %q", more, found, want)
		}
	}
}

// TestABrokenCardCostsOnlyItsOwnInstances: nvidia-smi says nothing where one of the cards
// that it is asked about is lost.
func TestABrokenCardCostsOnlyItsOwnInstances(t *testing.T) {
	for _, both := range []bool{false, true} {
		m, ids := migMachine(t)
		if both { // the broken one is divided too
			if err := m.sim.SetMIG("0000:02:00.0", sim.MIGCard{On: true, Pending: true, Instances: []sim.MIGInstance{{ID: 9, Profile: "1g.5gb", Start: 2, Computes: map[int]int{0: 1}}}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.sim.SetGPUFaults(map[string]any{"1": "lost"}); err != nil {
			t.Fatal(err)
		}
		with := spec(`"gpu_assignment":"` + ids[2] + `"`)
		wantStatus(t, m.apply(t, with, tasks.Consent{Restart: true}), tasks.StatusChanged)
		rec := taskstest.NewRecorder(m.sim.Host())
		m.Recorder = rec
		wantStatus(t, m.check(t, with), tasks.StatusOK)
		if got, want := rec.Commands(), []string{"nvidia-smi -L -i 0000:01:00.0", "nvidia-smi -q -x -i 0000:01:00.0"}; !slices.Equal(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
		if err := m.sim.SetGPUFaults(map[string]any{"0": "lost"}); err != nil {
			t.Fatal(err)
		}
		if res := m.check(t, with); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "cannot be told: run nvidia-smi -L") {
			t.Errorf("its own card: %+v", res)
		}
	}
}
