package lxc_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

const template = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"

// fromTemplate is the line of a description that says where container 900 is from.
const fromTemplate = "<!-- phoenix: ctid=900 template=" + template + " -->"

func TestCreateSendsEveryPropertyInOneCall(t *testing.T) {
	m := newMachine(t, "8.4")
	wantStatus(t, m.apply(t, spec(`"swap_mb":0,"boot_order":3,"boot_delay_s":5`), tasks.Consent{}), tasks.StatusChanged)
	wantCalls(t, m,
		"create 900 "+template+" --cores 1 --description "+fromTemplate+" --features nesting=1 --hostname web1 --memory 512 "+
			"--net0 name=eth0,bridge=vmbr0,ip=dhcp --rootfs local-lvm:4 --startup order=3,up=5 --swap 0 --unprivileged 1",
		"start 900")
	wantStatus(t, m.check(t, spec(`"swap_mb":0,"boot_order":3,"boot_delay_s":5`)), tasks.StatusOK)
}

func TestPreviewSaysWhatIsTakenUp(t *testing.T) {
	for name, c := range map[string]struct{ old, fresh, want string }{
		"Proxmox's default given":  {"", "", "rootfs: local-lvm:4\nmemory_mb: 512\n"},
		"more than that":           {`"memory_mb":512`, `"memory_mb":1024`, "rootfs: local-lvm:4\nname: web1\nmemory_mb: 1024\n"},
		"nothing said of memory":   {`"memory_mb":512,`, "", "rootfs: local-lvm:4\nmemory_mb: 512\n"},
		"nothing said of the size": {`"storage_size_gb":4,`, "", "rootfs: local-lvm:4\n"},
		"a larger root":            {`"storage_size_gb":4`, `"storage_size_gb":12.5`, "rootfs: local-lvm:12.5\n"},
		"no pool":                  {`"storage_pool":"local-lvm",`, "", "rootfs: (no storage_pool is given):4\n"},
	} {
		res := newMachine(t, "8.4").check(t, strings.Replace(spec(""), c.old, c.fresh, 1))
		d := append(res.Changes, res.Remaining...)
		if len(d) != 1 || !strings.HasPrefix(d[0].Note, c.want) || strings.Count(d[0].Note, "memory_mb") != 1 {
			t.Errorf("%s: %+v, want %q", name, d, c.want)
		}
	}
}

func TestCreateSaysThePrivilegeInBothReleases(t *testing.T) {
	for _, release := range []string{"8.4", "9.1"} {
		for given, want := range map[string]string{"": "1", `"unprivileged":true`: "1", `"unprivileged":false`: ""} {
			m := newMachine(t, release)
			wantStatus(t, m.apply(t, spec(given), tasks.Consent{}), tasks.StatusChanged)
			got := strings.TrimPrefix(m.line(t, "unprivileged"), "unprivileged: ")
			if got != want && !(want == "" && got == "0") {
				t.Errorf("release %s with %q: unprivileged is %q, want %q", release, given, got, want)
			}
		}
	}
}

func TestCreateStoppedStaysStopped(t *testing.T) {
	m := newMachine(t, "8.4")
	wantStatus(t, m.apply(t, spec(`"state":"stopped"`), tasks.Consent{}), tasks.StatusChanged)
	if calls := m.pct(); len(calls) != 1 {
		t.Errorf("pct was called as %q, want only create", calls)
	}
	wantStatus(t, m.check(t, spec(`"state":"stopped"`)), tasks.StatusOK)
	res := m.check(t, spec(""))
	if len(res.Changes) != 1 || res.Changes[0].Path != "state" || res.Changes[0].From != "stopped" || res.Changes[0].To != "running" {
		t.Errorf("changes %+v, want the state alone", res.Changes)
	}
}

func TestCreateTakesTheNewestOfTheSeries(t *testing.T) {
	m := newMachine(t, "8.4")
	dir := "/var/lib/vz/template/cache/"
	for _, f := range []string{"debian-12-standard_12.10-1_amd64.tar.zst", "debian-12-standard_12.10-1_amd64.tar.zst.tmp", "debian-12-turnkey_99-1_amd64.tar.gz"} {
		taskstest.Put(t, m.sim.Host(), dir+f, taskstest.Get(t, m.sim.Host(), dir+"debian-12-standard_12.7-1_amd64.tar.zst"))
	}
	m.apply(t, spec(`"state":"stopped"`), tasks.Consent{})
	if got := m.pct()[0]; !strings.Contains(got, "debian-12-standard_12.10-1_amd64.tar.zst ") {
		t.Errorf("pct %s: want the template of version 12.10-1", got)
	}
}

func TestCreateIsRefusedBeforeProxmoxAllocates(t *testing.T) {
	replace := func(old, fresh string) string { return strings.Replace(spec(""), old, fresh, 1) }
	for name, c := range map[string]struct{ spec, want string }{
		"a template that is not there":      {replace("debian-12-standard", "debian-13-standard"), "find template debian-13-standard: it is not on storage local"},
		"a template on an unknown storage":  {replace(`"template":"`, `"template_storage":"nas","template":"`), "storage nas does not exist; there are: local"},
		"a template storage without vztmpl": {replace(`"template":"`, `"template_storage":"local-lvm","template":"`), "storage local-lvm keeps no templates"},
		"an unknown pool":                   {replace("local-lvm", "tank"), "storage tank does not exist; there are: local"},
		"a pool without rootdir":            {replace("local-lvm", "local"), "storage local takes no containers"},
		"no pool":                           {replace(`"storage_pool":"local-lvm",`, ""), "both template and storage_pool are needed"},
		"no template":                       {replace(`"template":"debian-12-standard",`, ""), "both template and storage_pool are needed"},
		"an unknown bridge":                 {replace("vmbr0", "vmbr77"), "look for bridge vmbr77: the host has none of that name"},
		"an interface without a bridge":     {replace(`"bridge":"vmbr0",`, ""), "add an interface: bridge is missing"},
		"a host path that is missing":       {spec(`"mount_points":[{"host_path":"/srv/none","container_path":"/data"}]`), "/srv/none is not there on the host (set create to make it)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "8.4")
			before, err := m.sim.Digest()
			if err != nil {
				t.Fatal(err)
			}
			res := m.apply(t, c.spec, tasks.Consent{})
			wantStatus(t, res, tasks.StatusFailed)
			if !strings.Contains(res.Why, c.want) {
				t.Errorf("why %q, want %q", res.Why, c.want)
			}
			wantCalls(t, m)
			if after, _ := m.sim.Digest(); after != before {
				t.Error("the host was changed")
			}
		})
	}
}

func TestHalfMadeContainerIsToldAndLeftAlone(t *testing.T) {
	m := newMachine(t, "8.4")
	taskstest.Put(t, m.sim.Host(), "/etc/pve/lxc/900.conf", "lock: create\n")
	res := m.apply(t, spec(""), tasks.Consent{Destroy: []int{900}})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "half made (lock: create)") || len(m.Changes()) > 0 {
		t.Errorf("why %q, changes %v", res.Why, m.Changes())
	}
}

func TestVolumeThatIsNotThereAfterwardsIsTold(t *testing.T) {
	m := newMachine(t, "8.4")
	taskstest.Put(t, m.sim.Host(), "/etc/pve/storage.cfg", taskstest.Get(t, m.sim.Host(), "/etc/pve/storage.cfg")+
		"\ndir: disks\n\tpath /srv/disks\n\tcontent rootdir\n")
	m.Inject = func(ctx context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd == nil || !strings.HasPrefix(o.String(), "pct create") {
			return nil
		}
		if out, err := m.sim.Host().Run(ctx, *o.Cmd); err != nil || out.Code != 0 {
			t.Errorf("%v %s", err, out.Stderr)
		}
		if err := os.RemoveAll(filepath.Join(m.sim.Root, "/srv/disks/images/900")); err != nil {
			t.Error(err)
		}
		return &taskstest.Answer{}
	}
	res := m.apply(t, strings.Replace(spec(""), "local-lvm", "disks", 1), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	if !strings.Contains(res.Why, "look for volume disks:900/vm-900-disk-0.raw") {
		t.Errorf("why %q", res.Why)
	}
}
