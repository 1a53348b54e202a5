package system_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/system"
	"phoenix/tasks/taskstest"
)

const spec = `{"timezone":"Europe/Berlin","ntp":true}`

// machine has its link and file in UTC and chrony switched off.
func machine(t *testing.T, extra map[string]string) *taskstest.Tree {
	files := map[string]string{
		"/usr/share/zoneinfo/Etc/UTC":        "TZif2",
		"/usr/share/zoneinfo/Europe/Berlin":  "TZif2",
		"/etc/localtime":                     "-> /usr/share/zoneinfo/Etc/UTC",
		"/etc/timezone":                      "Etc/UTC\n",
		taskstest.UnitFile("chrony.service"): taskstest.Unit("loaded", "inactive", "disabled"),
	}
	for k, v := range extra {
		if v == "" {
			delete(files, k)
			continue
		}
		files[k] = v
	}
	tr := taskstest.NewTree(t, files)
	tr.Programs["systemctl"] = taskstest.Systemctl()
	tr.Programs["timedatectl"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		relink(t, tr, "/usr/share/zoneinfo/"+c.Argv[2])
		taskstest.Put(t, h, "/etc/timezone", c.Argv[2]+"\n")
		return tasks.Output{}
	}
	tr.Programs["ln"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		relink(t, tr, c.Argv[2])
		return tasks.Output{}
	}
	return tr
}

func relink(t *testing.T, tr *taskstest.Tree, target string) {
	at := filepath.Join(tr.Root, "/etc/localtime")
	if err := os.Remove(at); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	if err := os.Symlink(target, at); err != nil {
		t.Error(err)
	}
}

func TestSystem_conforms(t *testing.T) {
	taskstest.Suite{
		Kind:      system.Kind(),
		Spec:      spec,
		New:       func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t, nil)} },
		Tolerates: []string{"timedatectl"}, // what it does not do, ln does
		Drifts: []taskstest.Drift{
			{Name: "only the name in /etc/timezone was changed", Paths: []string{"timezone"}, Make: func(t *testing.T, h tasks.Host) {
				taskstest.Put(t, h, "/etc/timezone", "Etc/UTC\n")
			}},
			{Name: "the time service was stopped", Paths: []string{"ntp"}, Make: func(t *testing.T, h tasks.Host) {
				taskstest.Put(t, h, taskstest.UnitFile("chrony.service"), "loaded inactive enabled")
			}},
		},
	}.Run(t)
}

func TestSystem_withoutTimedatectlTheLinkIsSet(t *testing.T) {
	for name, answer := range map[string]taskstest.Program{
		"there is none": nil,
		"it has no bus": func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
			return tasks.Output{Code: 1, Stderr: []byte("System has not been booted with systemd as init system (PID 1). Can't operate.\n")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t, nil)
			delete(m.Programs, "timedatectl")
			if answer != nil {
				m.Programs["timedatectl"] = answer
			}
			if res := taskstest.Run(t, system.Kind(), spec, m); res.Status != tasks.StatusChanged {
				t.Fatalf("%+v", res)
			}
			if got := taskstest.Get(t, m, "/etc/timezone"); got != "Europe/Berlin\n" {
				t.Errorf("/etc/timezone is %q", got)
			}
		})
	}
}

func TestSystem_states(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		extra      map[string]string
		status     tasks.Status
		why        string
	}{
		{"an unknown zone names the folder and the package", `{"timezone":"Europe/Berlni"}`, nil, tasks.StatusFailed, "tzdata"},
		{"Debian 13 has no /etc/timezone", `{"timezone":"Etc/UTC"}`, map[string]string{"/etc/timezone": ""}, tasks.StatusOK, ""},
		{"a link that is missing differs", `{"timezone":"Etc/UTC"}`, map[string]string{"/etc/localtime": ""}, tasks.StatusWouldChange, ""},
		{"a copy instead of a link differs", `{"timezone":"Etc/UTC"}`, map[string]string{"/etc/localtime": "TZif2"}, tasks.StatusWouldChange, ""},
		{"timesyncd counts where chrony is missing", `{"ntp":true}`, map[string]string{
			taskstest.UnitFile("chrony.service"): "", taskstest.UnitFile("systemd-timesyncd.service"): "loaded active enabled",
		}, tasks.StatusOK, ""},
		{"the one in use counts where both are there", `{"ntp":true}`, map[string]string{
			taskstest.UnitFile("systemd-timesyncd.service"): "loaded active enabled",
		}, tasks.StatusOK, ""},
		{"no service at all differs", `{"ntp":true}`, map[string]string{taskstest.UnitFile("chrony.service"): ""}, tasks.StatusWouldChange, ""},
		{"no service at all is off", `{"ntp":false}`, map[string]string{taskstest.UnitFile("chrony.service"): ""}, tasks.StatusOK, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Check(t, system.Kind(), tc.spec, machine(t, tc.extra))
			if res.Status != tc.status || !strings.Contains(res.Why, tc.why) {
				t.Errorf("status %s, why %q; want %s, %q", res.Status, res.Why, tc.status, tc.why)
			}
		})
	}
}

func TestSystem_switchingTimeOffStopsBothServices(t *testing.T) {
	m := machine(t, map[string]string{
		taskstest.UnitFile("chrony.service"): "loaded active enabled", taskstest.UnitFile("systemd-timesyncd.service"): "loaded active enabled",
	})
	if res := taskstest.Run(t, system.Kind(), `{"ntp":false}`, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	for _, u := range []string{"chrony.service", "systemd-timesyncd.service"} {
		if got := taskstest.Get(t, m, taskstest.UnitFile(u)); got != "loaded inactive disabled" {
			t.Errorf("%s is %q", u, got)
		}
	}
}

func TestValidate_refusesWhatIsNoZone(t *testing.T) {
	for _, zone := range []string{"../../etc/passwd", "/Europe/Berlin", "Europe/", "a b", "UTC\n"} {
		if p := (&system.Spec{Timezone: zone}).Validate(); len(p) != 1 || p[0].Path != "timezone" {
			t.Errorf("%q: %v", zone, p)
		}
	}
	for _, zone := range []string{"UTC", "Etc/GMT+1", "America/Argentina/Buenos_Aires"} {
		if p := (&system.Spec{Timezone: zone}).Validate(); len(p) != 0 {
			t.Errorf("%q: %v", zone, p)
		}
	}
}
