package repository_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/aptsources"
	"phoenix/tasks/kind/repository"
	"phoenix/tasks/taskstest"
)

func spec(t *testing.T, s repository.Spec) string {
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func docker() repository.Source {
	return repository.Source{URIs: []string{"https://download.docker.com/linux/debian"}, Suites: []string{"release"}, Components: []string{"stable"}, SignedBy: dockerKey, Architectures: []string{"amd64"}}
}

// replace changes a file by hand.
func replace(p, old, new string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		text := taskstest.Get(t, h, p)
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in %s:\n%s", old, p, text)
		}
		taskstest.Put(t, h, p, strings.Replace(text, old, new, 1))
	}
}

func remove(p string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: p}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRepository_conforms(t *testing.T) {
	own := dir + "/docker.sources"
	lists := "/var/lib/apt/lists/"
	for name, m := range map[string]func(*testing.T, map[string]string) *taskstest.Tree{"Proxmox VE 8": pve8, "Proxmox VE 9": pve9} {
		release := map[string]string{"Proxmox VE 8": "bookworm", "Proxmox VE 9": "trixie"}[name]
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: repository.Kind(),
				Spec: spec(t, repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.NoSubscription, ExtraSources: map[string]repository.Source{"docker": docker()}}),
				New:  func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: m(t, nil)} },
				Drifts: []taskstest.Drift{
					{Name: "Proxmox's archive was switched off", Paths: []string{"repositories"}, Make: replace(dir+"/proxmox.sources", "Types: deb\n", "Types: deb\nEnabled: off\n")},
					{Name: "the enterprise archive came back", Paths: []string{"repositories"}, Make: func(t *testing.T, h tasks.Host) {
						taskstest.Put(t, h, dir+"/again.list", "deb https://enterprise.proxmox.com/debian/pve "+release+" pve-enterprise\n")
					}},
					{Name: "the file was removed", Paths: []string{"repositories"}, Make: remove(dir + "/proxmox.sources")},
					{Name: "Ceph's archive was switched off", Paths: []string{"ceph"}, Make: replace(dir+"/ceph.sources", "Components: no-subscription", "Components: test")},
					{Name: "the lists of Proxmox's archive were deleted", Paths: []string{"repositories"}, Make: remove(lists + "download.proxmox.com_debian_pve_dists_" + release + "_InRelease")},
					{Name: "an extra source was removed", Paths: []string{"extra_sources.docker"}, Make: remove(own)},
					{Name: "its lists were deleted", Paths: []string{"extra_sources.docker"}, Make: remove(lists + "download.docker.com_linux_debian_dists_" + release + "_InRelease")},
					{Name: "its types were changed", Paths: []string{"extra_sources.docker.types"}, Make: replace(own, "Types: deb", "Types: deb deb-src")},
					{Name: "its address was changed", Paths: []string{"extra_sources.docker.uris"}, Make: replace(own, "https://", "http://")},
					{Name: "its suite was changed", Paths: []string{"extra_sources.docker.suites"}, Make: replace(own, "Suites: "+release, "Suites: sid")},
					{Name: "its components were changed", Paths: []string{"extra_sources.docker.components"}, Make: replace(own, "stable", "stable nightly")},
					{Name: "its architectures were changed", Paths: []string{"extra_sources.docker.architectures"}, Make: replace(own, "amd64", "arm64")},
					{Name: "its key was changed", Paths: []string{"extra_sources.docker.signed_by"}, Make: replace(own, "=abcd", "=efgh")},
					{Name: "it was switched off", Paths: []string{"extra_sources.docker.enabled"}, Make: replace(own, "Types: deb\n", "Enabled: no\nTypes: deb\n")},
				},
				Faults: []taskstest.Fault{
					{Name: "apt-get does not take the files", Op: "apt-get indextargets", Output: tasks.Output{Code: 100, Stderr: []byte("E: Malformed entry 1 in sources file /run/phoenix-apt-sources/parts/docker.sources (Component)\n")}},
					{Name: "the archive cannot be reached", Op: "apt-get -y", Output: tasks.Output{Stderr: []byte("W: Failed to fetch https://download.docker.com/linux/debian/dists/x/InRelease  Could not resolve 'download.docker.com'\n")}},
				},
			}.Run(t)
		})
	}
}

// The golden files are read by apt in e2e.
func TestRepository_writesProxmoxsOwnFiles(t *testing.T) {
	for _, tc := range []struct {
		name, golden, file string
		m                  *taskstest.Tree
		spec               repository.Spec
	}{
		{"the free archive of 8", "pve8-proxmox.sources", "proxmox.sources", pve8(t, nil), repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.None}},
		{"the free archive of 9", "pve9-proxmox.sources", "proxmox.sources", pve9(t, nil), repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.None}},
		{"the free Ceph of 8", "pve8-ceph.sources", "ceph.sources", pve8(t, nil), repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.NoSubscription}},
		{"the free Ceph of 9, behind the other", "pve9-ceph.sources", "ceph.sources", pve9(t, nil), repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.NoSubscription}},
		{"the enterprise archive of 9", "pve9-enterprise.sources", "pve-enterprise.sources", pve9(t, map[string]string{
			dir + "/pve-enterprise.sources": "", dir + "/ceph.sources": "", "/etc/apt/auth.conf.d/pve.conf": "machine x\n",
		}), repository.Spec{Repositories: repository.Enterprise}},
		{"an extra source with its key", "docker.sources", "docker.sources", pve9(t, nil), repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.None, ExtraSources: map[string]repository.Source{"docker": docker()}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, err := os.ReadFile("testdata/" + tc.golden)
			if err != nil {
				t.Fatal(err)
			}
			if got := after(t, tc.m, spec(t, tc.spec))[tc.file]; got != string(want) {
				t.Errorf("%s is\n%s\nwant\n%s", tc.file, got, want)
			}
		})
	}
}

func TestRepository_usesWhatIsThere(t *testing.T) {
	const off8 = "# " + pve8Enterprise
	subscribed := map[string]string{"/etc/apt/auth.conf.d/pve.conf": "machine x\n"}
	free := repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.None}
	for _, tc := range []struct {
		name  string
		m     func(*testing.T, map[string]string) *taskstest.Tree
		extra map[string]string
		spec  repository.Spec
		want  map[string]string // of each file that changes; "" for none
	}{
		{"a line is switched off and not deleted", pve8, nil, repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.None}, map[string]string{
			"pve-enterprise.list": off8, "ceph.list": "# " + pve8Ceph,
		}},
		{"a stanza is switched off and not deleted", pve9, nil, free, map[string]string{
			"pve-enterprise.sources": pve9Enterprise + "Enabled: no\n", "ceph.sources": pve9Ceph + "Enabled: no\n",
		}},
		{"a line of sources.list counts", pve8, map[string]string{aptsources.MainFile: pve8Main + "deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n"}, free, map[string]string{"proxmox.sources": ""}},
		{"a mirror counts", pve8, map[string]string{dir + "/m.list": "deb http://mirror.lan/proxmox bookworm pve-no-subscription\n"}, free, map[string]string{"proxmox.sources": ""}},
		{"one of another release does not", pve9, map[string]string{dir + "/old.list": "deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n"}, free, map[string]string{
			"old.list": "deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n",
		}},
		{"a line that was switched off is switched on", pve8, merged(subscribed, map[string]string{dir + "/pve-enterprise.list": off8, dir + "/x.list": "deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n"}), repository.Spec{Repositories: repository.Enterprise}, map[string]string{
			"pve-enterprise.list": pve8Enterprise, "x.list": "# deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n",
		}},
		{"a stanza that was switched off is switched on", pve9, merged(subscribed, map[string]string{dir + "/pve-enterprise.sources": pve9Enterprise + "Enabled: false\n"}), repository.Spec{Repositories: repository.Enterprise}, map[string]string{
			"pve-enterprise.sources": pve9Enterprise + "Enabled: yes\n",
		}},
		{"a test archive is neither switched off nor on", pve8, map[string]string{dir + "/x.list": "# deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription pvetest\ndeb http://download.proxmox.com/debian/pve bookworm pve-enterprise pvetest\n"}, free, map[string]string{
			"x.list":          "# deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription pvetest\ndeb http://download.proxmox.com/debian/pve bookworm pvetest\n",
			"proxmox.sources": "Types: deb\nURIs: http://download.proxmox.com/debian/pve\nSuites: bookworm\nComponents: pve-no-subscription\n",
		}},
		{"the key is that of an entry of the same suite", pve9, map[string]string{dir + "/x.list": "deb [signed-by=/k.gpg] http://download.proxmox.com/debian/pve/ trixie pve-test\n"}, free, map[string]string{
			"proxmox.sources": "Types: deb\nURIs: http://download.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-no-subscription\nSigned-By: /k.gpg\n",
		}},
		{"Ceph stays at the release that is installed", pve8, map[string]string{"/var/lib/dpkg/status": status("8.4.21", "ceph-base 18.2.4-pve3")}, repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.NoSubscription}, map[string]string{
			"ceph.sources": "Types: deb\nURIs: http://download.proxmox.com/debian/ceph-reef\nSuites: bookworm\nComponents: no-subscription\n",
		}},
		{"without any Ceph it is squid", pve8, map[string]string{dir + "/ceph.list": ""}, repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.NoSubscription}, map[string]string{
			"ceph.sources": "Types: deb\nURIs: http://download.proxmox.com/debian/ceph-squid\nSuites: bookworm\nComponents: no-subscription\n",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := tc.m(t, tc.extra)
			got := after(t, m, spec(t, tc.spec))
			for file, want := range tc.want {
				if got[file] != want {
					t.Errorf("%s is\n%s\nwant\n%s", file, got[file], want)
				}
			}
			if res := taskstest.Check(t, repository.Kind(), spec(t, tc.spec), m); res.Status != tasks.StatusOK {
				t.Errorf("afterwards: %+v", res)
			}
		})
	}
}

func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func TestRepository_keepLooksAtNothingOfProxmoxs(t *testing.T) {
	for _, s := range []string{`{}`, `{"repositories":"keep","ceph":"keep"}`} {
		if res := taskstest.Check(t, repository.Kind(), s, pve8(t, map[string]string{"/var/lib/dpkg/status": ""})); res.Status != tasks.StatusOK {
			t.Errorf("%s: %+v", s, res)
		}
	}
}

func TestRepository_extraSourcesThatAreThereAlready(t *testing.T) {
	const line = "deb [arch=amd64 signed-by=/usr/share/keyrings/docker.gpg] https://download.docker.com/linux/debian bookworm stable\n"
	fetched := map[string]string{"/var/lib/apt/lists/download.docker.com_linux_debian_dists_bookworm_InRelease": "x"}
	no := false
	off := docker()
	off.Enabled = &no
	wider := docker()
	wider.Components = []string{"stable", "test"}
	for _, tc := range []struct {
		name   string
		source repository.Source
		extra  map[string]string
		status tasks.Status
		path   string
		why    string
	}{
		{"a line of another file counts", docker(), map[string]string{dir + "/d.list": line}, tasks.StatusOK, "", ""},
		{"one that is switched off does not", docker(), map[string]string{dir + "/d.list": "# " + line}, tasks.StatusWouldChange, "extra_sources.docker", ""},
		{"a part of it is a conflict", wider, map[string]string{dir + "/d.list": line}, tasks.StatusFailed, "", "d.list:1 has a part of it"},
		{"one that is there and not wanted differs", off, map[string]string{dir + "/d.list": line}, tasks.StatusWouldChange, "extra_sources.docker.enabled", ""},
		{"one that is not there and not wanted is right", off, nil, tasks.StatusOK, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := pve8(t, merged(fetched, tc.extra))
			s := spec(t, repository.Spec{ExtraSources: map[string]repository.Source{"docker": tc.source}})
			res := taskstest.Check(t, repository.Kind(), s, m)
			if res.Status != tc.status || !strings.Contains(res.Why, tc.why) || tc.path != "" && (len(res.Changes) != 1 || res.Changes[0].Path != tc.path) {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestRepository_switchesOffWhatAnotherFileNames(t *testing.T) {
	no := false
	off := docker()
	off.Enabled = &no
	s := spec(t, repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.None, ExtraSources: map[string]repository.Source{"docker": off}})
	m := pve8(t, map[string]string{dir + "/d.list": "deb https://download.docker.com/linux/debian bookworm stable\n"})
	if got := after(t, m, s)["d.list"]; got != "# deb https://download.docker.com/linux/debian bookworm stable\n" {
		t.Errorf("d.list is %q", got)
	}
	m = pve8(t, map[string]string{dir + "/d.list": "deb https://download.docker.com/linux/debian bookworm stable test\n"})
	if res := taskstest.Run(t, repository.Kind(), s, m); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "has other archives too") {
		t.Errorf("%+v", res)
	}
}

func TestRepository_failuresAreClear(t *testing.T) {
	keyring := docker()
	keyring.SignedBy = "/usr/share/keyrings/none.gpg"
	conflict := repository.Source{URIs: []string{"https://download.docker.com/linux/debian"}, Suites: []string{"release"}, Components: []string{"test"}, SignedBy: dockerKey}
	for _, tc := range []struct {
		name string
		m    *taskstest.Tree
		spec repository.Spec
		why  string
	}{
		{"no subscription", pve8(t, nil), repository.Spec{Repositories: repository.Enterprise}, "need a subscription"},
		{"a keyring that is not there", pve8(t, nil), repository.Spec{ExtraSources: map[string]repository.Source{"docker": keyring}}, "there is no /usr/share/keyrings/none.gpg"},
		{"two keys for one suite", pve8(t, map[string]string{dir + "/d.list": "deb [signed-by=/usr/share/keyrings/docker.gpg] https://download.docker.com/linux/debian bookworm stable\n"}),
			repository.Spec{ExtraSources: map[string]repository.Source{"docker": conflict}}, "Conflicting values set for option Signed-By"},
		{"in the middle of an upgrade", pve8(t, map[string]string{"/etc/os-release": "VERSION_CODENAME=trixie\n"}), repository.Spec{Repositories: repository.NoSubscription}, "Proxmox VE 8 belongs on Debian bookworm, this is trixie"},
		{"a release that is too old", pve8(t, map[string]string{"/var/lib/dpkg/status": status("7.4-3"), "/etc/os-release": "VERSION_CODENAME=bullseye\n"}), repository.Spec{Ceph: repository.None}, "only 8 and 9"},
		{"an unknown Ceph", pve8(t, map[string]string{"/var/lib/dpkg/status": status("8.4.21", "ceph-base 16.2.15")}), repository.Spec{Ceph: repository.NoSubscription}, "of no known release"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := taskstest.Get(t, tc.m, dir+"/pve-enterprise.list")
			res := taskstest.Run(t, repository.Kind(), spec(t, tc.spec), tc.m)
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v", res)
			}
			if got := taskstest.Get(t, tc.m, dir+"/pve-enterprise.list"); got != before || exists(tc.m, dir+"/docker.sources") {
				t.Errorf("it changed the files")
			}
			if res := taskstest.Check(t, repository.Kind(), spec(t, tc.spec), tc.m); res.Status == tasks.StatusOK {
				t.Error("a check afterwards says ok")
			}
		})
	}
}

func TestRepository_aFileThatChangesMeanwhileIsNotOverwritten(t *testing.T) {
	m := pve8(t, nil)
	m.Programs["apt-get"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if c.ReadOnly {
			put(ctx, h, dir+"/pve-enterprise.list", "# somebody was here\n"+pve8Enterprise)
		}
		return aptGet(ctx, h, c)
	}
	res := taskstest.Run(t, repository.Kind(), `{"repositories":"no-subscription"}`, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "somebody else has just changed it") {
		t.Errorf("%+v", res)
	}
}

func TestRepository_copiesOfARunThatWasKilledAreNotInTheWay(t *testing.T) {
	const copies = "/run/phoenix-apt-sources"
	m := pve9(t, map[string]string{copies + "/parts/docker.sources": "Types: deb\nnonsense\n", copies + "/sources.list": "old"})
	ask, broken := m.Programs["apt-get"], true
	m.Programs["apt-get"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		if !slices.Contains(c.Argv, "indextargets") {
			return ask(ctx, h, c)
		}
		if exists(h, copies+"/sources.list") || exists(h, copies+"/parts/docker.sources") {
			t.Error("an old copy is still there")
		}
		for p, mode := range map[string]fs.FileMode{copies: 0o700, copies + "/parts": 0o700, copies + "/parts/debian.sources": 0o600} {
			if fi, err := h.Stat(p); err != nil || fi.Mode.Perm() != mode {
				t.Errorf("%s is %+v, %v", p, fi, err)
			}
		}
		if broken {
			return tasks.Output{Code: 100, Stderr: []byte("E: no\n")}
		}
		return ask(ctx, h, c)
	}
	want := spec(t, repository.Spec{Repositories: repository.NoSubscription, Ceph: repository.NoSubscription})
	if res := taskstest.Run(t, repository.Kind(), want, m); res.Status != tasks.StatusFailed || exists(m, copies) {
		t.Errorf("%+v; copies stay: %t", res, exists(m, copies))
	}
	broken = false
	if res := taskstest.Run(t, repository.Kind(), want, m); res.Status != tasks.StatusChanged || exists(m, copies) {
		t.Errorf("%+v; copies stay: %t", res, exists(m, copies))
	}
}
