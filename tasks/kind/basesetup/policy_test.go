package basesetup_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/basesetup"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

func TestPolicy_isReadAsAptHasIt(t *testing.T) {
	const conf = "/etc/apt/apt.conf"
	for name, tc := range map[string]struct {
		spec, file, text string
		path, from, says string // of the change; none where nothing is wrong
	}{
		"a later file switches it off": {"security", conf + ".d/99operator", "// Unattended\nAPT::Periodic::Unattended-Upgrade \"0\";\n",
			"APT::Periodic::Unattended-Upgrade", "0", conf + ".d/99operator, which apt reads after"},
		"it does so in scopes and other letters": {"all", conf + ".d/99operator", "apt { periodic { unattended-upgrade \"0\"; }; };\n",
			"APT::Periodic::Unattended-Upgrade", "0", conf + ".d/99operator, which apt reads after"},
		"the last of all files does": {"security", conf, "APT::Periodic::Update-Package-Lists \"0\";\n",
			"APT::Periodic::Update-Package-Lists", "0", conf + ", which apt reads after"},
		"everything periodic is off":      {"security", conf + ".d/95off", "APT::Periodic::Enable \"0\";\n", "APT::Periodic::Enable", "0", conf + ".d/95off, which apt reads after"},
		"a later file allows more":        {"security", conf + ".d/99more", "Unattended-Upgrade::Origins-Pattern:: \"origin=Docker\";\n", "Unattended-Upgrade::Origins-Pattern", "origin=Docker", conf + ".d/99more, which apt reads after"},
		"in the list of the other kind":   {"security", conf + ".d/99more", "Unattended-Upgrade::Allowed-Origins { \"Docker:stable\"; };\n", "Unattended-Upgrade::Allowed-Origins", "Docker:stable", conf + ".d/99more, which apt reads after"},
		"a later file lets a held one go": {"security", conf + ".d/99more", "#clear Unattended-Upgrade::Package-Blacklist;\n", "Unattended-Upgrade::Package-Blacklist", "", conf + ".d/99more, which apt reads after"},
		"it switches off what is off":     {"off", conf + ".d/99on", "APT::Periodic::Unattended-Upgrade \"1\";\n", "APT::Periodic::Unattended-Upgrade", "1", conf + ".d/99on, which apt reads after"},
		"more than all is all":            {"all", conf + ".d/99more", "Unattended-Upgrade::Origins-Pattern:: \"origin=Docker\";\n", "", "", ""},
		"more may be held":                {"security", conf + ".d/99more", "Unattended-Upgrade::Package-Blacklist:: \"nginx\";\n", "", "", ""},
		"an earlier file says nothing":    {"security", conf + ".d/50off", "APT::Periodic::Enable \"0\";\nUnattended-Upgrade::Origins-Pattern { \"origin=*\"; };\n", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := guest(t, debian)
			spec := `{"unattended_upgrades":"` + tc.spec + `","hold":["runc"]}`
			if tc.spec == "off" {
				spec = `{"unattended_upgrades":"off"}`
			}
			if res := taskstest.Run(t, basesetup.Kind(), spec, m); res.Status != tasks.StatusChanged {
				t.Fatalf("%+v", res)
			}
			taskstest.Put(t, m, tc.file, tc.text)
			taskstest.Put(t, m, conf+".d/99z-comments", "// APT::Periodic::Enable \"0\";\n# Unattended-Upgrade::Package-Blacklist { \"x\"; };\n")
			res := taskstest.Check(t, basesetup.Kind(), spec, m)
			if tc.path == "" {
				if res.Status != tasks.StatusOK {
					t.Fatalf("%+v", res)
				}
				return
			}
			left := res.Remaining
			if len(left) != 1 || left[0].Path != "unattended_upgrades."+tc.path || !strings.HasSuffix(left[0].From, tc.from) || !strings.Contains(left[0].Note, "cannot be made: "+tc.says) {
				t.Fatalf("%+v", res)
			}
			if res := taskstest.Run(t, basesetup.Kind(), spec, m); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.says) || !strings.Contains(res.Why, "take it out there") {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestPolicy_changedByNoFileBlamesNone(t *testing.T) {
	m := guest(t, debian)
	const spec = `{"unattended_upgrades":"off"}`
	if res := taskstest.Run(t, basesetup.Kind(), spec, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	rec := taskstest.NewRecorder(m)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.HasPrefix(o.String(), "apt-config ") {
			return &taskstest.Answer{Output: tasks.Output{Stdout: []byte("APT::Periodic \"\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n")}}
		}
		return nil
	}
	if res := taskstest.Check(t, basesetup.Kind(), spec, rec); !strings.Contains(res.Why, "something that is no file of /etc/apt/apt.conf.d, which apt reads after") {
		t.Errorf("%+v", res)
	}
}

func TestPolicy_isWrittenEvenWhereAnotherFileUndoesIt(t *testing.T) {
	m := guest(t, noble)
	taskstest.Put(t, m, "/etc/apt/apt.conf.d/99operator", "APT::Periodic::Unattended-Upgrade \"0\";\n")
	if res := taskstest.Run(t, basesetup.Kind(), `{"unattended_upgrades":"security"}`, m); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "99operator, which apt reads after") {
		t.Errorf("%+v", res)
	}
	if text := taskstest.Get(t, m, dropIn); !strings.Contains(text, "APT::Periodic::Unattended-Upgrade \"1\"") {
		t.Error(text)
	}
}

// linkedGuest is a guest with a link that leads elsewhere.
func linkedGuest(t *testing.T, spec, at, target string) taskstest.Machine {
	t.Helper()
	root := t.TempDir()
	g, err := sim.NewGuest(root, debian, sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := taskstest.Machine{Host: g.Host(), Digest: g.Digest}
	if res := taskstest.Run(t, basesetup.Kind(), spec, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if target != "" {
		if err := os.Symlink(target, filepath.Join(root, at)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestPolicy_aTimerThatStartsNothingIsTold(t *testing.T) {
	const spec = `{"unattended_upgrades":"all"}`
	m := linkedGuest(t, spec, "/etc/systemd/system/apt-daily-upgrade.service", "/dev/null")
	res := taskstest.Check(t, basesetup.Kind(), spec, m)
	if len(res.Remaining) != 1 || res.Remaining[0].Path != "unattended_upgrades.apt-daily-upgrade.service" || !strings.Contains(res.Why, "systemctl unmask apt-daily-upgrade.service") {
		t.Errorf("%+v", res)
	}
}

func TestBaseSetup_aLinkToNoZoneIsUTC(t *testing.T) {
	const spec = `{"timezone":"Europe/Berlin"}`
	m := linkedGuest(t, spec, "", "")
	taskstest.Put(t, m, "/usr/share/zoneinfo/Europe/Berlin", "")
	if res := taskstest.Check(t, basesetup.Kind(), spec, m); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "prove time zone Europe/Berlin: /etc/localtime leads to no data of a zone") {
		t.Errorf("%+v", res)
	}
}
