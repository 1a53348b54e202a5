package distro_test

import (
	"context"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/distro"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

func templates() []string {
	return []string{
		"debian-12-standard_12.7-1_amd64.tar.zst", "debian-13-standard_13.1-2_amd64.tar.zst",
		"ubuntu-22.04-standard_22.04-1_amd64.tar.zst", "ubuntu-24.04-standard_24.04-2_amd64.tar.zst", "alpine-3.20-default_20240908_amd64.tar.xz",
	}
}

// guest is one inside of a container with its managers.
func guest(t *testing.T, template string) (*sim.Machine, distro.Packages, distro.Services) {
	t.Helper()
	g, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	d, err := distro.Read(g.Host())
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Packages()
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Services(g.Host())
	if err != nil {
		t.Fatal(err)
	}
	return g, p, s
}

func TestPackages_installAndRemove(t *testing.T) {
	for _, template := range templates() {
		t.Run(template, func(t *testing.T) {
			g, p, _ := guest(t, template)
			h := g.Host()
			has := func(want bool) {
				t.Helper()
				version, there, err := p.Version(tasks.ReadOnly(h), "curl")
				if err != nil || there != want || (version != "") != want {
					t.Errorf("curl: %q, %v, %v, want %v", version, there, err, want)
				}
			}
			has(false)
			for _, step := range []struct {
				do   func() error
				then bool
			}{
				{func() error { return p.Install(t.Context(), h, "curl", "jq") }, true},
				{func() error { return p.Install(t.Context(), h, "curl") }, true},
				{func() error { return p.Remove(t.Context(), h, "curl", "nosuch") }, false},
				{func() error { return p.Remove(t.Context(), h, "curl") }, false},
			} {
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
				has(step.then)
			}
			if err := p.Install(t.Context(), h, "nosuch"); err == nil || !strings.Contains(err.Error(), "nosuch") {
				t.Errorf("a package that there is not: %v", err)
			}
		})
	}
}

func TestPackages_ofDebianAreThereWhenAllOfThemIs(t *testing.T) {
	for state, want := range map[string]bool{
		"install ok installed": true, "hold ok installed": true, "install ok half-configured": false, "install ok unpacked": false,
		"install reinstreq installed": false, "deinstall ok config-files": false,
	} {
		h := taskstest.NewTree(t, map[string]string{"/etc/os-release": "ID=debian\n", "/var/lib/dpkg/status": "Package: curl\nStatus: " + state + "\nVersion: 1\n"})
		d, err := distro.Read(h)
		if err != nil {
			t.Fatal(err)
		}
		p, err := d.Packages()
		if err != nil {
			t.Fatal(err)
		}
		if _, there, err := p.Version(h, "curl"); there != want || err != nil {
			t.Errorf("%s: %v, %v", state, there, err)
		}
	}
}

func TestPackages_installWithoutAQuestionAndWithoutRecommendedOnes(t *testing.T) {
	for template, want := range map[string]string{
		templates()[0]: "--no-install-recommends", templates()[4]: "apk --no-progress --wait 300 add --update-cache curl",
	} {
		g, p, _ := guest(t, template)
		rec := taskstest.NewRecorder(taskstest.Machine{Host: g.Host()})
		if err := p.Install(t.Context(), rec, "curl"); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(rec.Commands(), "\n"); !strings.Contains(all, want) {
			t.Errorf("ran %s", all)
		}
	}
}

func TestPackages_ofAlpineSayWhatStays(t *testing.T) {
	g, p, _ := guest(t, templates()[4])
	if err := p.Install(t.Context(), g.Host(), "docker-cli", "docker"); err != nil {
		t.Fatal(err)
	}
	err := p.Remove(t.Context(), g.Host(), "docker-cli")
	if err == nil || err.Error() != "remove docker-cli: apk keeps it, since another package needs it" {
		t.Errorf("%v", err)
	}
}

func TestServices_enableRestartAndTellTheState(t *testing.T) {
	for _, template := range templates() {
		t.Run(template, func(t *testing.T) {
			g, p, s := guest(t, template)
			h := g.Host()
			is := func(want distro.Service) {
				t.Helper()
				if got, err := s.State(t.Context(), tasks.ReadOnly(h), "nginx"); err != nil || got != want {
					t.Errorf("%+v, %v, want %+v", got, err, want)
				}
			}
			is(distro.Service{})
			if err := s.Restart(t.Context(), h, "nginx"); err == nil {
				t.Error("a service that there is not restarts")
			}
			if err := p.Install(t.Context(), h, "nginx"); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.Enable(t.Context(), h, "nginx"); err != nil {
					t.Fatal(err)
				}
				is(distro.Service{Exists: true, Enabled: true, Active: true})
			}
			before := g.Starts("nginx") + alpineStarts(g)
			if err := s.Reload(t.Context(), h, "nginx"); err != nil {
				t.Error(err)
			}
			if got := g.Starts("nginx") + alpineStarts(g); got != before {
				t.Errorf("a reload started it: %d, %d before", got, before)
			}
			if err := s.Restart(t.Context(), h, "nginx"); err != nil {
				t.Error(err)
			}
			if got := g.Starts("nginx") + alpineStarts(g); got != before+1 {
				t.Errorf("started %d times, %d before the restart", got, before)
			}
		})
	}
}

// alpineStarts counts those of the init script, which has no suffix.
func alpineStarts(g *sim.Machine) int {
	data, err := g.Host().ReadFile("/.sim/starts/nginx")
	if err != nil {
		return 0
	}
	return int(data[0] - '0')
}

func TestServices_startWhatHasCrashed(t *testing.T) {
	crashed := taskstest.NewTree(t, map[string]string{"/sbin/openrc": "", "/etc/init.d/nginx": "", "/etc/init.d/killprocs": "", "/etc/runlevels/shutdown/killprocs": "", "/etc/runlevels/default/nginx": "", "/etc/os-release": "ID=alpine\n"})
	var ran []string
	crashed.Programs["rc-service"] = func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output {
		ran = append(ran, c.Argv[2])
		return tasks.Output{Code: map[string]int{"status": 32}[c.Argv[2]]}
	}
	d, err := distro.Read(crashed)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Services(crashed)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := s.State(t.Context(), crashed, "nginx"); err != nil || state != (distro.Service{Exists: true, Enabled: true}) {
		t.Errorf("%+v, %v", state, err)
	}
	if state, err := s.State(t.Context(), crashed, "killprocs"); err != nil || state.Enabled {
		t.Errorf("what a shutdown starts: %+v, %v", state, err)
	}
	ran = ran[:1]
	if err := s.Enable(t.Context(), crashed, "nginx"); err != nil || strings.Join(ran, " ") != "status status restart" {
		t.Errorf("%v, ran %v", err, ran)
	}
}

func TestPackages_ofAlpineMendWhatIsThereInPart(t *testing.T) {
	const db = "/lib/apk/db/installed"
	h := taskstest.NewTree(t, map[string]string{"/etc/os-release": "ID=alpine\n", db: "P:curl\nV:8.9.1-r2\nf:s\n\n"})
	var ran []string
	h.Programs["apk"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		ran = append(ran, strings.Join(c.Argv[4:], " "))
		if c.Argv[4] == "fix" {
			taskstest.Put(t, h, db, "P:curl\nV:8.9.1-r2\n\n")
		}
		return tasks.Output{}
	}
	d, err := distro.Read(h)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Packages()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Install(t.Context(), h, "curl"); err != nil || strings.Join(ran, ", ") != "add --update-cache curl, fix curl" {
		t.Errorf("%v, ran %v", err, ran)
	}
	if version, there, err := p.Version(h, "curl"); version != "8.9.1-r2" || !there || err != nil {
		t.Errorf("%q, %v, %v", version, there, err)
	}
}
