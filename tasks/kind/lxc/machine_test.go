package lxc_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// base is the container that most tests begin with.
const base = `"ctid":900,"name":"web1","template":"debian-12-standard","storage_pool":"local-lvm","storage_size_gb":4,` +
	`"memory_mb":512,"cores":1,"network_config":{"name":"eth0","bridge":"vmbr0","ip":"dhcp"},"pct_options":{"nesting":true}`

// spec is the base container with further keys.
func spec(more string) string {
	if more != "" {
		more = "," + more
	}
	return "{" + base + more + "}"
}

// machine is a simulated Proxmox host under observation.
type machine struct {
	*taskstest.Recorder
	sim *sim.Machine
}

func newMachine(t *testing.T, release string) *machine {
	t.Helper()
	return machineOn(t, sim.LayoutLVM, release)
}

func machineOn(t *testing.T, layout sim.Layout, release string) *machine {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Release: release, Layout: layout, LockTimeout: 50 * time.Millisecond, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &machine{taskstest.NewRecorder(m.Host()), m}
}

// newGuest is a machine on which the container of the spec runs already.
func newGuest(t *testing.T, spec string) *machine {
	t.Helper()
	m := newMachine(t, "8.4")
	if res := m.apply(t, spec, tasks.Consent{}); res.Status != tasks.StatusChanged {
		t.Fatalf("make container: %s: %s", res.Status, res.Why)
	}
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	return m
}

func (m *machine) step(t *testing.T, spec string, mode tasks.Mode, consent tasks.Consent) tasks.Result {
	t.Helper()
	var res tasks.Result
	r := tasks.Runner{Host: m, Registry: tasks.NewRegistry(lxc.Kind()), Emit: func(e tasks.Event) {
		if e.Result != nil {
			res = *e.Result
		}
	}}
	var id struct{ CTID int }
	if err := json.Unmarshal([]byte(spec), &id); err != nil {
		t.Fatal(err)
	}
	job := tasks.Job{RunID: "test", Mode: mode, Consent: consent, Steps: []tasks.Step{
		{ID: lxc.StepID(id.CTID), Kind: lxc.Name, Spec: json.RawMessage(spec)},
	}}
	if err := r.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return res
}

func (m *machine) check(t *testing.T, spec string) tasks.Result {
	t.Helper()
	return m.step(t, spec, tasks.ModeCheck, tasks.Consent{})
}

func (m *machine) apply(t *testing.T, spec string, consent tasks.Consent) tasks.Result {
	t.Helper()
	return m.step(t, spec, tasks.ModeRun, consent)
}

// sh runs one of Proxmox's own programs, as a person would.
func (m *machine) sh(t *testing.T, line string) {
	t.Helper()
	out, err := m.sim.Host().Run(t.Context(), tasks.Cmd{Argv: strings.Fields(line)})
	if err != nil || out.Code != 0 {
		t.Fatalf("%s: %v %d %s", line, err, out.Code, out.Stderr)
	}
}

// conf is the configuration file.
func (m *machine) conf(t *testing.T) string {
	t.Helper()
	return taskstest.Get(t, m.sim.Host(), "/etc/pve/lxc/900.conf")
}

// hand replaces text in the configuration file.
func (m *machine) hand(t *testing.T, old, fresh string) {
	t.Helper()
	before := m.conf(t)
	after := strings.Replace(before, old, fresh, 1)
	if after == before {
		t.Fatalf("%q is not in:\n%s", old, before)
	}
	taskstest.Put(t, m.sim.Host(), "/etc/pve/lxc/900.conf", after)
}

// line is the configuration's line of a key.
func (m *machine) line(t *testing.T, key string) string {
	t.Helper()
	for l := range strings.Lines(m.conf(t)) {
		if strings.HasPrefix(l, key+":") {
			return strings.TrimSpace(l)
		}
	}
	return ""
}

// pct lists the calls of pct, without the program's name.
func (m *machine) pct() []string {
	var out []string
	for _, c := range m.Commands() {
		if call, ok := strings.CutPrefix(c, "pct "); ok {
			out = append(out, call)
		}
	}
	return out
}

func paths(d tasks.Diff) []string {
	var out []string
	for _, c := range d {
		out = append(out, c.Path)
	}
	return out
}

func wantStatus(t *testing.T, res tasks.Result, want tasks.Status) {
	t.Helper()
	if res.Status != want {
		t.Fatalf("status %s (%s), want %s; changes %+v remaining %+v", res.Status, res.Why, want, res.Changes, res.Remaining)
	}
}

func wantCalls(t *testing.T, m *machine, want ...string) {
	t.Helper()
	if got := m.pct(); !slices.Equal(got, want) {
		t.Errorf("pct was called as\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
