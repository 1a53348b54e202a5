package packages_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/packages"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	debian = "debian-12-standard_12.7-1_amd64.tar.zst"
	ubuntu = "ubuntu-24.04-standard_24.04-2_amd64.tar.zst"
	alpine = "alpine-3.20-default_20240908_amd64.tar.xz"
	spec   = `{"packages":["curl","git","-htop"]}`
)

// guest has a package that is not wanted.
func guest(t *testing.T, template string) taskstest.Machine {
	t.Helper()
	g, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if res := taskstest.Run(t, packages.Kind(), `{"packages":["htop"]}`, g.Host()); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	return taskstest.Machine{Host: g.Host(), Digest: g.Digest}
}

func TestPackages_conform(t *testing.T) {
	for name, template := range map[string]string{"debian": debian, "ubuntu": ubuntu, "alpine": alpine} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: packages.Kind(), Spec: spec,
				New: func(t *testing.T) taskstest.Machine { return guest(t, template) },
				Drifts: []taskstest.Drift{
					{Name: "one was removed", Paths: []string{"packages.git"}, Make: by(`{"packages":["-git"]}`)},
					{Name: "one was installed", Paths: []string{"packages.htop"}, Make: by(`{"packages":["htop"]}`)},
				},
				// An installation that works with the old lists needs no new ones.
				Tolerates: []string{"apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold update"},
			}.Run(t)
		})
	}
}

// by changes packages by hand.
func by(spec string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if res := taskstest.Run(t, packages.Kind(), spec, h); res.Status != tasks.StatusChanged {
			t.Fatalf("%+v", res)
		}
	}
}

func TestPackages_oneChangeForEach(t *testing.T) {
	for template, version := range map[string]string{debian: "3.2.2-2", alpine: "3.3.0-r0"} {
		res := taskstest.Check(t, packages.Kind(), spec, guest(t, template))
		want := tasks.Diff{
			{Path: "packages.curl", To: "installed", Effect: tasks.EffectLive}, {Path: "packages.git", To: "installed", Effect: tasks.EffectLive},
			{Path: "packages.htop", From: version, Effect: tasks.EffectLive},
		}
		if len(res.Changes) != 3 || res.Changes[0] != want[0] || res.Changes[1] != want[1] || res.Changes[2] != want[2] {
			t.Errorf("%s: %+v", template, res.Changes)
		}
	}
}

func TestPackages_ofAnUnknownDistributionFail(t *testing.T) {
	g, err := sim.NewGuest(t.TempDir(), "archlinux-base_20240911-1_amd64.tar.zst", sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if res := taskstest.Check(t, packages.Kind(), spec, g.Host()); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "only those of Debian, Ubuntu and Alpine") {
		t.Errorf("%+v", res)
	}
}

func TestValidate_listsEveryFault(t *testing.T) {
	s := &packages.Spec{Packages: []string{"curl", "a b", "--yes", "-curl", "x\ny", "gtk+3.0", "py3-pip", "xorg_x", "R"}}
	var at []string
	for _, p := range s.Validate() {
		at = append(at, p.Path)
	}
	if got := strings.Join(at, " "); got != "packages.1 packages.2 packages.3 packages.4 packages.8" {
		t.Errorf("faults at %s: %v", got, s.Validate())
	}
	if p := (&packages.Spec{}).Validate(); len(p) > 0 {
		t.Errorf("an empty spec: %v", p)
	}
}
