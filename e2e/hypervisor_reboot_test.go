package e2e

import (
	"os"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
)

// rebooting is a host that wants a module of its kernel, and a step that comes behind
// the reboot and writes down the boot that it ran in.
const rebooting = `{
  "version": 1,
  "kernel": { "modules": ["nbd"] },
  "files": { "/etc/after": { "content": "after the reboot\n" } },
  "steps": {
    "boot": {
      "check": "cmp -s /proc/sys/kernel/random/boot_id /etc/boot || exit 1",
      "apply": "cat /proc/sys/kernel/random/boot_id > /etc/boot",
      "needs": ["reboot:host"],
    },
  },
}
`

func TestARebootIsAStepOfThePlan(t *testing.T) {
	r := newRig(t, 2, realhost.Options{Prepare: "touch /boot/vmlinuz-6.8.12-10-pve; mkdir -p /lib/modules/6.8.12-10-pve; touch /lib/modules/6.8.12-10-pve/modules.dep\n"})
	r.configure(t, rebooting, `{"version": 1}`)
	const bootID = "/proc/sys/kernel/random/boot_id"
	before := r.read(t, 0, bootID)

	t.Run("without consent it is told, with its reason, and the steps behind it go on", func(t *testing.T) {
		r.phoenix(t, "check", "-l", "pve1").want(t, 2).says(t, "kernel 6.8.12-10-pve is installed, 6.8.12-9-pve runs", "--allow-reboot")
		got := r.phoenix(t, "run", "-l", "pve1", "-o", "json").want(t, 0).says(t, "kernel 6.8.12-10-pve is installed").report(t)
		for _, s := range got.Hosts[0].Steps {
			want, cause := "changed", ""
			switch s.ID {
			case "reboot:host":
				want, cause = "skipped", "pending"
			case "containers:host":
				want = "ok"
			}
			if s.Status != want || s.Cause != cause {
				t.Errorf("%s is %s (%s), want %s (%s): %s", s.ID, s.Status, s.Cause, want, cause, s.Why)
			}
		}
		r.phoenix(t, "check", "-l", "pve1").want(t, 2)
		if id := r.read(t, 0, bootID); id != before {
			t.Error("it was rebooted")
		}
	})
	t.Run("with consent the host goes down, and the run goes on", func(t *testing.T) {
		out := r.phoenix(t, "run", "--allow-reboot", "-o", "json").want(t, 0)
		got := out.report(t)
		if s := got.statuses(); s != "pve1 changed, pve2 changed" {
			t.Errorf("the hosts are %s", s)
		}
		for i, h := range got.Hosts {
			id := r.read(t, i, bootID)
			if id == before || r.read(t, i, "/etc/boot") != id {
				t.Errorf("%s: the step behind the reboot ran in boot %q, the host is in %q", h.Name, r.read(t, i, "/etc/boot"), id)
			}
			if running := strings.TrimSpace(r.read(t, i, "/proc/sys/kernel/osrelease")); running != "6.8.12-10-pve" {
				t.Errorf("%s runs %s", h.Name, running)
			}
			if modules := r.read(t, i, "/proc/modules"); !strings.Contains(modules, "nbd ") {
				t.Errorf("%s has come up without its module: %s", h.Name, modules)
			}
		}
		r.phoenix(t, "check").want(t, 0)
		r.phoenix(t, "run", "--allow-reboot", "-o", "json").want(t, 0).wantChanges(t)
	})
}

func TestWhatWaitsForTheRebootIsChangedByIt(t *testing.T) {
	r := newRig(t, 1, realhost.Options{})
	r.configure(t, `{"version": 1, "kernel": {"cmdline": ["iommu=pt"]}}`, `{"version": 1}`)
	got := r.phoenix(t, "run", "--allow-reboot", "-o", "json").want(t, 0).report(t)
	if s := got.statuses(); s != "pve1 changed" {
		t.Errorf("the host is %s", s)
	}
	want := "pve1 kernel:settings cmdline.iommu=pt, pve1 kernel:settings running.cmdline.iommu=pt, pve1 reboot:host reboot"
	if changes := strings.Join(got.changes(), ", "); changes != want {
		t.Errorf("changes %s, want %s", changes, want)
	}
	for _, s := range got.Hosts[0].Steps {
		if len(s.Remaining) > 0 || s.Status != "changed" && s.ID != "containers:host" {
			t.Errorf("%s is %s: %s; %v is left", s.ID, s.Status, s.Why, s.Remaining)
		}
	}
}

func TestADiskWithSomethingOnItIsTakenOnlyByItsName(t *testing.T) {
	e := newExample(t, 1)
	const disk = "/dev/disk/by-id/ata-Samsung_SSD_870_EVO_1TB_S5Y1NX0R000002"
	e.byHand(t, `sed -i 's|"sdc": null|"sdc": [{"type": "ext4", "label": "photos"}]|' /.sim/disks.json`)
	refused := e.do(t, "run", "--tags", "zfs").want(t, 5).says(t, "ext4", "photos", "--allow-wipe "+disk)
	for _, s := range refused.report(t).Hosts[0].Steps {
		if fast := strings.HasPrefix(s.ID, "zpool:fast") || strings.HasPrefix(s.ID, "zfs:fast/"); (s.Status == "skipped") != fast {
			t.Errorf("%s is %s: %s", s.ID, s.Status, s.Why)
		}
	}
	e.do(t, "run", "--tags", "zfs", "--allow-wipe", disk+"-part1").want(t, 64) // no pool names a partition
	e.do(t, "run", "--tags", "zfs", "--allow-wipe", disk).want(t, 0)
	e.do(t, "check", "--tags", "zfs").want(t, 0).wantChanges(t)
}

// TestOneHostOfAClusterWritesAndTheOthersVerify has two hosts that share storage.cfg,
// as pmxcfs would have them. The second one's pvesm refuses.
func TestOneHostOfAClusterWritesAndTheOthersVerify(t *testing.T) {
	r := newRig(t, 2, realhost.Options{Prepare: `[ $NODE = pve1 ] || { rm /usr/local/sbin/pvesm
printf '%s\n' '#!/bin/sh' 'echo "$@" >> /etc/pvesm-was-called' 'exit 1' > /usr/local/sbin/pvesm; chmod +x /usr/local/sbin/pvesm; }
`})
	for _, h := range r.Hosts {
		r.extra[h.Name] = "cluster: lab"
	}
	r.configure(t, `{"version": 1, "storage": {"dump": {"type": "dir", "path": "/srv/dump", "content": ["backup"], "shared": true}}}`, `{"version": 1}`)
	const file = "/etc/pve/storage.cfg"
	run := r.start(t, "run", "-v", "-o", "json")
	eventually(t, "the first host has made the storage", func() bool { return strings.Contains(r.read(t, 0, file), "dir: dump") })
	if err := os.WriteFile(r.Hosts[1].Path(file), []byte(r.read(t, 0, file)), 0o640); err != nil {
		t.Fatal(err)
	}
	got := run.wait(t).want(t, 0).report(t)
	if s := got.statuses(); s != "pve1 changed, pve2 ok" {
		t.Errorf("the hosts are %s", s)
	}
	if exists(r.Hosts[1].Path("/etc/pvesm-was-called")) {
		t.Errorf("the second host wrote, too: pvesm %s", r.read(t, 1, "/etc/pvesm-was-called"))
	}
	got = r.phoenix(t, "check", "-o", "json").want(t, 0).report(t)
	if s := got.statuses(); s != "pve1 ok, pve2 ok" {
		t.Errorf("then the hosts are %s", s)
	}
}
