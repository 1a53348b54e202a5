package template_test

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/template"
	"phoenix/tasks/taskstest"
)

const (
	cache    = "/var/lib/vz/template/cache/"
	indexAt  = "/var/lib/pve-manager/apl-info/download.proxmox.com"
	deb127   = "debian-12-standard_12.7-1_amd64.tar.zst"
	deb1212  = "debian-12-standard_12.12-1_amd64.tar.zst"
	series   = `{"name":"debian-12-standard","storage":"local"}`
	latest   = `{"name":"debian-12-standard","storage":"local","latest":true}`
	exactOne = `{"name":"` + deb127 + `","storage":"local"}`
)

func content(name string) string { return "archive of " + name }

func sum(name string) string {
	s := sha512.Sum512([]byte(content(name)))
	return hex.EncodeToString(s[:])
}

// paragraph is one template in the form of Proxmox's aplinfo.
func paragraph(file string) string {
	pkg, rest, _ := strings.Cut(file, "_")
	version, _, _ := strings.Cut(rest, "_")
	return "Package: " + pkg + "\nVersion: " + version + "\nType: lxc\nOS: debian-12\nSection: system\n" +
		"Maintainer: Proxmox Support Team <support@proxmox.com>\nArchitecture: amd64\nInstalled-Size: 488\n" +
		"Location: system/" + file + "\nsha512sum: " + sum(file) + "\nInfopage: https://pve.proxmox.com/wiki/Linux_Container#pct_container_images\n" +
		"Description: Debian 12 Bookworm (standard)\n A small Debian Bookworm system including all standard packages.\n\n"
}

func index() string {
	return paragraph("alpine-3.22-default_20250617_amd64.tar.xz") + paragraph(deb127) + paragraph(deb1212) + paragraph("debian-12-turnkey_18.1-1_amd64.tar.gz")
}

// machine has an index unless withIndex is false.
func machine(t *testing.T, files map[string]string) *taskstest.Tree {
	all := map[string]string{
		"/etc/pve/nodes/pve/lxc/": "", "/etc/pve/local": "-> nodes/pve", cache: "", "/var/lib/pve-manager/apl-info/": "",
		"/etc/pve/storage.cfg": "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n\nlvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n",
		indexAt:                index(),
	}
	for k, v := range files {
		all[k] = v
		if v == "" && !strings.HasSuffix(k, "/") {
			delete(all, k)
		}
	}
	tr := taskstest.NewTree(t, all)
	tr.Programs["pveam"] = pveam
	return tr
}

// pveam fetches as the real one does: status 0 whatever happened.
func pveam(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
	put := func(path, data string) tasks.Output {
		if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: path, Data: []byte(data)}); err != nil {
			return tasks.Output{Stderr: []byte(err.Error())}
		}
		return tasks.Output{Stdout: []byte("update successful\n")}
	}
	if c.Argv[1] == "update" {
		return put(indexAt, index())
	}
	return put(cache+c.Argv[3], content(c.Argv[3]))
}

func TestTemplate_conforms(t *testing.T) {
	for name, spec := range map[string]string{"a series": series, "the newest": latest, "an exact name": exactOne} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind: template.Kind(), Spec: spec,
				New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t, nil)} },
				Faults: []taskstest.Fault{
					{Name: "the download is cut off and reports success", Op: "pveam download", Make: func(t *testing.T, h tasks.Host) {
						for _, f := range []string{deb127, deb1212} {
							taskstest.Put(t, h, cache+f, "arch")
						}
					}},
				},
			}.Run(t)
		})
	}
}

func TestTemplate_withoutAnIndexItIsFetchedFirst(t *testing.T) {
	for _, spec := range []string{series, latest, exactOne} {
		rec := taskstest.NewRecorder(machine(t, map[string]string{indexAt: ""}))
		if res := taskstest.Run(t, template.Kind(), spec, rec); res.Status != tasks.StatusChanged {
			t.Fatalf("%s: %+v", spec, res)
		}
		if got := rec.Commands(); got[0] != "pveam update" {
			t.Errorf("%s: ran %q", spec, got)
		}
	}
}

func TestTemplate_theNewestOfASeriesIsByVersionNotByText(t *testing.T) {
	m := machine(t, nil)
	taskstest.Run(t, template.Kind(), series, m)
	if names, err := m.ReadDir(cache); err != nil || !slices.Equal(names, []string{deb1212}) {
		t.Errorf("the storage has %v, %v", names, err)
	}
}

func TestTemplate_states(t *testing.T) {
	disabled := map[string]string{"/etc/pve/storage.cfg": "dir: local\n\tdisable\n\tpath /var/lib/vz\n\tcontent vztmpl\n"}
	for _, tc := range []struct {
		name, spec string
		files      map[string]string
		status     tasks.Status
		change     tasks.Change
	}{
		{"an older one of the series is enough", series, map[string]string{cache + deb127: "x"}, tasks.StatusOK, tasks.Change{}},
		{"an older one is not the newest", latest, map[string]string{cache + deb127: "x"}, tasks.StatusWouldChange, tasks.Change{Path: "exists", From: deb127, To: deb1212}},
		{"the newest is there", latest, map[string]string{cache + deb127: "x", cache + deb1212: "x"}, tasks.StatusOK, tasks.Change{}},
		{"the start of a longer series is another one", series, map[string]string{cache + "debian-12-standard-x_1_amd64.tar.zst": "x"}, tasks.StatusWouldChange, tasks.Change{Path: "exists", To: "debian-12-standard"}},
		{"a temporary file is none", series, map[string]string{cache + deb127 + ".tmp_dwnl.1234": "x"}, tasks.StatusWouldChange, tasks.Change{Path: "exists", To: "debian-12-standard"}},
		{"the directory is missing", series, map[string]string{"/etc/pve/storage.cfg": "dir: local\n\tpath /var/lib/vz\n\tcontent vztmpl\n"}, tasks.StatusWouldChange, tasks.Change{Path: "exists", To: "debian-12-standard"}},
		{"the storage is disabled", series, disabled, tasks.StatusWouldChange, tasks.Change{Path: "exists", To: "debian-12-standard", Note: "storage local takes no templates yet: it is disabled"}},
		{"there is no such storage yet", `{"name":"debian-12-standard","storage":"tank"}`, nil, tasks.StatusWouldChange, tasks.Change{Path: "exists", To: "debian-12-standard", Note: "storage tank is not there yet"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Check(t, template.Kind(), tc.spec, machine(t, tc.files))
			if res.Status != tc.status {
				t.Fatalf("%+v", res)
			}
			if tc.change.Path != "" && (res.Changes[0].From != tc.change.From || res.Changes[0].To != tc.change.To || res.Changes[0].Note != tc.change.Note) {
				t.Errorf("change %+v, want %+v", res.Changes[0], tc.change)
			}
		})
	}
}

func TestTemplate_failuresSayWhy(t *testing.T) {
	silent := func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Stderr: []byte("download failed: wget: unable to resolve host address 'download.proxmox.com'\n")}
	}
	for _, tc := range []struct {
		name, spec string
		files      map[string]string
		pveam      taskstest.Program
		why        []string
	}{
		{"no network, status 0", series, nil, silent, []string{"reports success", "unable to resolve host"}},
		{"no network and no index", series, map[string]string{indexAt: ""}, silent, []string{"pveam update left none"}},
		{"an unknown series names its neighbours", `{"name":"debian-13-standard","storage":"local"}`, nil, pveam, []string{"does not have it", "debian-12-standard, debian-12-turnkey"}},
		{"a storage that keeps no templates", `{"name":"debian-12-standard","storage":"local-lvm"}`, nil, pveam, []string{"content does not include vztmpl"}},
		{"an unknown storage", `{"name":"debian-12-standard","storage":"tank"}`, nil, pveam, []string{"known: local, local-lvm"}},
		{"a checksum that contradicts the index", `{"name":"` + deb127 + `","storage":"local","sha512":"` + strings.Repeat("ab", 64) + `"}`, nil, pveam, []string{"abababab"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t, tc.files)
			m.Programs["pveam"] = tc.pveam
			res := taskstest.Run(t, template.Kind(), tc.spec, m)
			if res.Status != tasks.StatusFailed {
				t.Fatalf("%+v", res)
			}
			for _, part := range tc.why {
				if !strings.Contains(res.Why, part) {
					t.Errorf("why is %q, want %q in it", res.Why, part)
				}
			}
		})
	}
}

func TestTemplate_aWrongFileIsTakenAwayAgain(t *testing.T) {
	m := machine(t, nil)
	m.Programs["pveam"] = func(ctx context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		taskstest.Put(t, h, cache+c.Argv[3], "something else")
		return tasks.Output{}
	}
	res := taskstest.Run(t, template.Kind(), exactOne, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "checksum") {
		t.Errorf("%+v", res)
	}
	if _, err := m.Stat(cache + deb127); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the wrong file is still there: %v", err)
	}
}

func TestTemplate_theProgramIsAskedForTheChecksumAndBelieved(t *testing.T) {
	m := machine(t, nil)
	m.Programs["sha512sum"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte(strings.Repeat("0", 128) + "  file\n")}
	}
	if res := taskstest.Run(t, template.Kind(), exactOne, m); res.Status != tasks.StatusFailed {
		t.Errorf("%+v", res)
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	for _, tc := range []struct {
		name string
		spec template.Spec
		path string
	}{
		{"a path", template.Spec{Name: "../x", Storage: "local"}, "name"},
		{"an option", template.Spec{Name: "-x", Storage: "local"}, "name"},
		{"no storage", template.Spec{Name: "debian-12-standard"}, "storage"},
		{"half a checksum", template.Spec{Name: deb127, Storage: "local", SHA512: "abc"}, "sha512"},
		{"a checksum for a series", template.Spec{Name: "debian-12-standard", Storage: "local", SHA512: strings.Repeat("a", 128)}, "sha512"},
		{"the newest of one file", template.Spec{Name: deb127, Storage: "local", Latest: true}, "latest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}
