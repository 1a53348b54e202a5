package taskstest_test

import (
	"os"
	"path/filepath"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/facts"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/kind/storage"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/kind/template"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// simulated is a fresh simulated Proxmox host.
func simulated(t *testing.T) (taskstest.Machine, string) {
	t.Helper()
	root := t.TempDir()
	m, err := sim.New(root, "pve1", sim.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	return taskstest.Machine{Host: m.Host(), Digest: m.Digest}, root
}

func command(argv ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSimulatedHost holds every family to its contract on the simulated Proxmox
// programs, whose texts and traps are those of the real ones.
func TestSimulatedHost(t *testing.T) {
	fresh := func(t *testing.T) taskstest.Machine { m, _ := simulated(t); return m }
	for name, s := range map[string]taskstest.Suite{
		"apt": {
			Kind: apt.Kind(), New: fresh, Spec: `{"packages":["curl","jq","-vim","-cron"],"hold":["pve-manager"]}`,
			Drifts: []taskstest.Drift{{Name: "a package was removed", Make: command("apt-get", "-y", "remove", "jq"), Paths: []string{"packages.jq"}}},
		},
		"file": {Kind: file.Kind(), New: fresh, Spec: `{"path":"/etc/motd","content":"Welcome.\n","mode":"0640"}`},
		"service": {
			Kind: service.Kind(), New: func(t *testing.T) taskstest.Machine {
				m, _ := simulated(t)
				command("systemctl", "disable", "chrony.service")(t, m)
				command("systemctl", "stop", "chrony.service")(t, m)
				return m
			}, Spec: `{"name":"chrony","enabled":true,"active":true}`,
			Drifts: []taskstest.Drift{{Name: "it was stopped", Make: command("systemctl", "stop", "chrony"), Paths: []string{"active"}}},
		},
		"system": {
			Kind: system.Kind(), New: fresh, Spec: `{"timezone":"Europe/Berlin","ntp":true}`, Tolerates: []string{"timedatectl"},
			Drifts: []taskstest.Drift{{Name: "chrony was stopped", Make: command("systemctl", "stop", "chrony"), Paths: []string{"ntp"}}},
		},
		"storage": {
			Kind: storage.Kind(), New: fresh, Spec: `{"id":"tank","type":"dir","path":"/srv/tank","content":["iso","backup","snippets"],"shared":true,"disabled":false,"prune_backups":"keep-last=3"}`,
			Drifts: []taskstest.Drift{
				{Name: "it was disabled", Make: command("pvesm", "set", "tank", "--disable", "1"), Paths: []string{"disabled"}},
				{Name: "other content", Make: command("pvesm", "set", "tank", "--content", "iso"), Paths: []string{"content"}},
			},
		},
		"template": {Kind: template.Kind(), New: fresh, Spec: `{"name":"debian-12-standard","storage":"local","latest":true}`},
	} {
		t.Run(name, s.Run)
	}
}

func TestSimulatedHost_factsAreComplete(t *testing.T) {
	m, root := simulated(t)
	res := taskstest.Check(t, facts.Kind(), `{}`, m)
	if res.Status != tasks.StatusOK {
		t.Fatalf("%+v", res)
	}
	var f facts.Facts
	if err := tasks.UnmarshalStrict(res.Data, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Unreadable) > 0 || f.Node != "pve1" || f.PVEVersion == "" || f.Cores == 0 || f.MemoryMB == 0 || len(f.Storages) == 0 {
		t.Errorf("%+v", f)
	}
	if err := os.Remove(filepath.Join(root, "/proc/cpuinfo")); err != nil {
		t.Fatal(err)
	}
	res = taskstest.Check(t, facts.Kind(), `{}`, m)
	if err := tasks.UnmarshalStrict(res.Data, &f); err != nil || len(f.Unreadable) != 1 {
		t.Errorf("a missing file is not told: %+v, %v", f, err)
	}
}
