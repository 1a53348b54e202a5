package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/inventory"
	"phoenix/inventory/diag"
	"phoenix/tasks"
	"phoenix/tasks/inside"
	"phoenix/tasks/kind"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// whole is a simulated host and a file that says what it is to have.
type whole struct {
	host *inventory.Host
	sim  *sim.Machine
	text string
}

func newWhole(t *testing.T, text string, o sim.Options) whole {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string]string{"hosts.yaml": "version: 1\nhosts: {pve: {lxc: lxc.json}}\n", "lxc.json": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fleet, found := inventory.Load(t.Context(), inventory.Options{Sources: []string{filepath.Join(dir, "hosts.yaml")}, Home: dir, UID: os.Getuid()})
	for _, d := range found {
		if d.Severity != diag.Warning { // of cards that are shared
			t.Fatalf("%v\n%s", found, text)
		}
	}
	o.LockTimeout = 50 * time.Millisecond
	m, err := sim.New(t.TempDir(), "pve", o)
	if err != nil {
		t.Fatal(err)
	}
	return whole{fleet.Hosts[0], m, text}
}

// job takes all steps and returns "STEP PATH" of every change, sorted.
func (w whole) job(t *testing.T, h tasks.Host, mode tasks.Mode) []string {
	t.Helper()
	p := build(t, w.host, Selection{})
	var changes []string
	const helper = "/root/agentlet" // as far as the simulator cares
	taskstest.Put(t, w.sim.Host(), helper, "helper")
	r := tasks.Runner{Host: h, Guests: &inside.Containers{Machine: w.sim.Host(), Helper: helper}, Registry: kind.All(), Emit: func(e tasks.Event) {
		if e.Result == nil {
			return
		}
		for _, c := range e.Result.Changes {
			changes = append(changes, e.Step+" "+c.Path)
		}
		if !e.Result.EndedWell() || len(e.Result.Remaining) > 0 {
			t.Errorf("%s: %s: %s %+v\n%s", e.Step, e.Result.Status, e.Result.Why, e.Result.Remaining, w.text)
		}
	}}
	job := tasks.Job{RunID: "test", Mode: mode, Consent: tasks.Consent{Restart: true}, Steps: p.Steps, Limits: p.Limits}
	if err := r.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	slices.Sort(changes)
	return changes
}

// TestAnyFileConverges draws files of several containers: a run makes all of it, a check
// finds nothing and starts nothing, a second run changes nothing; and whatever a person
// changes, the check reports exactly that property, and a run takes it back.
func TestAnyFileConverges(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			d := draw(seed)
			w := newWhole(t, d.file(), sim.Options{Release: pick(d, "8.4", "9.1"), GPUs: 2, Seed: seed + 1})
			w.job(t, w.sim.Host(), tasks.ModeRun)
			w.converged(t)
			one := func(all []hand) []hand { return []hand{all[d.IntN(len(all))]} }
			every := func(all []hand) []hand { return all }
			for _, choose := range []func([]hand) []hand{one, one, every} {
				if t.Failed() {
					return
				}
				want := w.byHand(t, choose)
				if got := w.job(t, w.sim.Host(), tasks.ModeCheck); !slices.Equal(got, want) {
					t.Fatalf("changed by hand\n%s\nreported\n%s\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"), w.text)
				}
				w.job(t, w.sim.Host(), tasks.ModeRun)
				w.converged(t)
			}
		})
	}
}

// converged wants a check to find nothing, and a run to do nothing.
func (w whole) converged(t *testing.T) {
	t.Helper()
	for _, mode := range []tasks.Mode{tasks.ModeCheck, tasks.ModeRun} {
		r := taskstest.NewRecorder(w.sim.Host())
		if got := w.job(t, r, mode); len(got) > 0 {
			t.Errorf("%s finds %q\n%s", mode, got, w.text)
		}
		if started := r.Commands(); len(started) > 0 || len(r.Changes()) > 0 {
			t.Errorf("%s started %q, changed %v", mode, started, r.Changes())
		}
	}
}

// byHand changes the chosen properties of each container.
func (w whole) byHand(t *testing.T, choose func([]hand) []hand) []string {
	t.Helper()
	var want []string
	for i := range w.host.Containers {
		s := &w.host.Containers[i].Spec
		for _, h := range choose(hands(s)) {
			h.make(t, w.sim.Host())
			want = append(want, lxc.StepID(s.CTID)+" "+h.path)
		}
	}
	slices.Sort(want)
	return want
}
