package system_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/taskstest"
)

const hosts = "127.0.0.1 localhost.localdomain localhost\n10.0.0.13 pve.example.org pve # by the installer\n\n# IPv6\n::1 ip6-localhost ip6-loopback\n"

// named is a machine called pve; with node it is a Proxmox VE node.
func named(t *testing.T, node bool, extra map[string]string) *taskstest.Tree {
	files := map[string]string{
		"/etc/hostname": "pve\n", "/proc/sys/kernel/hostname": "pve\n", "/etc/hosts": hosts,
		"/var/lib/dpkg/status": "Package: bash\nStatus: install ok installed\nVersion: 1\n",
	}
	if node {
		files["/var/lib/dpkg/status"] = "Package: pve-cluster\nStatus: install ok installed\nVersion: 8.1.3\n"
		files["/etc/pve/local"] = "-> nodes/pve"
		files["/etc/pve/.vmlist"] = `{"version": 15}`
	}
	maps.Copy(files, extra)
	tr := taskstest.NewTree(t, files)
	tr.Programs["hostnamectl"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		for _, p := range []string{"/etc/hostname", "/proc/sys/kernel/hostname"} {
			_ = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: p, Data: []byte(c.Argv[2] + "\n")})
		}
		return tasks.Output{}
	}
	tr.Programs["ip"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte(`[{"dst":"192.0.2.1","gateway":"10.0.0.1","dev":"vmbr0","prefsrc":"10.0.0.13","flags":[],"uid":0,"cache":[]}]` + "\n")}
	}
	return tr
}

const rename = `{"hostname":"pve2"}`

func TestHostname_conforms(t *testing.T) {
	name := []string{"hostname"}
	taskstest.Suite{
		Kind: system.Kind(), Spec: rename,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: named(t, false, nil)} },
		Drifts: []taskstest.Drift{
			{Name: "it was named by hand", Paths: name, Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, "/etc/hostname", "# mine\npve3.example.org\n") }},
			{Name: "it was named until the next boot", Paths: name, Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, "/proc/sys/kernel/hostname", "pve3\n") }},
			{Name: "the address was removed", Paths: name, Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, "/etc/hosts", "127.0.0.1 localhost\n") }},
			{Name: "Debian's line for machines without an address was added", Paths: name, Make: func(t *testing.T, h tasks.Host) {
				taskstest.Put(t, h, "/etc/hosts", "127.0.1.1 pve2.example.org pve2\n10.0.0.13 pve2\n")
			}},
		},
	}.Run(t)
}

func TestHostname_changesItsLinesOfHostsOnly(t *testing.T) {
	for _, tc := range []struct{ name, before, after string }{
		{"the name goes with its domain", hosts, strings.Replace(hosts, "pve.example.org pve", "pve2.example.org pve2", 1)},
		{"the loopback loses the name", "127.0.0.1 localhost pve\n10.0.0.13 pve\n", "127.0.0.1 localhost\n10.0.0.13 pve2\n"},
		{"a loopback that had nothing else is kept as a comment", "127.0.1.1 pve.x pve\n10.0.0.13 pve\n", "# 127.0.1.1 pve.x pve\n10.0.0.13 pve2\n"},
		{"without an address, the machine's own is added", "127.0.0.1 localhost\n127.0.1.1 pve", "127.0.0.1 localhost\n# 127.0.1.1 pve\n10.0.0.13 pve2\n"},
		{"others that begin alike stay", "10.0.0.13 pve\n10.0.0.14 pve-old pvex.pve\n", "10.0.0.13 pve2\n10.0.0.14 pve-old pvex.pve\n"},
		{"both addresses are renamed", "10.0.0.13 pve\nfd00::13 pve\n", "10.0.0.13 pve2\nfd00::13 pve2\n"},
		{"the loopback keeps its own name", "127.0.0.1 localhost\n", "127.0.0.1 localhost\n10.0.0.13 pve2\n"},
		{"no file", "", "10.0.0.13 pve2\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			extra := map[string]string{"/etc/hosts": tc.before}
			if strings.HasSuffix(tc.name, "its own name") {
				extra["/etc/hostname"] = "localhost\n"
			}
			m := named(t, false, extra)
			if res := taskstest.Run(t, system.Kind(), rename, m); res.Status != tasks.StatusChanged {
				t.Fatalf("%+v", res)
			}
			if got := taskstest.Get(t, m, "/etc/hosts"); got != tc.after {
				t.Errorf("hosts is\n%s\nwant\n%s", got, tc.after)
			}
		})
	}
}

func TestHostname_withoutIPv4TheAddressIsThatOfIPv6(t *testing.T) {
	m := named(t, false, map[string]string{"/etc/hosts": "::1 localhost\n"})
	answer := `[{"dst":"2001:db8::1","gateway":"fe80::1","dev":"vmbr0","prefsrc":"2001:db8:9::13","flags":[],"metric":1024,"pref":"medium"}]`
	m.Programs["ip"] = func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output {
		if c.Argv[len(c.Argv)-1] != "2001:db8::1" {
			return tasks.Output{Code: 2, Stderr: []byte("RTNETLINK answers: Network is unreachable\n")}
		}
		return tasks.Output{Stdout: []byte(answer)}
	}
	if res := taskstest.Run(t, system.Kind(), rename, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got, want := taskstest.Get(t, m, "/etc/hosts"), "::1 localhost\n2001:db8:9::13 pve2\n"; got != want {
		t.Errorf("hosts is %q, want %q", got, want)
	}
	answer = `[{"dst":"2001:db8::1","dev":"vmbr0","prefsrc":"fe80::2"}]`
	taskstest.Put(t, m, "/etc/hosts", "::1 localhost\n")
	if res := taskstest.Run(t, system.Kind(), rename, m); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "by hand") || !strings.Contains(res.Why, "unreachable") {
		t.Errorf("an address of the link alone: %+v", res)
	}
}

func TestHostname_aNodeWithGuestsKeepsItsName(t *testing.T) {
	for name, extra := range map[string]map[string]string{
		"2 guests":          {"/etc/pve/.vmlist": `{"version": 22, "ids": {"901": {"node":"pve","type":"lxc","version":19},"100": {"node":"pve","type":"qemu","version":2}}}`},
		"part of a cluster": {"/etc/pve/corosync.conf": "totem {}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := named(t, true, extra)
			if res := taskstest.Check(t, system.Kind(), rename, m); len(res.Changes) != 1 || !res.Changes[0].Held() {
				t.Errorf("check: %+v", res)
			}
			rec := taskstest.NewRecorder(m)
			if res := taskstest.Run(t, system.Kind(), rename, rec); res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, name) {
				t.Errorf("run: %+v", res)
			}
			if len(rec.Changes()) > 0 {
				t.Errorf("did %v", rec.Changes())
			}
			if res := taskstest.Check(t, system.Kind(), `{"hostname":"pve"}`, m); res.Status != tasks.StatusOK {
				t.Errorf("its own name: %+v", res)
			}
		})
	}
}

func TestHostname_anEmptyNodeIsRenamedAndWaitsForABoot(t *testing.T) {
	m := named(t, true, nil)
	res := taskstest.Run(t, system.Kind(), rename, m)
	if res.Status != tasks.StatusChanged || res.Cause != tasks.CausePending || len(res.Remaining) != 1 || res.Remaining[0].Effect != tasks.EffectReboot {
		t.Errorf("%+v", res)
	}
	rec := taskstest.NewRecorder(m)
	if res = taskstest.Run(t, system.Kind(), rename, rec); res.Status != tasks.StatusSkipped || res.Cause != tasks.CausePending || len(rec.Changes()) > 0 {
		t.Errorf("a second run: %+v, did %v", res, rec.Changes())
	}
}

func TestHostname_withoutTheClusterFileSystemNothingIsGuessed(t *testing.T) {
	m := named(t, false, map[string]string{"/var/lib/dpkg/status": "Package: pve-cluster\nStatus: install ok installed\nVersion: 8.1.3\n", "/etc/pve/": ""})
	if res := taskstest.Run(t, system.Kind(), rename, m); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "not mounted") {
		t.Errorf("%+v", res)
	}
}

func TestSystem_aRefusalDoesNotHoldTheRestBack(t *testing.T) {
	m := machine(t, map[string]string{
		"/etc/hostname": "pve\n", "/proc/sys/kernel/hostname": "pve\n", "/etc/hosts": hosts, "/etc/pve/local": "-> nodes/pve", "/etc/pve/corosync.conf": "x",
		"/var/lib/dpkg/status": "Package: pve-cluster\nStatus: install ok installed\nVersion: 8.1.3\n",
	})
	res := taskstest.Run(t, system.Kind(), `{"timezone":"Europe/Berlin","ntp":true,"hostname":"pve2"}`, m)
	if res.Cause != tasks.CauseRefused || len(res.Changes) != 2 || len(res.Remaining) != 1 {
		t.Errorf("%+v", res)
	}
	delete(m.Programs, "systemctl")
	m.Programs["systemctl"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if c.ReadOnly {
			return taskstest.Systemctl()(ctx, h, c)
		}
		return tasks.Output{Code: 1, Stderr: []byte("Failed to stop chrony.service\n")}
	}
	res = taskstest.Run(t, system.Kind(), `{"ntp":false,"hostname":"pve2"}`, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "chrony") {
		t.Errorf("a failure is hidden by the refusal: %+v", res)
	}
}

func TestValidate_refusesWhatIsNoNameAndNoLocale(t *testing.T) {
	for _, name := range []string{"pve.example.org", "-pve", "pve_1", "pve\n", strings.Repeat("a", 64), "localhost"} {
		if p := (&system.Spec{Hostname: name}).Validate(); len(p) != 1 || p[0].Path != "hostname" {
			t.Errorf("%q: %v", name, p)
		}
	}
	for _, name := range []string{"en_US.UTF-8 UTF-8", "../x", "en_US\n", "en-US"} {
		if p := (&system.Spec{Locale: name}).Validate(); len(p) != 1 || p[0].Path != "locale" {
			t.Errorf("%q: %v", name, p)
		}
	}
	good := system.Spec{Hostname: "pve-1", Locale: "ca_ES.UTF-8@valencia", Timezone: "UTC"}
	if p := good.Validate(); len(p) != 0 {
		t.Errorf("%v", p)
	}
}
