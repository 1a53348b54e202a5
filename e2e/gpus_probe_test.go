package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phoenix/e2e/nvmlfake"
	"phoenix/e2e/realhost"
	"phoenix/tasks/gpufacts"
)

// cardHost is a host of TestGPUsOfServers: what its driver is told to do, and what
// becomes of that. Each has three cards in the kernel; the one in the middle is bad.
type cardHost struct {
	name string
	// bad is a line of the card in the middle, driver one of the driver.
	bad, driver string
	// prepare is a script that runs on the host before it starts.
	prepare string
	// source of the facts, and why each better one is none: "nvml: permission".
	source string
	missed string
	// fault of the card in the middle: "lost: …".
	fault string
}

func cardHosts() []cardHost {
	const libraries = "/usr/lib/$(uname -m)-linux-gnu/"
	const smi = "printf '#!/bin/sh\\nexec cat /etc/nvidia-smi.xml\\n' > /usr/local/sbin/nvidia-smi; chmod 755 /usr/local/sbin/nvidia-smi; "
	return []cardHost{
		{name: "all answer", source: "nvml"},
		{name: "one fell off the bus", bad: "lost now", source: "nvml", fault: "lost: nvmlDeviceGetHandleByIndex: GPU is lost"},
		{name: "one hangs", bad: "fault nvmlDeviceGetPowerUsage hang", source: "nvml", fault: "timeout: the driver did not answer within"},
		{name: "one crashes the library", bad: "fault nvmlDeviceGetPowerUsage segv", source: "nvml", fault: "crash: the driver's library ended the probe: SIGSEGV"},
		{name: "one aborts", bad: "fault nvmlDeviceGetMemoryInfo_v2 abort", source: "nvml", fault: "crash: the driver's library ended the probe: SIGABRT"},
		{name: "an old library", prepare: "mv /etc/old-library " + libraries + "libnvidia-ml.so.1", source: "nvml"},
		{name: "symbols bound at the start of the session", prepare: "echo 'SetEnv LD_BIND_NOW=1' >> /etc/phoenix-e2e/sshd_config", source: "nvml"},
		{name: "no library", prepare: "rm " + libraries + "libnvidia-ml.so*", source: "proc", missed: "nvml: library missing, nvidia-smi: library missing"},
		{name: "no library, and nvidia-smi", prepare: smi + "rm " + libraries + "libnvidia-ml.so*", source: "nvidia-smi", missed: "nvml: library missing"},
		{name: "another version loaded than installed", driver: "fault nvmlInit_v2 18", source: "proc", missed: "nvml: version mismatch, nvidia-smi: library missing"},
		{name: "refused", driver: "fault nvmlInit_v2 4", source: "proc", missed: "nvml: permission, nvidia-smi: library missing"},
		{name: "the driver hangs", driver: "fault nvmlInit_v2 hang", prepare: smi + "echo 'touch /etc/nvidia-smi.asked' >> /usr/local/sbin/nvidia-smi", source: "proc", missed: "nvml: timeout, nvidia-smi: timeout"},
		{name: "the driver is not loaded", driver: "fault nvmlInit_v2 9", prepare: "rm -rf /proc/driver/nvidia /sys/module/nvidia", source: "sysfs", missed: "nvml: driver not loaded, nvidia-smi: library missing, proc: driver not loaded"},
	}
}

// machine is what the driver of the host says.
func (c cardHost) machine() nvmlfake.Machine {
	m := nvmlfake.Machine{Lines: nvmlfake.Driver(), Cards: []nvmlfake.Card{nvmlfake.RTX4090(0), nvmlfake.RTX4090(1), nvmlfake.RTX4090(2)}}
	for i := range m.Cards {
		m.Cards[i].Lines = append(m.Cards[i].Lines, "process compute 1 1073741824 - -")
	}
	if c.driver != "" {
		m.Lines = append(m.Lines, c.driver)
	}
	if c.bad != "" {
		m.Cards[1].Lines = append([]string{c.bad}, m.Cards[1].Lines...)
	}
	return m
}

// laidCards is a folder for realhost.Options.Cards.
func laidCards(t *testing.T, m nvmlfake.Machine) string {
	t.Helper()
	dir := t.TempDir()
	if err := m.Lay(t.Context(), dir, nvmlfake.Current); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newCardRig is a fleet in which each host has its own fault, and one last host that has
// no card.
func newCardRig(t *testing.T, hosts []cardHost) *rig {
	t.Helper()
	cards, old := laidCards(t, cardHost{}.machine()), t.TempDir()
	if err := nvmlfake.Build(t.Context(), old, nvmlfake.Old); err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{"old-library": filepath.Join(old, "libnvidia-ml.so.1"), "nvidia-smi.xml": "gpucompare/testdata/rtx4090.xml"} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(cards, "etc", to), data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	prepare := "case $NODE in\n"
	for i, h := range hosts {
		prepare += fmt.Sprintf("pve%d) %s ;;\n", i+1, "true; "+h.prepare)
	}
	prepare += fmt.Sprintf("pve%d) rm -rf /sys/bus/pci/devices/* ;;\nesac\n", len(hosts)+1)
	r := newRig(t, len(hosts)+1, realhost.Options{Cards: cards, Prepare: prepare})
	r.inventory(t, "")
	r.write(t, "hypervisor.json", `{"version": 1}`)
	r.write(t, "lxc.json", `{"version": 1}`)
	for i, h := range hosts {
		if err := h.machine().Write(r.Hosts[i].Path(nvmlfake.OnHost)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// gpusOf is what a report says of the cards of a host.
func gpusOf(t *testing.T, r record, host string) gpufacts.Host {
	t.Helper()
	var out gpufacts.Host
	for _, h := range r.Hosts {
		for _, s := range h.Steps {
			if h.Name != host || s.ID != "gpus:host" {
				continue
			}
			if err := json.Unmarshal(s.Data, &out); err != nil {
				t.Fatalf("%s: %v: %s", host, err, s.Data)
			}
			return out
		}
	}
	t.Fatalf("%s (%s) tells nothing of its cards", host, r.statuses())
	return out
}

// asked counts how often the library on a host was opened.
func (r *rig) asked(host int) int {
	data, err := os.ReadFile(r.Hosts[host].Path(nvmlfake.OnHost + ".inits"))
	if err != nil {
		return 0
	}
	return strings.Count(string(data), "init")
}

// probes are the GPU probes that lie on a host: path, inode and time of each.
func (r *rig) probes(t *testing.T, host int) []string {
	t.Helper()
	var out []string
	for _, path := range r.helperPaths(t, host) {
		if !strings.HasPrefix(filepath.Base(path), "agentlet-nvml-") {
			continue
		}
		fi, err := os.Stat(r.Hosts[host].Path(path))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(path, " ", fi.Sys().(*syscall.Stat_t).Ino, " ", fi.ModTime()))
	}
	return out
}

func TestGPUsOfServers(t *testing.T) {
	t.Parallel()
	hosts := cardHosts()
	r := newCardRig(t, hosts)
	bare := len(hosts)
	first := r.phoenix(t, "gpus", "-o", "json").want(t, 0)
	if first.took > 60*time.Second {
		t.Errorf("it took %v", first.took)
	}
	got := first.report(t)
	for i, h := range hosts {
		t.Run(h.name, func(t *testing.T) { h.told(t, gpusOf(t, got, r.Hosts[i].Name)) })
	}
	t.Run("a host without a card gets no probe", func(t *testing.T) {
		if d := gpusOf(t, got, r.Hosts[bare].Name); len(d.GPUs) > 0 || len(d.Cards) > 0 || len(d.Missed) > 0 || d.Source != "" {
			t.Errorf("it tells of %+v", d)
		}
		if has, n := r.probes(t, bare), r.asked(bare); len(has) > 0 || n > 0 {
			t.Errorf("it has the probes %q, and its library was opened %d times", has, n)
		}
	})
	t.Run("nvidia-smi is not asked where the driver hangs", func(t *testing.T) {
		for i, h := range hosts {
			if asked := exists(r.Hosts[i].Path("/etc/nvidia-smi.asked")); asked {
				t.Errorf("%s: it was", h.name)
			}
		}
	})
	t.Run("the second time nothing is uploaded", func(t *testing.T) {
		before, n := r.probes(t, 0), r.asked(0)
		if len(before) != 1 || n != 1 {
			t.Fatalf("the host has the probes %q, and its library was opened %d times", before, n)
		}
		r.phoenix(t, "gpus", "-l", "pve1").want(t, 0).says(t,
			"pve1", "NVIDIA GeForce RTX 4090", "1.2 GiB of 24.0 GiB", "12%", "41 C", "61 / 450 W", "host", "sshd (1)", "1.0 GiB", "3 GPUs")
		r.phoenix(t, "facts", "-l", "pve1").want(t, 0).says(t, "3x NVIDIA GeForce RTX 4090")
		if after := r.probes(t, 0); strings.Join(after, "\n") != strings.Join(before, "\n") || r.asked(0) != n+2 {
			t.Errorf("the probes were %q and are %q; the library was opened %d times", before, after, r.asked(0)-n)
		}
	})
	t.Run("no probe and no reader of the library is left", func(t *testing.T) {
		for i := range r.Hosts {
			if left := r.processes(i, "agentlet-"); len(left) > 0 {
				t.Errorf("%s: %v", r.Hosts[i].Name, left)
			}
		}
	})
	t.Run("a divided card", func(t *testing.T) { r.divided(t) })
}

// told compares what a host tells with what was made of it.
func (c cardHost) told(t *testing.T, d gpufacts.Host) {
	t.Helper()
	var missed []string
	for _, m := range d.Missed {
		missed = append(missed, m.Source+": "+m.Kind)
	}
	if d.Source != c.source || strings.Join(missed, ", ") != c.missed {
		t.Errorf("the source is %q, not better because of %q (%+v), want %q, %q", d.Source, missed, d.Missed, c.source, c.missed)
	}
	if d.Source == gpufacts.SourceSMI {
		if len(d.GPUs) != 1 || d.GPUs[0].Name != "NVIDIA GeForce RTX 4090" || d.GPUs[0].Power == nil {
			t.Errorf("the cards are %+v", d.GPUs)
		}
		return
	}
	if len(d.Cards) != 3 || len(d.GPUs) != 3 {
		t.Fatalf("the bus has %+v, the source %+v", d.Cards, d.GPUs)
	}
	for i, g := range d.GPUs {
		if want := fmt.Sprintf("0000:%02x:00.0", 1+i*0x40); d.Cards[i].Address != want || g.Index != i || g.PCIAddress != want && g.Error == nil {
			t.Errorf("card %d is at %q, on the bus at %q", g.Index, g.PCIAddress, d.Cards[i].Address)
		}
		if d.Source != gpufacts.SourceNVML {
			if g.Memory != nil || g.Power != nil || g.Processes != nil {
				t.Errorf("the kernel does not know %+v", g)
			}
			continue
		}
		bad := c.fault != "" && i == 1
		if whole := g.Error == nil && g.Memory != nil && g.Power != nil && len(g.Processes) == 1; whole == bad {
			t.Errorf("card %d has %+v, error %+v", i, g, g.Error)
		}
		if said := fmt.Sprintf("%s: %s", faultOf(g).Kind, faultOf(g).Text); bad && !strings.HasPrefix(said, c.fault) {
			t.Errorf("the fault of card %d is %q, want %q", i, said, c.fault)
		}
	}
	if o := d.Owner(1); d.Source == gpufacts.SourceNVML && (o == nil || o.Name != "sshd" || o.CTID != 0) {
		t.Errorf("the process belongs to %+v", o)
	}
}

func faultOf(g gpufacts.GPU) gpufacts.Fault {
	if g.Error == nil {
		return gpufacts.Fault{}
	}
	return *g.Error
}

// divided gives the first host a card with instances in place of those it had.
func (r *rig) divided(t *testing.T) {
	m := nvmlfake.Machine{Lines: nvmlfake.Driver(), Cards: []nvmlfake.Card{nvmlfake.A100(0)}}
	if err := m.Write(r.Hosts[0].Path(nvmlfake.OnHost)); err != nil {
		t.Fatal(err)
	}
	out := r.phoenix(t, "gpus", "-l", "pve1", "-o", "json").want(t, 0)
	d := gpusOf(t, out.report(t), "pve1")
	if len(d.GPUs) != 1 || d.GPUs[0].MIG == nil || !d.GPUs[0].MIG.Enabled || len(d.GPUs[0].MIG.Instances) != 2 {
		t.Fatalf("the cards are %+v", d.GPUs)
	}
	for i, want := range []string{"1g.5gb", "1c.3g.20gb"} {
		if got := d.GPUs[0].MIG.Instances[i].Profile; got != want {
			t.Errorf("instance %d is %q, want %q", i, got, want)
		}
	}
	r.phoenix(t, "gpus", "-l", "pve1").want(t, 0).says(t, "NVIDIA A100-SXM4-40GB", "row remapping pending", "MIG 1g.5gb", "MIG 1c.3g.20gb")
}
