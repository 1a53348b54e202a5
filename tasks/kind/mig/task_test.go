package mig_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const layout = `{"mig":{"` + first + `":["1g.5gb","3g.20gb"],"1":["2c.3g.20gb","1c.3g.20gb"]}}`

func TestMIG_conforms(t *testing.T) {
	command := func(line string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) {
			if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: strings.Fields(line)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	edit := func(old, fresh string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) {
			taskstest.Put(t, h, unit, strings.Replace(taskstest.Get(t, h, unit), old, fresh, 1))
		}
	}
	taskstest.Suite{
		Kind: mig.Kind(), Spec: layout,
		New: func(t *testing.T) taskstest.Machine { return divisible(t, nil).Machine },
		Drifts: []taskstest.Drift{
			{Name: "an instance was added", Make: command("nvidia-smi mig -i " + first + " -cgi 1g.5gb:0 -C"), Paths: []string{"mig." + first + ".instances"}},
			{Name: "a compute instance was taken away", Make: command("nvidia-smi mig -i " + second + " -dci -gi 2 -ci 0"), Paths: []string{"mig.1.instances"}},
			{Name: "MIG was disabled", Make: func(t *testing.T, h tasks.Host) {
				for _, line := range []string{"mig -i 1 -dci -gi 2 -ci 0", "mig -i 1 -dci -gi 2 -ci 1", "mig -i 1 -dgi -gi 2", "-i 1 -mig 0"} {
					command("nvidia-smi "+line)(t, h)
				}
			}, Paths: []string{"mig.1.mode", "mig.1.instances"}},
			{Name: "a device node is missing", Make: command("rm /dev/nvidia-caps/nvidia-cap21"), Paths: []string{"mig." + first + ".nodes"}},
			{Name: "the unit makes another layout", Make: edit(" 3g.20gb 1g.5gb\n", " 3g.20gb\n"), Paths: []string{"unit"}},
			{Name: "the unit makes it elsewhere", Make: edit("1g.5gb:3", "1g.5gb:0"), Paths: []string{"unit"}},
			{Name: "the unit comes too late", Make: edit("Before=pve-guests.service\n", ""), Paths: []string{"unit"}},
			{Name: "the unit was disabled", Make: command("systemctl disable phoenix-mig.service"), Paths: []string{"unit"}},
		},
		Faults: []taskstest.Fault{
			{Name: "no room", Op: "nvidia-smi mig -i " + first + " -cgi", Output: tasks.Output{Code: 23, Stdout: []byte("Failed to create GPU instances: Insufficient Resources\n")}},
			{Name: "no right", Op: "nvidia-smi -i", Output: tasks.Output{Code: 4, Stdout: []byte("Insufficient Permissions\n")}},
		},
	}.Run(t)
}

func TestMIG_whatIsWantedAndThereKeepsItsUUID(t *testing.T) {
	h := divisible(t, map[string]sim.MIGCard{first: divided(gi(3, "2g.10gb", 0, 2), gi(2, "3g.20gb", 4, 3))})
	before := h.uuids(t)
	rec := taskstest.NewRecorder(h)
	res := taskstest.Run(t, mig.Kind(), `{"mig":{"0":["3g.20gb","1g.5gb","1g.5gb"]}}`, rec)
	if res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	after := h.uuids(t)
	if len(after) != 3 || !slices.Contains(after, before[0]) || !strings.HasPrefix(before[0], "3g.20gb ") {
		t.Errorf("before %v, after %v", before, after)
	}
	for _, op := range rec.Changes() {
		if strings.Contains(op.String(), "-gi ") && !strings.HasSuffix(op.String(), "-gi 3") {
			t.Errorf("did %s", op)
		}
	}
	if again := taskstest.Run(t, mig.Kind(), `{"mig":{"0":["1g.5gb","3g.20gb","1g.5gb"]}}`, h); again.Status != tasks.StatusOK {
		t.Errorf("in another order: %+v", again)
	}
}

func TestMIG_isTheSameAfterABoot(t *testing.T) {
	for name, card := range map[string]sim.MIGCard{"the mode outlives a boot": {}, "the mode does not": {Forgets: true}} {
		t.Run(name, func(t *testing.T) {
			h := divisible(t, map[string]sim.MIGCard{first: card, second: card})
			taskstest.Run(t, mig.Kind(), layout, h)
			before := h.uuids(t)
			h.run(t, "systemctl reboot")
			if after := h.uuids(t); len(after) != 4 || !slices.Equal(before, after) {
				t.Errorf("before %v, after %v", before, after)
			}
			if res := taskstest.Check(t, mig.Kind(), layout, h); res.Status != tasks.StatusOK {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestMIG_aCardInUseIsLeftAlone(t *testing.T) {
	h := divisible(t, map[string]sim.MIGCard{first: divided(gi(9, "1g.5gb", 2, 1))})
	h.opens(t, "4711", "python3", "/dev/null", "/dev/nvidia0", "/dev/nvidia0")
	h.opens(t, "4712", "nvidia-persiste", "/dev/nvidia1")
	rec := taskstest.NewRecorder(h)
	res := taskstest.Run(t, mig.Kind(), layout, rec)
	want := []string{
		"mig." + first + ".instances: 1g.5gb -> 3g.20gb 1g.5gb (pending)", "unit: another unit -> as wanted, at boot (pending)",
	}
	if res.Status != tasks.StatusChanged || res.Cause != tasks.CausePending || !slices.Equal(changes(res.Remaining), want) {
		t.Fatalf("%s %s: remaining\n%s", res.Status, res.Why, strings.Join(changes(res.Remaining), "\n"))
	}
	for _, c := range res.Remaining[:1] {
		if !c.Held() || !strings.Contains(c.Note, "process 4711 (python3)") || strings.Contains(c.Note, "4712") || strings.Count(c.Note, "4711") != 1 {
			t.Errorf("note %q", c.Note)
		}
	}
	for _, op := range rec.Changes() {
		if strings.Contains(op.String(), first) {
			t.Errorf("did %s", op)
		}
	}
	if got := h.sim.MIG()[first].Instances; len(got) != 1 || got[0].ID != 9 {
		t.Errorf("the card has %v", got)
	}
	rec = taskstest.NewRecorder(h)
	if again := taskstest.Run(t, mig.Kind(), layout, rec); again.Status != tasks.StatusSkipped || again.Cause != tasks.CausePending || len(rec.Changes()) > 0 {
		t.Errorf("again: %+v, did %v", again, rec.Changes())
	}
	if err := os.RemoveAll(h.sim.Root + "/proc/4711"); err != nil {
		t.Fatal(err)
	}
	if last := taskstest.Run(t, mig.Kind(), layout, h); last.Status != tasks.StatusChanged || last.Cause != "" {
		t.Errorf("when it has ended: %+v", last)
	}
}

func TestMIG_aRunningContainerHasItsCardInUse(t *testing.T) {
	h := divisible(t, nil)
	h.run(t, "pct create 901 local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --rootfs local-lvm:1 --dev0 /dev/nvidia1,mode=0666")
	h.run(t, "pct start 901")
	res := taskstest.Check(t, mig.Kind(), layout, h)
	for _, c := range res.Changes {
		if strings.HasPrefix(c.Path, "mig.1.") != strings.Contains(c.Note, "container 901, which runs") {
			t.Errorf("%s: note %q", c.Path, c.Note)
		}
	}
	h.run(t, "pct stop 901")
	for _, c := range taskstest.Check(t, mig.Kind(), layout, h).Changes {
		if c.Note != "" {
			t.Errorf("%s: note %q", c.Path, c.Note)
		}
	}
}

func TestMIG_aModeThatCannotTakeEffectWaitsForABoot(t *testing.T) {
	h := divisible(t, map[string]sim.MIGCard{second: {NoReset: true}})
	const spec = `{"mig":{"1":["7g.40gb"]}}`
	rec := taskstest.NewRecorder(h)
	res := taskstest.Run(t, mig.Kind(), spec, rec)
	want := []string{"mig.1.mode: disabled, and the other after a reset -> enabled (reboot)", "mig.1.instances: none -> 7g.40gb (reboot)", "unit: no unit -> as wanted, at boot (pending)"}
	if res.Cause != tasks.CausePending || !slices.Equal(changes(res.Remaining), want) {
		t.Fatalf("%s %s: remaining\n%s", res.Status, res.Why, strings.Join(changes(res.Remaining), "\n"))
	}
	if !slices.ContainsFunc(rec.Changes(), func(o taskstest.Op) bool { return strings.Contains(o.String(), "--gpu-reset") }) {
		t.Errorf("no reset was tried: %v", rec.Changes())
	}
	rec = taskstest.NewRecorder(h)
	if again := taskstest.Run(t, mig.Kind(), spec, rec); again.Status != tasks.StatusSkipped || len(rec.Changes()) > 0 {
		t.Errorf("again: %+v, did %v", again, rec.Changes())
	}
	h.run(t, "systemctl reboot")
	h.run(t, "nvidia-modprobe -c 0 -c 1 -c 255")
	if after := taskstest.Run(t, mig.Kind(), spec, h); after.Status != tasks.StatusChanged || after.Cause != "" {
		t.Errorf("after the reboot: %+v", after)
	}
}

func TestMIG_whatIsInTheWayIsMadeAnew(t *testing.T) {
	h := divisible(t, map[string]sim.MIGCard{first: divided(gi(1, "3g.20gb", 0, 3))})
	const spec = `{"mig":{"0":["3g.20gb","4g.20gb"]}}`
	check := taskstest.Check(t, mig.Kind(), spec, h)
	if len(check.Changes) == 0 || !strings.Contains(check.Changes[0].Note, "made anew") {
		t.Errorf("%+v", check)
	}
	if res := taskstest.Run(t, mig.Kind(), spec, h); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

func TestMIG_partOfAFailureIsKeptAndGoneOnWith(t *testing.T) {
	h := divisible(t, nil)
	rec := taskstest.NewRecorder(h)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.Contains(o.String(), first+" -cgi") {
			_, _ = h.Run(t.Context(), tasks.Cmd{Argv: []string{"nvidia-smi", "mig", "-i", first, "-cgi", "3g.20gb:4", "-C"}})
			return &taskstest.Answer{Output: tasks.Output{Code: 23, Stdout: []byte("Successfully created GPU instance ID  2 on GPU  0 using profile MIG 3g.20gb (ID  9)\nFailed to create GPU instances: Insufficient Resources\n")}}
		}
		return nil
	}
	res := taskstest.Run(t, mig.Kind(), layout, rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "Successfully created GPU instance ID  2") || !strings.Contains(res.Why, "Insufficient Resources") {
		t.Errorf("%+v", res)
	}
	if got := len(h.sim.MIG()[second].Instances); got != 1 {
		t.Errorf("the other card has %d instances", got)
	}
	before := h.uuids(t)
	if again := taskstest.Run(t, mig.Kind(), layout, h); again.Status != tasks.StatusChanged {
		t.Errorf("again: %+v", again)
	}
	for _, id := range before {
		if !slices.Contains(h.uuids(t), id) {
			t.Errorf("%s is lost", id)
		}
	}
}

func TestMIG_off(t *testing.T) {
	h := divisible(t, nil)
	taskstest.Run(t, mig.Kind(), layout, h)
	const spec = `{"mig":{"0":"off","` + second + `":"off"}}`
	if res := taskstest.Run(t, mig.Kind(), spec, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if _, err := h.Stat(unit); err == nil {
		t.Error("the unit is still there")
	}
	if res := taskstest.Run(t, mig.Kind(), spec, h); res.Status != tasks.StatusOK {
		t.Errorf("again: %+v", res)
	}
}

func TestMIG_aCardThatIsNotNamedIsLeftAlone(t *testing.T) {
	h := divisible(t, nil)
	taskstest.Run(t, mig.Kind(), layout, h)
	before := h.sim.MIG()[second]
	if res := taskstest.Run(t, mig.Kind(), `{"mig":{"0":[]}}`, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := h.sim.MIG()[second]; len(got.Instances) != len(before.Instances) || !strings.Contains(taskstest.Get(t, h, unit), "2c.3g.20gb") {
		t.Errorf("the other card has %v, and the unit is\n%s", got, taskstest.Get(t, h, unit))
	}
	if got := h.sim.MIG()[first]; !got.On || len(got.Instances) > 0 {
		t.Errorf("the card is %v", got)
	}
}

func TestMIG_whatCannotBe(t *testing.T) {
	on := map[string]sim.MIGCard{first: divided(), second: divided()}
	for _, c := range []struct{ name, spec, want string }{
		{"a card that is not there", `{"mig":{"5":[]}}`, "has none of that name; it has GPU 0, 0000:01:00.0, GPU-"},
		{"a card named twice", `{"mig":{"0":[],"0000:01:00.0":[]}}`, "mig.0000:01:00.0 none: it is the card that 0 names too"},
		{"a profile that the card has not", `{"mig":{"0":["1g.6gb"]}}`, "the card has no profile 1g.6gb; it offers 1g.10gb, 1g.5gb, 1g.5gb+me, 2g.10gb, 3g.20gb, 4g.20gb, 7g.40gb"},
		{"too much", `{"mig":{"0":["4g.20gb","4g.20gb"]}}`, "4g.20gb, 4g.20gb do not fit onto the card together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := taskstest.Check(t, mig.Kind(), c.spec, divisible(t, on))
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, c.want) {
				t.Errorf("%s: %s", res.Status, res.Why)
			}
		})
	}
	m, err := sim.New(t.TempDir(), "pve1", sim.Options{Seed: 7, GPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if res := taskstest.Check(t, mig.Kind(), `{"mig":{"0":["1g.5gb"]}}`, m.Host()); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "mig.0 1g.5gb: NVIDIA GeForce RTX 4090 has no MIG (take nvidia.mig.0 out)") {
		t.Errorf("a card without MIG: %+v", res)
	}
	if res := taskstest.Check(t, mig.Kind(), `{"mig":{"0":"off"}}`, m.Host()); res.Status != tasks.StatusOK {
		t.Errorf("off, on a card without MIG: %+v", res)
	}
}

func TestMIG_isForeseenWhereTheDriverIsStillToCome(t *testing.T) {
	h := divisible(t, nil)
	if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: []string{"rm", "-r", "/proc/driver/nvidia/gpus"}}); err != nil {
		t.Fatal(err)
	}
	check := func(text string, ahead ...string) (tasks.Diff, error) {
		spec := mig.Kind().New()
		if err := json.Unmarshal([]byte(text), spec); err != nil {
			t.Fatal(err)
		}
		return spec.Task().Check(tasks.WithScope(t.Context(), tasks.Scope{Ahead: ahead}), h)
	}
	var unknown *tasks.UnknownError
	if d, err := check(layout); !errors.As(err, &unknown) {
		t.Errorf("without a step that brings the driver: %v, %v", d, err)
	}
	if d, err := check(layout, "nvidia:driver"); err != nil || len(d) != 2 || !strings.Contains(d[0].Note, "is not loaded") {
		t.Errorf("with one: %v, %v", d, err)
	}
	if d, err := check(`{"mig":{"0":"off"}}`, "reboot:host"); err != nil || len(d) != 0 {
		t.Errorf("of a card that is to be whole: %v, %v", d, err)
	}
}
