package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory/gpulock"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/report"
)

func migID(letter string) string {
	return "MIG-" + strings.Repeat(letter, 8) + "-1111-2222-3333-444455556666"
}

// dividedGPUs are two cards, of which GPU 0 has two instances of 1g.5gb.
func dividedGPUs() gpufacts.Host {
	h := twoGPUs()
	h.GPUs[0].MIG = &gpufacts.MIG{Enabled: true, Instances: []gpufacts.MIGInstance{
		{UUID: migID("c"), Profile: "1g.5gb", Memory: &gpufacts.Memory{Total: 5 << 30}}, {UUID: migID("d"), Profile: "1g.5gb", Memory: &gpufacts.Memory{Total: 5 << 30}},
	}}
	return h
}

// choose is what a run, or a check, does with an answer of pve1.
func choose(t *testing.T, containers, nvidia, lock string, mode tasks.Mode, data gpufacts.Host) (c *gpuChoice, said *bytes.Buffer, err error) {
	t.Helper()
	fleet, h := gpuFleet(t, containers, nvidia)
	said = &bytes.Buffer{}
	c = chooser(fleet, mode, said)
	if lock != "" {
		l, err := gpulock.Parse([]byte(lock))
		if err != nil {
			t.Fatal(err)
		}
		h.Lock().Lock = l
	}
	before, found := c.snapshot(), fleet.GPUFaults()
	c.settle(h, report.Report{Hosts: []report.Host{gpuAnswer(t, "pve1", data)}})
	if err = c.faults(found); err == nil {
		err = c.keep(before)
	}
	return c, said, err
}

func TestAnInstanceThatAContainerNamesIsNotChosenForAnother(t *testing.T) {
	c, said, err := choose(t, `"900": {"name": "a", "gpu_assignment": "`+strings.ToUpper(migID("c"))+`"}, "901": {"name": "b", "gpu_assignment": {"mig": "1g.5gb"}}`, "", "", tasks.ModeRun, dividedGPUs())
	h := c.hosts[0]
	if got := h.Containers[1].Spec.GPUAssignment.String(); err != nil || got != migID("d") {
		t.Errorf("901 gets %q, %v\n%s", got, err, said)
	}
	if card := h.Lock().Lock.Kept("pve1").Cards[migID("c")]; card.MemoryBytes != 5<<30 || card.PCIAddress != "0000:01:00.0" {
		t.Errorf("of the named instance is kept: %+v", card)
	}
	data := dividedGPUs()
	if got := wantedBy(h, &data.GPUs[0]); !slices.Equal(got, []int{900, 901}) {
		t.Errorf("the card is to go to %v", got)
	}
	if got := wantedBy(h, &data.GPUs[1]); len(got) > 0 {
		t.Errorf("the other card is to go to %v", got)
	}
}

func TestAnExclusiveCardIsOneWithItsInstances(t *testing.T) {
	for _, mode := range []tasks.Mode{tasks.ModeRun, tasks.ModeCheck} {
		c, said, err := choose(t, `"900": {"name": "a", "gpu_assignment": "`+migID("c")+`"}, "901": {"name": "b", "gpu_assignment": "0"}`,
			`, "nvidia": {"gpu_policy": "exclusive"}`, "", mode, dividedGPUs())
		if err != exitError(exitInvalid) || !strings.Contains(said.String(), "container 901 would share GPUs whose policy is exclusive") {
			t.Errorf("%s: %v\n%s", mode, err, said)
		}
		if _, err := os.Stat(c.hosts[0].Lock().Path); err == nil {
			t.Errorf("%s: a file was written", mode)
		}
	}
	_, said, err := choose(t, `"900": {"name": "a", "gpu_assignment": "`+migID("c")+`", "gpu_memory_gb": 6}`, "", "", tasks.ModeCheck, dividedGPUs())
	if err != exitError(exitInvalid) || !strings.Contains(said.String(), "has 5.4 GB, and its containers take 6 GB") {
		t.Errorf("a budget above the instance: %v\n%s", err, said)
	}
}

func TestAHostThatTellsNonsenseDoesNotSpoilTheLockFile(t *testing.T) {
	data := dividedGPUs()
	data.GPUs[0].UUID = strings.ToUpper(data.GPUs[0].UUID)
	data.GPUs[1].UUID, data.GPUs[1].Name = "GPU-\x1b[2J", "\u202eRTX"
	data.GPUs[0].MIG.Instances[0].UUID = "MIG-" + gpuOf("a", 0).UUID + "/1/0"
	c, said, err := choose(t, `"901": {"name": "b", "gpu_assignment": "1"}, "902": {"name": "c", "gpu_assignment": {"mig": "1g.5gb"}}`,
		"", "", tasks.ModeRun, data)
	if err != nil {
		t.Fatal(err, said)
	}
	raw, err := os.ReadFile(c.hosts[0].Lock().Path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := gpulock.Parse(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	kept := l.Kept("pve1").Containers
	if l.Kept("pve1").Cards[gpuOf("a", 0).UUID].MemoryBytes == 0 || len(kept[901].Names) > 0 || !slices.Equal(kept[902].GPUs, []string{migID("d")}) {
		t.Errorf("kept: %s", raw)
	}
}

func TestAnInstanceThatThisRunMakesIsPromised(t *testing.T) {
	const ask = `"900": {"name": "a", "gpu_assignment": {"mig": "3g.20gb"}}`
	const promise = "mig:host makes 3g.20gb: the `phoenix run` after it gives it"
	for _, x := range []struct {
		name, nvidia string
		step, want   bool
	}{
		{"the section makes it", `, "nvidia": {"mig": {"0": ["3g.20gb", "1g.5gb"]}}`, true, true},
		{"the section makes another", `, "nvidia": {"mig": {"0": ["1g.5gb"]}}`, true, false},
		{"the step is left out", `, "nvidia": {"mig": {"0": ["3g.20gb"]}}`, false, false},
	} {
		fleet, h := gpuFleet(t, ask, x.nvidia)
		c := chooser(fleet, tasks.ModeCheck, &bytes.Buffer{})
		c.divides = map[string]bool{"pve1": x.step}
		c.settle(h, answering(t, dividedGPUs()))
		if led := h.Containers[0].Spec.GPULedger; led == nil || led.Unmet == "" || strings.Contains(led.Unmet, promise) != x.want {
			t.Errorf("%s: %+v", x.name, led)
		}
	}
}

// TestAChoiceIsChangedUndoneAndStartedOver holds the three ways that docs/containers.md names.
func TestAChoiceIsChangedUndoneAndStartedOver(t *testing.T) {
	const asks = `"950": {"name": "a", "gpu_assignment": {"count": 1}}`
	data := twoGPUs()
	data.Cards[0].Assigned = []int{950}
	pinned := func(letter string, i int) string {
		return `{"version": 1, "hosts": {"pve1": {"containers": {"950": {"request": {}, "gpus": ["` + gpuOf(letter, i).UUID + `"]}}}}}`
	}
	got := func(containers, lock string, data gpufacts.Host) string {
		c, said, err := choose(t, containers, "", lock, tasks.ModeRun, data)
		if err != nil {
			t.Fatal(err, said)
		}
		kept, there := c.hosts[0].Lock().Lock.Kept("pve1").Containers[950]
		return strings.TrimSpace(c.hosts[0].Containers[0].Spec.GPUAssignment.String() + " " + map[bool]string{true: "pinned"}[there && len(kept.GPUs) > 0])
	}
	a, b := gpuOf("a", 0).UUID, gpuOf("b", 1).UUID
	for _, x := range []struct {
		name, containers, lock string
		data                   gpufacts.Host
		want                   string
	}{
		{"without its pin, it keeps the card that it has", asks, "", data, a + " pinned"},
		{"changed: another UUID in the file", asks, pinned("b", 1), data, b + " pinned"},
		{"changed: the UUID in the configuration", `"950": {"name": "a", "gpu_assignment": "` + b + `"}`, pinned("a", 0), data, b},
		{"undone", `"950": {"name": "a", "gpu_assignment": "none"}`, pinned("a", 0), data, "none"},
		{"started over, after none", asks, "", twoGPUs(), a + " pinned"},
	} {
		if is := got(x.containers, x.lock, x.data); is != x.want {
			t.Errorf("%s: %q, want %q", x.name, is, x.want)
		}
	}
}

func TestALinkedLockFileIsWrittenWhereItIs(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	target, link := filepath.Join(dir, "real", "cards.json"), filepath.Join(dir, "c.lock.json")
	if err := os.Symlink("real/cards.json", link); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"one", "two"} {
		var read []byte
		if i > 0 {
			read = []byte("one")
			if err := os.Chmod(target, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := replaceLock(link, read, []byte(text)); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Lstat(link)
		data, readErr := os.ReadFile(target)
		if err != nil || fi.Mode().Type() != os.ModeSymlink || readErr != nil || string(data) != text {
			t.Errorf("%v, %v, %q, %v", fi, err, data, readErr)
		}
		if fi, err := os.Stat(target); err != nil || i > 0 && fi.Mode().Perm() != 0o600 {
			t.Errorf("its mode: %v, %v", fi, err)
		}
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("c.lock.json", link); err != nil {
		t.Fatal(err)
	}
	if err := replaceLock(link, nil, []byte("x")); err == nil {
		t.Error("a link to itself was written")
	}
}

func TestAFileThatIsRewrittenIsTold(t *testing.T) {
	const lock = `{"version": 1, "hosts": {"pve1": {"containers": {"977": {"names": {"0": "GPU-aaaaaaaa-1111-2222-3333-444455556666"}}}}}}`
	for mode, want := range map[tasks.Mode]bool{tasks.ModeRun: true, tasks.ModeCheck: false} {
		c, said, err := choose(t, `"950": {"name": "a", "gpu_assignment": {"count": 3}}`, "", lock, mode, twoGPUs())
		if err != nil || strings.Contains(said.String(), c.hosts[0].Lock().Path+" written anew, no container got other GPUs: commit it\n") != want {
			t.Errorf("%s: %v, said %q", mode, err, said)
		}
	}
}
