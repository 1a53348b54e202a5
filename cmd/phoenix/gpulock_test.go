package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/inventory/gpulock"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/report"
)

// gpuFleet is an inventory of one host, pve1, with these containers and section nvidia.
func gpuFleet(t *testing.T, containers, nvidia string) (*inventory.Fleet, *inventory.Host) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"hosts.yaml": "version: 1\nhosts: {pve1: {address: 127.0.0.1, hypervisor: h.json, lxc: c.json, containers: all}}\n",
		"h.json":     `{"version": 1` + nvidia + `}`,
		"c.json": `{"version": 1, "defaults": {"template": "debian-12-standard", "storage_pool": "local-lvm", "storage_size_gb": 4, "memory_mb": 512,
			"network_config": {"name": "eth0", "bridge": "vmbr0", "ip": "dhcp"}}, "lxc_configs": {` + containers + `}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fleet, found := inventory.Load(t.Context(), inventory.Options{Sources: []string{filepath.Join(dir, "hosts.yaml")}, UID: os.Getuid()})
	if fleet == nil {
		t.Fatal(found)
	}
	return fleet, fleet.Hosts[0]
}

func gpuOf(letter string, index int) gpufacts.GPU {
	return gpufacts.GPU{
		Index: index, Name: "NVIDIA GeForce RTX 4090", UUID: "GPU-" + strings.Repeat(letter, 8) + "-1111-2222-3333-444455556666",
		PCIAddress: "0000:0" + string(rune('1'+index)) + ":00.0", Memory: &gpufacts.Memory{Total: 24 << 30}, Processes: []gpufacts.Process{},
	}
}

func twoGPUs() gpufacts.Host {
	return gpufacts.Host{
		Document: gpufacts.Document{Source: gpufacts.SourceNVML, GPUs: []gpufacts.GPU{gpuOf("a", 0), gpuOf("b", 1)}},
		Cards:    []gpufacts.Card{{Address: "0000:01:00.0", Driver: "nvidia"}, {Address: "0000:02:00.0", Driver: "nvidia"}},
	}
}

func chooser(fleet *inventory.Fleet, mode tasks.Mode, said *bytes.Buffer) *gpuChoice {
	return &gpuChoice{p: &program{stderr: said, environ: func(string) string { return "" }}, g: &cli{}, fleet: fleet, hosts: fleet.Hosts, r: request{mode: mode}}
}

func answering(t *testing.T, data gpufacts.Host) report.Report {
	t.Helper()
	return report.Report{Hosts: []report.Host{gpuAnswer(t, "pve1", data)}}
}

func TestAChoiceIsKeptBeforeAnythingIsChanged(t *testing.T) {
	fleet, h := gpuFleet(t, `"950": {"name": "a", "gpu_assignment": {"count": 1}}`, "")
	var said bytes.Buffer
	c := chooser(fleet, tasks.ModeRun, &said)
	before := c.snapshot()
	c.settle(h, answering(t, twoGPUs()))
	if err := c.keep(before); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(h.Lock().Path)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := gpulock.Parse(data)
	if err != nil || !slices.Equal(lock.Kept("pve1").Containers[950].GPUs, []string{gpuOf("a", 0).UUID}) || len(lock.Kept("pve1").Cards) != 2 {
		t.Errorf("kept: %s, %v", data, err)
	}
	if want := "phoenix: GPUs chosen for 950 (GPU-aaaaaaaa, RTX 4090 25.8 GB); kept in " + h.Lock().Path + ": commit it\n"; said.String() != want {
		t.Errorf("said %q, want %q", said.String(), want)
	}
	if len(h.Unpinned(false)) != 0 || h.Containers[0].Spec.GPUAssignment.String() != gpuOf("a", 0).UUID {
		t.Errorf("the container gets %q", h.Containers[0].Spec.GPUAssignment)
	}

	fleet, h = gpuFleet(t, `"950": {"name": "a", "gpu_assignment": {"count": 1}}`, "")
	c = chooser(fleet, tasks.ModeRun, &said)
	before = c.snapshot()
	c.settle(h, answering(t, twoGPUs()))
	if err := os.RemoveAll(filepath.Dir(h.Lock().Path)); err != nil {
		t.Fatal(err)
	}
	if err := c.keep(before); err == nil || !strings.HasPrefix(err.Error(), "keep the chosen GPUs: write ") || !strings.HasSuffix(err.Error(), "; nothing was changed") {
		t.Errorf("where nothing can be written: %v", err)
	}
}

func TestWhatIsNotWantedAnyMoreIsForgotten(t *testing.T) {
	fleet, h := gpuFleet(t, `"950": {"name": "a", "gpu_assignment": {"count": 1}}, "951": {"name": "b"}, "952": {"name": "c", "gpu_assignment": "1"}`, "")
	one := gpulock.Pin{Request: &gpulock.Request{}, GPUs: []string{gpuOf("b", 1).UUID}}
	for _, mode := range []tasks.Mode{tasks.ModeRun, tasks.ModeCheck} {
		of := h.Lock().Lock.Of("pve1")
		of.Containers = map[int]gpulock.Pin{951: one, 977: one}
		var said bytes.Buffer
		c := chooser(fleet, mode, &said)
		before := c.snapshot()
		c.settle(h, answering(t, twoGPUs()))
		if err := c.keep(before); err != nil {
			t.Fatal(err)
		}
		of = h.Lock().Lock.Of("pve1")
		_, forgotten := of.Containers[951]
		_, looked := of.Containers[952]
		if forgotten || !looked || of.Containers[950].GPUs[0] != gpuOf("a", 0).UUID {
			t.Errorf("%s: kept are %+v", mode, of.Containers)
		}
		if _, err := os.Stat(h.Lock().Path); (err == nil) != (mode == tasks.ModeRun) {
			t.Errorf("%s: the file is there: %v", mode, err)
		}
		_ = os.Remove(h.Lock().Path)
		h.Lock().Raw = nil
	}
}

func TestAHostThatCannotAnswerLeavesItsRequestsUnmet(t *testing.T) {
	asleep := twoGPUs()
	asleep.GPUs, asleep.Missed = []gpufacts.GPU{}, []gpufacts.Missed{{Source: gpufacts.SourceNVML, Fault: gpufacts.Fault{Kind: gpufacts.KindDriverNotLoaded}}}
	for i := range asleep.Cards {
		asleep.Cards[i].Driver = ""
	}
	gone := report.Report{Hosts: []report.Host{{Name: "pve1", Status: report.HostUnreachable, Error: &report.Error{What: "connect to pve1", Why: "no route\x1b[2J", Hint: "ssh root@pve1"}}}}
	for _, c := range []struct {
		name, want string
		answer     report.Report
	}{
		{"a host that is not reached", "the host could not be asked for its cards: connect to pve1: no route", gone},
		{"a host that nobody asked", "the host was not asked", report.Report{}},
		{"a host without its driver", "0000:01:00.0: driver none; 0000:02:00.0: driver none; NVIDIA's driver is not there yet: `phoenix run` chooses once it is", answering(t, asleep)},
	} {
		fleet, h := gpuFleet(t, `"900": {"name": "b", "gpu_assignment": "0"}, "950": {"name": "a", "gpu_assignment": {"count": 1}}`, "")
		var said bytes.Buffer
		choice := chooser(fleet, tasks.ModeRun, &said)
		before := choice.snapshot()
		choice.settle(h, c.answer)
		if err := choice.keep(before); err != nil {
			t.Fatal(err)
		}
		if led := h.Containers[1].Spec.GPULedger; led == nil || !strings.Contains(led.Unmet, c.want) || strings.Contains(led.Unmet, "\x1b") {
			t.Errorf("%s: unmet because %+v, want %q", c.name, led, c.want)
		}
		if h.Containers[0].Spec.GPULedger != nil || h.Containers[0].Spec.GPUAssignment.String() != "0" {
			t.Errorf("%s: the index became %+v", c.name, h.Containers[0].Spec.GPULedger)
		}
		if _, err := os.Stat(h.Lock().Path); err == nil || said.Len() > 0 {
			t.Errorf("%s: a file was written, or %q said", c.name, said.String())
		}
	}
}

func TestClonesHaveTheCardsOfTheirParentAmongTheWants(t *testing.T) {
	_, h := gpuFleet(t, `"900": {"name": "golden", "is_template": true, "gpu_assignment": "0", "gpu_memory_gb": 8}, "901": {"name": "a", "clone_from_ctid": 900},
		"902": {"name": "b", "clone_from_ctid": 900, "gpu_assignment": {"count": 1}}, "903": {"name": "c", "gpu_assignment": "all"}, "904": {"name": "d", "gpu_assignment": "none"}, "905": {"name": "e"},
		"906": {"name": "f", "state": "absent", "gpu_assignment": "1"}`, "")
	wants := gpuWants(h)
	got, err := json.Marshal(wants)
	if err != nil {
		t.Fatal(err)
	}
	ctids := []int{}
	for _, w := range wants {
		ctids = append(ctids, w.CTID)
	}
	if !slices.Equal(ctids, []int{900, 901, 902, 903, 904}) || !wants[0].Idle || wants[1].Of != 900 || wants[1].BudgetGB != 8 || wants[2].Of != 0 || wants[2].Request == nil ||
		!wants[3].All || wants[4].All || len(wants[4].Names) > 0 || !slices.Equal(wants[0].Names, []string{"0"}) {
		t.Errorf("wanted: %s", got)
	}
}

func TestALockFileIsReplacedOnlyAsItWasRead(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "c.lock.json")
	if err := replaceLock(at, nil, []byte("one")); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(at)
	if err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", fi, err)
	}
	for name, read := range map[string][]byte{"nothing was there": nil, "another text": []byte("two"), "an empty file": {}} {
		if err := replaceLock(at, read, []byte("three")); !errors.Is(err, errLockChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := replaceLock(at, []byte("one"), []byte("four")); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(at)
	if err != nil || string(data) != "four" {
		t.Errorf("it is %q, %v", data, err)
	}
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	if err := replaceLock(at, []byte("four"), nil); !errors.Is(err, errLockChanged) {
		t.Errorf("deleted meanwhile: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	taken := filepath.Join(dir, "folder")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceLock(taken, nil, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
}

func TestAPassphraseIsAskedForOnce(t *testing.T) {
	asked := []string{}
	ask := func(_ context.Context, question string) (string, error) {
		asked = append(asked, question)
		return "answer to " + question, nil
	}
	a := &answers{}
	if a.remember(nil) != nil || a.before(nil) != nil {
		t.Error("somebody is asked where nobody is")
	}
	later := a.before(ask)
	for _, f := range []askFunc{a.remember(ask), later, later} {
		if got, err := f(t.Context(), "key"); got != "answer to key" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked %q: once before, and again for the answer that was wrong", asked)
	}
	if got, err := (*answers)(nil).before(ask)(t.Context(), "x"); got != "answer to x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
