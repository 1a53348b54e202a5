package lxc_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	firstCard  = "/proc/driver/nvidia/gpus/0000:01:00.0/information"
	secondCard = "/proc/driver/nvidia/gpus/0000:02:00.0/information"
	unusedUUID = "GPU-????????-????-????-????-????????????"
	lostUUID   = "GPU-11111111-2222-3333-4444-555555555555"
)

// pinned is an assignment of index 0 with the card that it meant first.
func pinned(uuid string) string {
	return fmt.Sprintf(`"gpu_assignment":"0","gpu_ledger":{"file":"cts.lock.json","pins":{"0":%q}}`, uuid)
}

// exchange lets the two cards change their places on the bus.
func exchange(t *testing.T, h tasks.Host) {
	t.Helper()
	for _, file := range []string{firstCard, secondCard} {
		taskstest.Put(t, h, file, strings.NewReplacer(uuid1, uuid2, uuid2, uuid1).Replace(taskstest.Get(t, h, file)))
	}
}

// hide makes the driver forget the UUID of a card, as at a boot.
func hide(t *testing.T, h tasks.Host, file string) {
	t.Helper()
	taskstest.Put(t, h, file, strings.NewReplacer(uuid1, unusedUUID, uuid2, unusedUUID).Replace(taskstest.Get(t, h, file)))
}

func TestConformanceWithPinnedGPUs(t *testing.T) {
	const one = "gpu_assignment./dev/nvidia0"
	var at *sim.Machine
	taskstest.Suite{
		Kind: lxc.Kind(), Spec: spec(`"state":"stopped",` + pinned(uuid1)), Consent: tasks.Consent{Restart: true},
		New: func(t *testing.T) taskstest.Machine {
			at = gpuMachine(t, "8.4").sim
			return taskstest.Machine{Host: at.Host(), Digest: at.Digest}
		},
		Drifts: []taskstest.Drift{
			edited("the card was taken away", "dev0: /dev/nvidia0,mode=0666\n", "", one),
		},
	}.Run(t)
}

// TestAPinnedIndexMeansTheSameCardForEver: another card that was put in first changes
// the number of the node, and that people have to say which of the two they mean.
func TestAPinnedIndexMeansTheSameCardForEver(t *testing.T) {
	for _, state := range []string{"running", "stopped"} {
		t.Run(state, func(t *testing.T) {
			with := `"state":"` + state + `",` + pinned(uuid1)
			m := gpuGuest(t, "8.4", with)
			if res := m.check(t, spec(with)); res.Status != tasks.StatusOK || len(res.Warnings) > 0 {
				t.Fatalf("%s, warnings %q", res.Status, res.Warnings)
			}
			exchange(t, m.sim.Host())
			res := m.apply(t, spec(with), tasks.Consent{Restart: true})
			wantStatus(t, res, tasks.StatusChanged)
			if c := res.Changes[0]; c.To != nvidia1 || c.Note != "GPU 1, 0000:02:00.0, "+uuid1 {
				t.Errorf("change %+v", c)
			}
			if got := strings.Join(m.devices(t), " "); got != controls+nvidia1+ctl {
				t.Errorf("devices %q", got)
			}
			want := tasks.Change{Path: "gpu_assignment.0", From: "GPU 0, 0000:01:00.0, " + uuid2, To: "GPU 1, 0000:02:00.0, " + uuid1, Effect: tasks.EffectPending,
				Note: "a run does not mend it: index 0 means another card than when it was first used. To keep the card of then, write " + uuid1 + " in gpu_assignment; to have that of now, take index 0 out of container 900 in cts.lock.json"}
			if !slices.Equal(res.Remaining, tasks.Diff{want}) || res.Cause != tasks.CausePending {
				t.Errorf("%s: remaining %+v", res.Cause, res.Remaining)
			}
			if check := m.check(t, spec(with)); check.Status != tasks.StatusWouldChange || !slices.Equal(check.Changes, tasks.Diff{want}) {
				t.Errorf("check %+v", check)
			}
			before := len(m.pct())
			again := m.apply(t, spec(with), tasks.Consent{Restart: true})
			if again.Status != tasks.StatusSkipped || again.Cause != tasks.CausePending || again.Why != want.Note || len(m.pct()) > before {
				t.Errorf("again %+v, calls %q", again, m.pct())
			}
			if res := m.check(t, spec(`"state":"`+state+`","gpu_assignment":"0"`)); !slices.Equal(paths(res.Changes), []string{"gpu_assignment./dev/nvidia0", "gpu_assignment./dev/nvidia1"}) {
				t.Errorf("without the pin, index 0 is not the card that it is now: %+v", res.Changes)
			}
			wantStatus(t, m.check(t, spec(`"state":"`+state+`","gpu_assignment":"`+uuid1+`"`)), tasks.StatusOK)
		})
	}
}

// withheld are the ways in which what the lock file says cannot be had, with why.
func withheld() map[string]struct{ gpus, to, why string } {
	const has = "it has GPU 0, 0000:01:00.0, " + uuid1 + "; GPU 1, 0000:02:00.0, " + uuid2
	return map[string]struct{ gpus, to, why string }{
		"a pinned card that is gone": {pinned(lostUUID), "0", "index 0 meant " + lostUUID + " when it was first used, and the driver of this host has no such card; " + has +
			"; to have index 0 as it is now, take it out of container 900 in cts.lock.json"},
		"a chosen card that is gone": {`"gpu_assignment":"` + lostUUID + `","gpu_ledger":{"file":"cts.lock.json","request":"1 card"}`, lostUUID,
			"the driver of this host has no card " + lostUUID + "; " + has + "; to have another one chosen, take container 900 out of cts.lock.json and run again"},
		"a request that is not answered": {`"gpu_ledger":{"request":"1 card RTX 5090","unmet":"GPU 0: another model"}`, "1 card RTX 5090", "GPU 0: another model"},
		"an index that nobody can tell":  {`"gpu_assignment":"7","gpu_ledger":{"unmet":"no card with index 7"}`, "7", "no card with index 7"},
	}
}

func TestACardThatIsWithheldStopsACreation(t *testing.T) {
	for name, c := range withheld() {
		t.Run(name, func(t *testing.T) {
			m := gpuMachine(t, "8.4")
			for _, res := range []tasks.Result{m.check(t, spec(c.gpus)), m.apply(t, spec(c.gpus), tasks.Consent{})} {
				wantStatus(t, res, tasks.StatusFailed)
				if want := "give container 900 GPU " + c.to + ": " + c.why; res.Why != want {
					t.Errorf("why %q, want %q", res.Why, want)
				}
			}
			if len(m.pct()) > 0 {
				t.Errorf("calls %q", m.pct())
			}
		})
	}
}

func TestACardThatIsWithheldLeavesThoseThatAreThere(t *testing.T) {
	for name, c := range withheld() {
		t.Run(name, func(t *testing.T) {
			m := gpuGuest(t, "8.4", `"gpu_assignment":"1"`)
			had := m.devices(t)
			res := m.apply(t, spec(`"memory_mb":1024,`+c.gpus), tasks.Consent{Restart: true})
			wantStatus(t, res, tasks.StatusFailed)
			if got := paths(res.Changes); !slices.Equal(got, []string{"memory_mb"}) {
				t.Errorf("changed %q", got)
			}
			want := tasks.Change{Path: "gpu_assignment", From: "/dev/nvidia1 /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia-uvm-tools", To: c.to, Effect: tasks.EffectRestart, Note: tasks.NoteCannot + c.why}
			if len(res.Remaining) != 1 || res.Remaining[0] != want {
				t.Errorf("remaining %+v, want %+v", res.Remaining, want)
			}
			if got := m.devices(t); !slices.Equal(got, had) {
				t.Errorf("devices %q, which were %q", got, had)
			}
		})
	}
}

// TestTheDriverIsMadeToLookForAUUID: after a boot, it knows that of no card which no
// program has used.
func TestTheDriverIsMadeToLookForAUUID(t *testing.T) {
	const look = "nvidia-smi -L"
	for name, c := range map[string]struct {
		gpus  string
		looks int
	}{
		"a UUID":                      {`"gpu_assignment":"` + uuid2 + `"`, 1},
		"an index that is pinned":     {strings.ReplaceAll(pinned(uuid2), `"0"`, `"1"`), 1},
		"a UUID that is known":        {`"gpu_assignment":"` + uuid1 + `"`, 0},
		"an index":                    {`"gpu_assignment":"1"`, 0},
		"an address":                  {`"gpu_assignment":"0000:02:00.0"`, 0},
		"all":                         {`"gpu_assignment":"all"`, 0},
		"what nobody is to know":      {`"gpu_ledger":{"request":"1 card","unmet":"no"}`, 0},
		"a UUID of none of the cards": {`"gpu_assignment":"` + lostUUID + `"`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := gpuMachine(t, "8.4")
			hide(t, m.sim.Host(), secondCard)
			res := m.check(t, spec(c.gpus))
			if failed := strings.Contains(c.gpus, lostUUID) || strings.Contains(c.gpus, "unmet"); failed != (res.Status == tasks.StatusFailed) {
				t.Errorf("%s: %s", res.Status, res.Why)
			}
			looks := len(slices.DeleteFunc(m.Commands(), func(call string) bool { return call != look }))
			if looks != c.looks {
				t.Errorf("looked %d times, want %d", looks, c.looks)
			}
		})
	}
}

// TestTheDriverIsMadeToLookOnce: a card that does not answer holds the program up.
func TestTheDriverIsMadeToLookOnce(t *testing.T) {
	m := gpuMachine(t, "8.4")
	hide(t, m.sim.Host(), secondCard)
	drop(t, m.sim, "/dev/nvidiactl")
	s := new(lxc.Spec)
	if err := tasks.UnmarshalStrict([]byte(spec(`"gpu_assignment":"`+uuid2+`"`)), s); err != nil {
		t.Fatal(err)
	}
	task := s.Task()
	for range 2 {
		if _, err := task.Check(t.Context(), m); err == nil || !strings.Contains(err.Error(), "UUID not known before a program uses it") {
			t.Errorf("the check says %v", err)
		}
	}
	if calls := m.Commands(); !slices.Equal(calls, []string{"nvidia-smi -L"}) {
		t.Errorf("calls %q", calls)
	}
}
