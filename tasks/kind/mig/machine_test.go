package mig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	first  = "0000:01:00.0"
	second = "0000:02:00.0"
	unit   = "/etc/systemd/system/phoenix-mig.service"
)

// host is a simulated Proxmox host with two cards that can be divided.
type host struct {
	taskstest.Machine
	sim *sim.Machine
}

func divisible(t *testing.T, cards map[string]sim.MIGCard) host {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve1", sim.Options{Seed: 7, GPUs: 2})
	if err != nil {
		t.Fatal(err)
	}
	h := host{taskstest.Machine{Host: m.Host(), Digest: m.Digest}, m}
	for _, address := range []string{first, second} {
		if err := m.SetMIG(address, cards[address]); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// divided is a card in MIG mode with instances, each "PROFILE:START".
func divided(instances ...sim.MIGInstance) sim.MIGCard {
	return sim.MIGCard{On: true, Pending: true, Instances: instances}
}

func gi(id int, profile string, start, slices int) sim.MIGInstance {
	return sim.MIGInstance{ID: id, Profile: profile, Start: start, Computes: map[int]int{0: slices}}
}

func (h host) run(t *testing.T, line string) string {
	t.Helper()
	out, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: strings.Fields(line)})
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Stdout)
}

// uuids are those of the instances, as nvidia-smi lists them.
func (h host) uuids(t *testing.T) (out []string) {
	t.Helper()
	for l := range strings.Lines(h.run(t, "nvidia-smi -L")) {
		if strings.HasPrefix(l, "  MIG ") {
			name, rest, _ := strings.Cut(strings.TrimSpace(l)[4:], " ")
			_, id, _ := strings.Cut(rest, "UUID: ")
			out = append(out, name+" "+strings.TrimSuffix(id, ")"))
		}
	}
	return out
}

// opens lets a process of the machine have files open.
func (h host) opens(t *testing.T, pid, comm string, nodes ...string) {
	t.Helper()
	dir := filepath.Join(h.sim.Root, "/proc", pid)
	if err := os.MkdirAll(filepath.Join(dir, "fd"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "comm"), []byte(comm+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		if err := os.Symlink(n, filepath.Join(dir, "fd", string(rune('3'+i)))); err != nil {
			t.Fatal(err)
		}
	}
}

// changes are "PATH: FROM -> TO (EFFECT)".
func changes(d tasks.Diff) (out []string) {
	for _, c := range d {
		out = append(out, c.Path+": "+c.From+" -> "+c.To+" ("+string(c.Effect)+")")
	}
	return out
}
