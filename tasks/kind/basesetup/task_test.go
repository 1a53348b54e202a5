package basesetup_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/basesetup"
	"phoenix/tasks/kind/packages"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	debian = "debian-12-standard_12.7-1_amd64.tar.zst"
	trixie = "debian-13-standard_13.1-2_amd64.tar.zst"
	jammy  = "ubuntu-22.04-standard_22.04-1_amd64.tar.zst"
	noble  = "ubuntu-24.04-standard_24.04-2_amd64.tar.zst"
	alpine = "alpine-3.20-default_20240908_amd64.tar.xz"

	all    = `{"packages":["curl","jq"],"locale":"en_US.UTF-8","timezone":"Europe/Berlin","unattended_upgrades":"security","hold":["docker-ce","libstdc++6"]}`
	dropIn = "/etc/apt/apt.conf.d/90phoenix-upgrades"
)

func guest(t *testing.T, template string) taskstest.Machine {
	t.Helper()
	g, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return taskstest.Machine{Host: g.Host(), Digest: g.Digest}
}

func by(argv ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
}

func without(name string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if res := taskstest.Run(t, packages.Kind(), `{"packages":["-`+name+`"]}`, h); res.Status != tasks.StatusChanged {
			t.Fatalf("%+v", res)
		}
	}
}

func TestBaseSetup_conforms(t *testing.T) {
	debianDrifts := []taskstest.Drift{
		{Name: "a package was removed", Paths: []string{"packages.jq"}, Make: without("jq")},
		{Name: "what upgrades was removed", Paths: []string{"packages.unattended-upgrades"}, Make: without("unattended-upgrades")},
		{Name: "the zone was changed", Paths: []string{"timezone"}, Make: by("ln", "-sfT", "/usr/share/zoneinfo/Etc/UTC", "/etc/localtime")},
		{Name: "the locale was changed", Paths: []string{"locale"}, Make: by("update-locale", "LANG=C.UTF-8")},
		{Name: "the policy was edited", Paths: []string{"unattended_upgrades.content"}, Make: taskstest.Edited(dropIn, `Upgrade "1"`, `Upgrade "0"`)},
		{Name: "the policy may not be read by all", Paths: []string{"unattended_upgrades.mode"}, Make: func(t *testing.T, h tasks.Host) {
			mode := new(tasks.FileInfo).Mode | 0o600
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbAttr, Path: dropIn, Mode: &mode}); err != nil {
				t.Fatal(err)
			}
		}},
		{Name: "a timer was stopped", Paths: []string{"unattended_upgrades.apt-daily.timer.active"}, Make: by("systemctl", "stop", "apt-daily.timer")},
		{Name: "the other was disabled", Paths: []string{"unattended_upgrades.apt-daily-upgrade.timer.enabled"}, Make: by("systemctl", "disable", "apt-daily-upgrade.timer")},
	}
	for name, tc := range map[string]struct {
		template, spec string
		drifts         []taskstest.Drift
	}{
		"debian 12":    {debian, all, debianDrifts},
		"debian 13":    {trixie, all, nil},
		"ubuntu 22.04": {jammy, all, nil},
		"ubuntu 24.04": {noble, all, debianDrifts},
		"its defaults": {debian, `{}`, nil},
		"nothing else": {debian, `{"packages":[],"unattended_upgrades":"off"}`, []taskstest.Drift{{Name: "the policy was removed", Paths: []string{"unattended_upgrades.state", "unattended_upgrades.content", "unattended_upgrades.mode"}, Make: func(t *testing.T, h tasks.Host) {
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: dropIn}); err != nil {
				t.Fatal(err)
			}
		}}}},
		"on an alpine":   {alpine, `{"timezone":"Europe/Berlin","locale":"C.UTF-8","unattended_upgrades":"off"}`, []taskstest.Drift{{Name: "a package was removed", Paths: []string{"packages.curl"}, Make: without("curl")}}},
		"all, overnight": {noble, `{"unattended_upgrades":"all"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: basesetup.Kind(), Spec: tc.spec, New: func(t *testing.T) taskstest.Machine { return guest(t, tc.template) }, Drifts: tc.drifts,
				Tolerates: []string{
					// An installation that works with the old lists needs no new ones.
					"apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold update",
					// The link is set by hand where there is none to ask.
					"timedatectl set-timezone",
				},
			}.Run(t)
		})
	}
}

func TestBaseSetup_whatTheEmptySectionMeans(t *testing.T) {
	for _, template := range []string{debian, noble, alpine} {
		var got []string
		for _, c := range taskstest.Check(t, basesetup.Kind(), `{}`, guest(t, template)).Changes {
			got = append(got, c.Path)
		}
		if s := strings.Join(got, " "); s != "packages.ca-certificates packages.curl" {
			t.Errorf("%s: %s", template, s)
		}
	}
	if res := taskstest.Check(t, basesetup.Kind(), `{"packages":[]}`, guest(t, debian)); res.Status != tasks.StatusOK {
		t.Errorf("an empty list: %+v", res)
	}
}

func TestBaseSetup_writesThePolicyOfTheDistribution(t *testing.T) {
	for name, tc := range map[string]struct {
		template, spec string
		has, lacks     []string
	}{
		"debian, security": {debian, `{"unattended_upgrades":"security","hold":["runc","libstdc++6:amd64"]}`, []string{
			"#clear Unattended-Upgrade::Origins-Pattern;\n", "#clear Unattended-Upgrade::Allowed-Origins;\n",
			"Unattended-Upgrade::Origins-Pattern {\n\t\"origin=Debian,codename=${distro_codename},label=Debian-Security\";\n\t\"origin=Debian,codename=${distro_codename}-security,label=Debian-Security\";\n};\n",
			"Unattended-Upgrade::Package-Blacklist {\n\t\"runc$\";\n\t\"libstdc\\+\\+6$\";\n};\n", "APT::Periodic::Unattended-Upgrade \"1\";\n", "APT::Periodic::Update-Package-Lists \"1\";\n", "APT::Periodic::Enable \"1\";\n"}, nil},
		"ubuntu, security": {noble, `{"unattended_upgrades":"security"}`, []string{"\t\"origin=Ubuntu,archive=${distro_codename}-security\";\n"}, []string{"Debian", "Blacklist"}},
		"ubuntu, all":      {jammy, `{"unattended_upgrades":"all"}`, []string{"{\n\t\"origin=*\";\n};\n"}, []string{"security"}},
		"debian, off":      {debian, `{"unattended_upgrades":"off"}`, []string{"APT::Periodic::Unattended-Upgrade \"0\";\n"}, []string{"Origins", "Update-Package-Lists", "Enable"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := guest(t, tc.template)
			if res := taskstest.Run(t, basesetup.Kind(), tc.spec, m); res.Status != tasks.StatusChanged {
				t.Fatalf("%+v", res)
			}
			text := taskstest.Get(t, m, dropIn)
			for _, want := range tc.has {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in\n%s", want, text)
				}
			}
			for _, no := range tc.lacks {
				if strings.Contains(text, no) {
					t.Errorf("%q is in\n%s", no, text)
				}
			}
		})
	}
}

func TestBaseSetup_offInstallsNothingThatUpgrades(t *testing.T) {
	m := guest(t, debian)
	rec := taskstest.NewRecorder(m)
	res := taskstest.Run(t, basesetup.Kind(), `{"packages":[],"unattended_upgrades":"off"}`, rec)
	for _, c := range rec.Commands() {
		if c != "apt-config dump APT::Periodic Unattended-Upgrade" {
			t.Errorf("ran %s", c)
		}
	}
	if res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

func TestBaseSetup_saysWhatAlpineCannot(t *testing.T) {
	for spec, want := range map[string]string{
		`{"locale":"de_DE.UTF-8"}`:           "Alpine's C library knows C.UTF-8 only",
		`{"unattended_upgrades":"security"}`: "Alpine has nothing that upgrades by itself",
		`{"unattended_upgrades":"all"}`:      "Alpine has nothing that upgrades by itself",
	} {
		m := guest(t, alpine)
		rec := taskstest.NewRecorder(m)
		if res := taskstest.Run(t, basesetup.Kind(), spec, rec); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, want) || len(rec.Changes()) > 0 {
			t.Errorf("%s: %+v, did %v", spec, res, rec.Changes())
		}
	}
}

func TestBaseSetup_aMisspeltZoneFails(t *testing.T) {
	for template, status := range map[string]tasks.Status{debian: tasks.StatusFailed, alpine: tasks.StatusWouldChange} {
		// Alpine has no zones before tzdata is installed; then the run says so.
		m := guest(t, template)
		if res := taskstest.Check(t, basesetup.Kind(), `{"timezone":"Europe/Berlim"}`, m); res.Status != status {
			t.Errorf("%s: %+v", template, res)
		}
		if res := taskstest.Run(t, basesetup.Kind(), `{"timezone":"Europe/Berlim"}`, m); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "find time zone Europe/Berlim") {
			t.Errorf("%s: %+v", template, res)
		}
	}
}

func TestValidate_listsEveryFault(t *testing.T) {
	for name, tc := range map[string]struct {
		spec basesetup.Spec
		at   string
	}{
		"nothing":          {basesetup.Spec{}, ""},
		"all of it":        {basesetup.Spec{Packages: []string{"-vim"}, Locale: "de_DE.UTF-8", Timezone: "Etc/UTC", UnattendedUpgrades: "all", Hold: []string{"runc"}}, ""},
		"odd values":       {basesetup.Spec{Packages: []string{"a b"}, Locale: "x\ny", Timezone: "../x", UnattendedUpgrades: "yes"}, "packages.0 timezone locale unattended_upgrades"},
		"odd names":        {basesetup.Spec{UnattendedUpgrades: "all", Hold: []string{"a\";b", "-runc", "c", "c"}}, "hold.0 hold.3 hold.1"},
		"held for nothing": {basesetup.Spec{UnattendedUpgrades: "off", Hold: []string{"runc"}}, "hold"},
		"needed packages are to go": {basesetup.Spec{Packages: []string{"-tzdata", "-locales", "-unattended-upgrades"}, Locale: "C.UTF-8", Timezone: "UTC", UnattendedUpgrades: "all"},
			"packages.0 packages.1 packages.2"},
	} {
		t.Run(name, func(t *testing.T) {
			var at []string
			for _, p := range tc.spec.Validate() {
				at = append(at, p.Path)
			}
			if got := strings.Join(at, " "); got != tc.at {
				t.Errorf("faults at %q, want %q: %v", got, tc.at, tc.spec.Validate())
			}
		})
	}
}

func TestSpec_anEmptyListSurvivesItsJourney(t *testing.T) {
	for _, s := range []basesetup.Spec{{}, {Packages: []string{}}} {
		step, err := tasks.NewStep(basesetup.Name, "x", &s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := tasks.NewRegistry(basesetup.Kind()).Decode(step)
		if err != nil || (back.(*basesetup.Spec).Packages == nil) != (s.Packages == nil) {
			t.Errorf("%s became %+v, %v", step.Spec, back, err)
		}
	}
}
