package apt_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/taskstest"
)

func TestApt_conforms(t *testing.T) {
	set := func(name, want, state string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) { mark(t.Context(), h, name, want, state) }
	}
	taskstest.Suite{
		Kind: apt.Kind(),
		Spec: `{"packages":["bash","curl","-nano"],"hold":["bash"]}`,
		New:  func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t, nil)} },
		Drifts: []taskstest.Drift{
			{Name: "a package was removed", Make: set("curl", "deinstall", "config-files"), Paths: []string{"packages.curl"}},
			{Name: "a package was purged", Make: set("curl", "purge", "not-installed"), Paths: []string{"packages.curl"}},
			{Name: "an installation was interrupted", Make: set("curl", "", "half-configured"), Paths: []string{"packages.curl"}},
			{Name: "an unwanted package came back", Make: set("nano", "install", "installed"), Paths: []string{"packages.nano"}},
			{Name: "a hold was lifted", Make: set("bash", "install", ""), Paths: []string{"hold.bash"}},
		},
	}.Run(t)
}

func TestApt_oldListsConform(t *testing.T) {
	taskstest.Suite{
		Kind: apt.Kind(),
		Spec: `{"packages":["curl","htop"]}`,
		New: func(t *testing.T) taskstest.Machine {
			m := machine(t, nil)
			old := time.Now().Add(-48 * time.Hour)
			if err := os.Chtimes(filepath.Join(m.Root, "/var/lib/apt/lists"), old, old); err != nil {
				t.Fatal(err)
			}
			return taskstest.Machine{Host: m}
		},
		// A fetch that failed does not stop an installation that works without it.
		Tolerates: []string{"apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold update"},
	}.Run(t)
}

func TestApt_states(t *testing.T) {
	for _, tc := range []struct{ name, spec, from, to string }{
		{"an installed package", `{"packages":["bash"]}`, "", ""},
		{"a held package is installed", `{"packages":["postfix"],"hold":["postfix"]}`, "", ""},
		{"a virtual package that something provides", `{"packages":["mail-transport-agent","default-mta"]}`, "", ""},
		{"the installed one of two architectures", `{"packages":["libc6","libc6:amd64"]}`, "", ""},
		{"the other architecture", `{"packages":["libc6:i386"]}`, "", "installed"},
		{"only its configuration files are left", `{"packages":["vim"]}`, "", "installed"},
		{"nothing but configuration files is absent", `{"packages":["-vim"]}`, "", ""},
		{"an unknown package", `{"packages":["curl"]}`, "", "installed"},
		{"an unknown package is absent", `{"packages":["-curl"]}`, "", ""},
		{"an installed package that is to go", `{"packages":["-nano"]}`, "7.2-1", ""},
		{"a package that is to be held", `{"hold":["nano"]}`, "", "held"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := taskstest.NewRecorder(machine(t, nil))
			res := taskstest.Check(t, apt.Kind(), tc.spec, rec)
			if tc.from == "" && tc.to == "" {
				if res.Status != tasks.StatusOK {
					t.Errorf("%+v", res)
				}
			} else if len(res.Changes) != 1 || res.Changes[0].From != tc.from || res.Changes[0].To != tc.to {
				t.Errorf("%+v, want %q -> %q", res, tc.from, tc.to)
			}
			if got := rec.Commands(); len(got) > 0 {
				t.Errorf("the check started %q", got)
			}
		})
	}
}

func TestApt_theCommandLineNeverAsks(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, nil))
	taskstest.Run(t, apt.Kind(), `{"packages":["curl"],"lock_timeout_s":60}`, rec)
	want := "apt-get -y -q -o DPkg::Lock::Timeout=60 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install --no-install-recommends curl"
	changes := rec.Changes()
	if len(changes) != 1 || changes[0].String() != want {
		t.Fatalf("did %v, want %q", changes, want)
	}
	if !slices.Contains(changes[0].Cmd.Env, "DEBIAN_FRONTEND=noninteractive") || changes[0].Cmd.Stdin != nil {
		t.Errorf("environment %q, stdin %q", changes[0].Cmd.Env, changes[0].Cmd.Stdin)
	}
}

func TestApt_listsAreFetchedOnlyWhenNeeded(t *testing.T) {
	for _, tc := range []struct {
		name    string
		files   map[string]string
		change  func(t *testing.T, root string)
		fetches bool
	}{
		{"young lists are kept", nil, func(*testing.T, string) {}, false},
		{"old lists are fetched", nil, func(t *testing.T, root string) { age(t, root+"/var/lib/apt/lists") }, true},
		{"a young stamp speaks for old lists", map[string]string{"/var/lib/apt/periodic/update-success-stamp": ""}, func(t *testing.T, root string) { age(t, root+"/var/lib/apt/lists") }, false},
		{"missing lists are fetched", nil, func(t *testing.T, root string) {
			if err := os.RemoveAll(root + "/var/lib/apt/lists"); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(root+"/var/lib/apt/lists", 0o755); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t, tc.files)
			tc.change(t, m.Root)
			rec := taskstest.NewRecorder(m)
			if res := taskstest.Run(t, apt.Kind(), `{"packages":["curl"]}`, rec); res.Status != tasks.StatusChanged {
				t.Fatalf("%+v", res)
			}
			fetched := slices.ContainsFunc(rec.Commands(), func(c string) bool { return strings.HasSuffix(c, " update") })
			if fetched != tc.fetches {
				t.Errorf("ran %q", rec.Commands())
			}
		})
	}
}

func age(t *testing.T, path string) {
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
}

func TestApt_anUnknownNameFetchesTheListsOnce(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, nil))
	res := taskstest.Run(t, apt.Kind(), `{"packages":["no-such-package"]}`, rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "Unable to locate package no-such-package") {
		t.Errorf("%+v", res)
	}
	updates := slices.DeleteFunc(rec.Commands(), func(c string) bool { return !strings.HasSuffix(c, " update") })
	if len(updates) != 1 {
		t.Errorf("did %v, want one update", rec.Changes())
	}
}

func TestApt_aFailedFetchIsToldWhenTheInstallationFailsToo(t *testing.T) {
	m := machine(t, nil)
	m.Programs["apt-get"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if c.Argv[len(c.Argv)-1] == "update" {
			return tasks.Output{Code: 100, Stderr: []byte("E: Failed to fetch https://enterprise.proxmox.com/debian/pve/dists/bookworm/InRelease  401  Unauthorized\n")}
		}
		return tasks.Output{Code: 100, Stderr: []byte("E: Unable to locate package curl\n")}
	}
	res := taskstest.Run(t, apt.Kind(), `{"packages":["curl"]}`, m)
	for _, part := range []string{"Unable to locate package curl", "401  Unauthorized"} {
		if !strings.Contains(res.Why, part) {
			t.Errorf("why is %q, want %q in it", res.Why, part)
		}
	}
}

func TestApt_proxmoxItselfNeverGoesAsASideEffect(t *testing.T) {
	m := machine(t, nil)
	m.Programs["apt-get"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if !slices.Contains(c.Argv, "-s") {
			t.Errorf("ran %q", c.Argv)
		}
		return tasks.Output{Stdout: []byte("Remv proxmox-ve [8.4.0]\nRemv ifupdown2:all [3.2]\nRemv nano [7.2-1]\nInst ifupdown (0.8.41 Debian:12 [amd64])\n")}
	}
	res := taskstest.Run(t, apt.Kind(), `{"packages":["ifupdown"]}`, m)
	if res.Status != tasks.StatusSkipped || res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "proxmox-ve, ifupdown2") {
		t.Errorf("%+v", res)
	}
}

func TestApt_anInterruptedDpkgIsFinishedFirst(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, map[string]string{"/var/lib/dpkg/updates/0001": "x"}))
	if res := taskstest.Run(t, apt.Kind(), `{"packages":["curl"]}`, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := rec.Commands()[0]; !strings.HasPrefix(got, "dpkg ") || !strings.HasSuffix(got, "--configure -a") {
		t.Errorf("first ran %q", got)
	}
}

func TestApt_waitsForALockThatIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine(t, nil)
		free := time.Now().Add(30 * time.Second)
		m.Programs["apt-get"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
			if time.Now().Before(free) && !slices.Contains(c.Argv, "-s") {
				return tasks.Output{Code: 100, Stderr: []byte("E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)\nE: Unable to lock directory /var/lib/apt/lists/\n")}
			}
			return aptGet(ctx, h, c)
		}
		if res := taskstest.Run(t, apt.Kind(), `{"packages":["curl"]}`, m); res.Status != tasks.StatusChanged {
			t.Errorf("%+v", res)
		}
		if time.Now().Before(free) {
			t.Error("the lock was not waited for")
		}
	})
}

func TestApt_aLockThatIsNeverReleasedEndsTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine(t, nil)
		m.Programs["apt-get"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
			if slices.Contains(c.Argv, "-s") {
				return tasks.Output{}
			}
			return tasks.Output{Code: 100, Stderr: []byte("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)\n")}
		}
		begin := time.Now()
		res := taskstest.Run(t, apt.Kind(), `{"packages":["curl"],"lock_timeout_s":20}`, m)
		if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "unattended-upgr") {
			t.Errorf("%+v", res)
		}
		if d := time.Since(begin); d < 20*time.Second || d > 25*time.Second {
			t.Errorf("gave up after %s", d)
		}
	})
}

func TestApt_aDamagedDatabaseIsNotTakenForAnEmptyOne(t *testing.T) {
	m := machine(t, map[string]string{dpkg.StatusPath: "Package: bash\nStatus: install\n"})
	res := taskstest.Check(t, apt.Kind(), `{"packages":["-bash"]}`, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "line 2") {
		t.Errorf("%+v", res)
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec apt.Spec
		path string
	}{
		{"an option", apt.Spec{Packages: []string{"curl", "--force-yes"}}, "packages.1"},
		{"a version", apt.Spec{Packages: []string{"curl=1"}}, "packages.0"},
		{"upper case", apt.Spec{Packages: []string{"Curl"}}, "packages.0"},
		{"a line break", apt.Spec{Packages: []string{"curl\n"}}, "packages.0"},
		{"wanted and unwanted", apt.Spec{Packages: []string{"curl", "-curl"}}, "packages.1"},
		{"Proxmox itself", apt.Spec{Packages: []string{"-proxmox-ve"}}, "packages.0"},
		{"held and unwanted", apt.Spec{Packages: []string{"-curl"}, Hold: []string{"curl"}}, "hold.0"},
		{"held twice", apt.Spec{Hold: []string{"curl", "curl"}}, "hold.1"},
		{"a negative age", apt.Spec{CacheMaxAgeS: -1}, "cache_max_age_s"},
		{"a negative wait", apt.Spec{LockTimeoutS: -1}, "lock_timeout_s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}
