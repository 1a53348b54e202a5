package upgrade_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/kind/upgrade"
	"phoenix/tasks/taskstest"
)

const (
	lists = "/var/lib/apt/lists"
	stamp = "/var/lib/apt/periodic/update-success-stamp"
	// archive has what could be had: "NAME VERSION LABEL", or "- NAME" for one that a
	// dist-upgrade removes.
	archive = "/run/archive"
	status  = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.16-1\n\n" +
		"Package: pve-manager\nStatus: install ok installed\nArchitecture: all\nVersion: 8.4.1\n\n" +
		"Package: nano\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.2-1\n"
)

// machine is a Proxmox VE 8 host with old packages and fresh lists.
func machine(t *testing.T, files map[string]string) *taskstest.Tree {
	all := map[string]string{
		dpkg.StatusPath: status, "/etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n",
		"/var/lib/dpkg/updates/": "", "/var/lib/apt/periodic/": "",
		lists + "/deb.debian.org_debian_dists_bookworm_InRelease":                  "",
		lists + "/deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages": "",
		"/proc/sys/kernel/osrelease":                                               "6.8.12-4-pve\n", "/boot/vmlinuz-6.8.12-4-pve": "", "/lib/modules/6.8.12-4-pve/": "",
		archive: "openssl 3.0.17-1 Debian-Security\npve-manager 8.4.21 Proxmox Debian Repository\nnano 7.2-1 Debian\n",
	}
	maps.Copy(all, files)
	tr := taskstest.NewTree(t, all)
	tr.Programs["apt-get"] = aptGet
	tr.Programs["dpkg"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		put(ctx, h, dpkg.StatusPath, func(s string) string { return strings.ReplaceAll(s, "ok half-configured", "ok installed") })
		return tasks.Output{}
	}
	return tr
}

func put(ctx context.Context, h tasks.Host, path string, change func(string) string) {
	_ = h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: path, Update: func(old []byte) ([]byte, error) { return []byte(change(string(old))), nil }})
}

// aptGet upgrades what the archive has newer, or those named; it knows -s and -t.
func aptGet(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
	if c.Argv[len(c.Argv)-1] == "update" {
		put(ctx, h, lists+"/x_Packages", func(string) string { return "" })
		return tasks.Output{}
	}
	if i := slices.Index(c.Argv, "-t"); i > 0 && c.Argv[i+1] != "bookworm-security" {
		return tasks.Output{Code: 100, Stderr: []byte("E: The value '" + c.Argv[i+1] + "' is invalid for APT::Default-Release\n")}
	}
	data, _ := h.ReadFile(archive)
	db, _ := h.ReadFile(dpkg.StatusPath)
	var out strings.Builder
	text := string(db)
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if f[0] == "-" {
			if strings.Contains(text, "Package: "+f[1]+"\n") {
				out.WriteString("Remv " + f[1] + " [1]\n")
			}
			continue
		}
		_, found, has := strings.Cut(text, "Package: "+f[0]+"\nStatus: install ok installed\nArchitecture: amd64\nVersion: ")
		if !has {
			_, found, has = strings.Cut(text, "Package: "+f[0]+"\nStatus: install ok installed\nArchitecture: all\nVersion: ")
		}
		old, _, _ := strings.Cut(found, "\n")
		named := slices.Contains(c.Argv, "dist-upgrade") || slices.Contains(c.Argv, f[0]+"="+f[1])
		if !has || old == f[1] || !named {
			continue
		}
		out.WriteString("Inst " + f[0] + " [" + old + "] (" + f[1] + " " + f[2] + ":12/stable [amd64]) []\n")
		text = strings.Replace(text, "\nVersion: "+old+"\n", "\nVersion: "+f[1]+"\n", 1)
	}
	if !slices.Contains(c.Argv, "-s") {
		put(ctx, h, dpkg.StatusPath, func(string) string { return text })
	}
	return tasks.Output{Stdout: []byte(out.String())}
}

func age(t *testing.T, m *taskstest.Tree, hours int) {
	old := time.Now().Add(-time.Duration(hours) * time.Hour)
	for _, p := range []string{lists, stamp} {
		if err := os.Chtimes(filepath.Join(m.Root, p), old, old); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

func TestUpgrade_conforms(t *testing.T) {
	for _, how := range []string{upgrade.Full, upgrade.Security} {
		t.Run(how, func(t *testing.T) {
			taskstest.Suite{
				Kind: upgrade.Kind(),
				Spec: `{"upgrade":"` + how + `"}`,
				New: func(t *testing.T) taskstest.Machine {
					m := machine(t, nil)
					age(t, m, 25)
					return taskstest.Machine{Host: m}
				},
				Drifts: []taskstest.Drift{
					{Name: "an older version was put back", Paths: []string{"packages.openssl"}, Make: func(t *testing.T, h tasks.Host) {
						put(t.Context(), h, dpkg.StatusPath, func(s string) string { return strings.Replace(s, "3.0.17-1", "3.0.16-1", 1) })
					}},
					{Name: "an upgrade was interrupted", Paths: []string{"packages.openssl"}, Make: func(t *testing.T, h tasks.Host) {
						put(t.Context(), h, dpkg.StatusPath, func(s string) string {
							return strings.Replace(s, "install ok installed", "install ok half-configured", 1)
						})
					}},
					{Name: "the lists were deleted", Paths: []string{"lists"}, Make: func(t *testing.T, h tasks.Host) {
						for _, n := range []string{"x_Packages", "deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages"} {
							if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: lists + "/" + n}); err != nil {
								t.Fatal(err)
							}
						}
					}},
				},
			}.Run(t)
		})
	}
}

func TestUpgrade_saysEachPackageFromVersionToVersion(t *testing.T) {
	for _, tc := range []struct {
		name, how string
		want      []string
	}{
		{"full is everything", upgrade.Full, []string{"packages.openssl 3.0.16-1 3.0.17-1", "packages.pve-manager 8.4.1 8.4.21"}},
		{"security is what Debian's security archive has", upgrade.Security, []string{"packages.openssl 3.0.16-1 3.0.17-1"}},
		{"never is nothing", upgrade.Never, nil},
		{"nothing said is never", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := taskstest.NewRecorder(machine(t, nil))
			res := taskstest.Check(t, upgrade.Kind(), `{"upgrade":"`+tc.how+`"}`, rec)
			var got []string
			for _, c := range res.Changes {
				got = append(got, c.Path+" "+c.From+" "+c.To)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, %+v", got, res)
			}
			if tc.want == nil && len(rec.Ops()) > 0 {
				t.Errorf("it looked at %v", rec.Ops())
			}
		})
	}
}

func TestUpgrade_runsDistUpgradeWithoutQuestions(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, nil))
	if res := taskstest.Run(t, upgrade.Kind(), `{"upgrade":"full"}`, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	ops := rec.Changes()
	if len(ops) != 1 {
		t.Fatalf("did %v", ops)
	}
	want := "apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold dist-upgrade"
	if got := ops[0].String(); got != want || !slices.Contains(ops[0].Cmd.Env, "DEBIAN_FRONTEND=noninteractive") {
		t.Errorf("ran %q in %q", got, ops[0].Cmd.Env)
	}
}

func TestUpgrade_refusesWhatWouldBreakTheHost(t *testing.T) {
	for _, tc := range []struct{ name, archive, why string }{
		{"Proxmox VE would be removed", "openssl 3.0.17-1 Debian\n- proxmox-ve\n- nano\n", "remove proxmox-ve"},
		{"another release of Proxmox VE", "pve-manager 9.1.4 Proxmox Debian Repository\n", "another release"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t, map[string]string{archive: tc.archive, dpkg.StatusPath: status + "\nPackage: proxmox-ve\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"})
			res := taskstest.Check(t, upgrade.Kind(), `{"upgrade":"full"}`, m)
			if len(res.Changes) == 0 || slices.ContainsFunc(res.Changes, func(c tasks.Change) bool { return !c.Held() }) {
				t.Errorf("the check does not say that a run leaves it: %+v", res.Changes)
			}
			rec := taskstest.NewRecorder(m)
			res = taskstest.Run(t, upgrade.Kind(), `{"upgrade":"full"}`, rec)
			if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, tc.why) || len(rec.Changes()) > 0 {
				t.Errorf("%+v, did %v", res, rec.Changes())
			}
		})
	}
}

func TestUpgrade_aFetchThatFailedIsAFailure(t *testing.T) {
	for _, tc := range []struct {
		name string
		out  tasks.Output
		why  string
	}{
		{"the enterprise archive refuses", tasks.Output{Code: 100, Stderr: []byte("E: Failed to fetch https://enterprise.proxmox.com/debian/pve/dists/bookworm/InRelease  401  Unauthorized\n")}, "set apt.repositories and apt.ceph to no-subscription"},
		{"nothing can be reached, which apt-get takes for success", tasks.Output{Stderr: []byte("W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.debian.org'\nW: Some index files failed to download. They have been ignored, or old ones used instead.\n")}, "Temporary failure resolving"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t, nil)
			age(t, m, 49)
			m.Programs["apt-get"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
				if c.Argv[len(c.Argv)-1] == "update" {
					return tc.out
				}
				return aptGet(ctx, h, c)
			}
			res := taskstest.Run(t, upgrade.Kind(), `{"upgrade":"full"}`, m)
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v", res)
			}
			if res = taskstest.Check(t, upgrade.Kind(), `{"upgrade":"full"}`, m); res.Changes[0].Path != "lists" || res.Changes[0].From != "49h0m0s old" {
				t.Errorf("afterwards the lists are taken for fresh: %+v", res.Changes)
			}
		})
	}
}

func TestUpgrade_anUpdateThatFindsNothingNewIsRemembered(t *testing.T) {
	m := machine(t, nil)
	m.Programs["apt-get"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if c.Argv[len(c.Argv)-1] == "update" {
			return tasks.Output{} // apt 2.6 does not touch the directory then
		}
		return aptGet(ctx, h, c)
	}
	age(t, m, 49)
	if res := taskstest.Run(t, upgrade.Kind(), `{"upgrade":"full"}`, m); res.Status != tasks.StatusChanged {
		t.Errorf("%+v", res)
	}
}

func TestUpgrade_withoutASecurityArchiveSecurityIsAnError(t *testing.T) {
	res := taskstest.Check(t, upgrade.Kind(), `{"upgrade":"security"}`, machine(t, map[string]string{"/etc/os-release": "VERSION_CODENAME=trixie\n"}))
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "trixie-security") {
		t.Errorf("%+v", res)
	}
}

func TestUpgrade_saysThatARebootIsNeeded(t *testing.T) {
	m := machine(t, map[string]string{"/boot/vmlinuz-6.8.12-9-pve": ""})
	var said []string
	r := tasks.Runner{Host: m, Registry: tasks.NewRegistry(upgrade.Kind()), Emit: func(e tasks.Event) {
		if e.Log != nil && e.Log.Stream == "task" {
			said = append(said, e.Log.Text)
		}
	}}
	err := r.Run(t.Context(), tasks.Job{RunID: "x", Mode: tasks.ModeRun, Steps: []tasks.Step{{ID: "apt:upgrade", Kind: upgrade.Name, Spec: []byte(`{"upgrade":"full"}`)}}})
	if err != nil || !slices.Contains(said, "a reboot is needed: kernel 6.8.12-9-pve is installed, 6.8.12-4-pve runs") {
		t.Errorf("%v, said %q", err, said)
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec upgrade.Spec
		path string
	}{
		{"another word", upgrade.Spec{Upgrade: "always"}, "upgrade"},
		{"a negative age", upgrade.Spec{CacheMaxAgeS: -1}, "cache_max_age_s"},
		{"a negative wait", upgrade.Spec{LockTimeoutS: -1}, "lock_timeout_s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}
