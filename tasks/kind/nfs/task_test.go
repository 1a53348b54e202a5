package nfs_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/nfs"
	"phoenix/tasks/sim/simtest"
	"phoenix/tasks/taskstest"
)

const (
	ownFile = "/etc/exports.d/phoenix.exports"
	etab    = "/var/lib/nfs/etab"
)

const spec = `{"exports": {
 "/tank/data": {"clients": {"10.0.0.0/24": ["rw"], "10.0.1.5": ["ro", "async", "no_root_squash", "anonuid=1000", "sec=krb5:sys"], "fd00::/64": ["rw", "mp", "fsid=root"]}, "mode": "2770", "owner": "www-data", "group": "www-data"},
 "/tank/two words": {"clients": {"*.lan": [], "@hosts": ["rw", "subtree_check", "crossmnt"]}, "create": true}
}}`

// machine is a simulated Proxmox host with the server installed, the directory of the
// first export, and an export of somebody else.
func machine(t *testing.T) tasks.Host {
	t.Helper()
	h := simtest.Host(t, "nfs-kernel-server")
	for _, dir := range []string{"/tank/data", "/srv/theirs"} {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: dir}); err != nil {
			t.Fatal(err)
		}
	}
	taskstest.Put(t, h, "/etc/exports", "# theirs\n/srv/theirs *(ro,no_subtree_check)\n/srv/nosuch *(ro,no_subtree_check)\n")
	return h
}

func attr(path string, e tasks.Edit) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		e.Path = path
		if err := h.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNFS_conforms(t *testing.T) {
	mode := os.FileMode(0o755)
	taskstest.Suite{
		Kind: nfs.Kind(), Spec: spec,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		Drifts: []taskstest.Drift{
			{Name: "a flag in the file", Make: taskstest.Edited(ownFile, "10.0.0.0/24(rw", "10.0.0.0/24(ro"), Paths: []string{"exports./tank/data.clients.10.0.0.0/24"}},
			{Name: "a client less", Make: taskstest.Edited(ownFile, " @hosts(rw,crossmnt,subtree_check)", ""), Paths: []string{"exports./tank/two words.clients.@hosts"}},
			{Name: "a client more", Make: taskstest.Edited(ownFile, " 10.0.1.5(", " 10.9.9.9(ro) 10.0.1.5("), Paths: []string{"exports./tank/data.clients.10.9.9.9"}},
			{Name: "an export more", Make: taskstest.Edited(ownFile, "/tank/data", "/old *(ro)\n/tank/data"), Paths: []string{"exports./old.clients.*"}},
			{Name: "a blank opened it to the world", Make: taskstest.Edited(ownFile, "10.0.0.0/24(rw", "10.0.0.0/24 (rw"), Paths: []string{"exports./tank/data.clients.10.0.0.0/24", "exports./tank/data.clients.*"}},
			{Name: "it was exported with other flags", Make: taskstest.Edited(etab, "10.0.1.5(ro,async,wdelay,hide,nocrossmnt,secure,no_root_squash", "10.0.1.5(ro,async,wdelay,hide,nocrossmnt,secure,root_squash"), Paths: []string{"exports./tank/data.clients.10.0.1.5"}},
			{Name: "another flavour of security", Make: taskstest.Edited(etab, "sec=krb5:sys,", "sec=sys,"), Paths: []string{"exports./tank/data.clients.10.0.1.5"}},
			{Name: "nothing is exported", Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, etab, "") }, Paths: []string{
				"exports./tank/data.clients.10.0.0.0/24", "exports./tank/data.clients.10.0.1.5", "exports./tank/data.clients.fd00::/64",
				"exports./tank/two words.clients.*.lan", "exports./tank/two words.clients.@hosts",
			}},
			{Name: "another mode", Make: attr("/tank/data", tasks.Edit{Verb: tasks.VerbAttr, Mode: &mode}), Paths: []string{"exports./tank/data.mode"}},
			{Name: "another owner", Make: attr("/tank/data", tasks.Edit{Verb: tasks.VerbAttr, Owner: &tasks.Owner{UID: 1, GID: 33}}), Paths: []string{"exports./tank/data.owner"}},
			{Name: "another group", Make: attr("/tank/data", tasks.Edit{Verb: tasks.VerbAttr, Owner: &tasks.Owner{UID: 33, GID: 1}}), Paths: []string{"exports./tank/data.group"}},
			{Name: "the directory is gone", Make: attr("/tank/two words", tasks.Edit{Verb: tasks.VerbRemove}), Paths: []string{"exports./tank/two words.directory"}},
		},
		Faults: []taskstest.Fault{
			{Name: "it warns and exports nothing", Op: "exportfs -ra", Output: tasks.Output{Stderr: []byte("exportfs: Failed to resolve x\n")}},
			{Name: "the mistake of somebody else", Op: "exportfs -ra", Do: true, Output: tasks.Output{Code: 1, Stderr: []byte("exportfs: /etc/exports:2: unknown keyword \"bogus\"\n")}},
		},
	}.Run(t)
}

func TestNFS_theFileIsWrittenAsBefore(t *testing.T) {
	h := machine(t)
	if res := taskstest.Run(t, nfs.Kind(), spec, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	want, err := os.ReadFile("testdata/phoenix.exports")
	if err != nil {
		t.Fatal(err)
	}
	if got := taskstest.Get(t, h, ownFile); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := taskstest.Get(t, h, etab); !strings.Contains(got, "/srv/theirs\t*(ro,") {
		t.Errorf("the exports of others are gone:\n%s", got)
	}
}

func TestNFS_readsTheTableOfTheRealExportfs(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	for file, to := range map[string]string{"testdata/phoenix.exports": ownFile, "testdata/etab": etab} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		taskstest.Put(t, mkdir(t, h, to), to, string(data))
	}
	res := taskstest.Check(t, nfs.Kind(), strings.Replace(spec, `, "mode": "2770", "owner": "www-data", "group": "www-data"`, `, "create": true`, 1), h)
	for _, c := range res.Changes {
		if strings.Contains(c.Path, ".clients.") {
			t.Errorf("%+v", c)
		}
	}
}

func mkdir(t *testing.T, h tasks.Host, file string) tasks.Host {
	t.Helper()
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: file[:strings.LastIndex(file, "/")]}); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNFS_theSameExportElsewhereIsRefused(t *testing.T) {
	for _, tc := range []struct{ name, file, text, at string }{
		{"in the file of all", "/etc/exports", "\n/tank/data 10.0.0.0/255.255.255.0(rw)\n", "/etc/exports:2"},
		{"in a drop-in", "/etc/exports.d/a.exports", "/tank/data \\\n 10.0.1.5(rw)\n", "/etc/exports.d/a.exports:1"},
		{"with a quoted path", "/etc/exports", "\"/tank/two words\" *.LAN(ro)\n", "/etc/exports:1"},
		{"with an octal blank", "/etc/exports", "/tank/two\\040words -ro *.lan\n", "/etc/exports:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t)
			taskstest.Put(t, h, tc.file, tc.text)
			res := taskstest.Check(t, nfs.Kind(), spec, h)
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.at+" exports ") {
				t.Errorf("%+v", res)
			}
		})
	}
	h := machine(t)
	taskstest.Put(t, h, "/etc/exports", "# /tank/data 10.0.0.0/24(rw)\n/tank/data 10.0.9.0/24(rw)\n/tank/database 10.0.0.0/24(ro)\n")
	taskstest.Put(t, h, "/etc/exports.d/old", "/tank/data 10.0.0.0/24(rw)\n")
	if res := taskstest.Check(t, nfs.Kind(), spec, h); res.Status != tasks.StatusWouldChange {
		t.Errorf("others' exports to others: %+v", res)
	}
}

func TestNFS_whatIsMissingIsNamed(t *testing.T) {
	bare := taskstest.NewTree(t, map[string]string{"/var/lib/dpkg/status": "Package: nfs-common\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"})
	if res := taskstest.Run(t, nfs.Kind(), spec, bare); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "nfs-kernel-server is not installed (add it to apt.packages)") {
		t.Errorf("%+v", res)
	}
	h := machine(t)
	missing := `{"exports": {"/tank/nosuch": {"clients": {"*": ["ro"]}}}}`
	if res := taskstest.Check(t, nfs.Kind(), missing, h); res.Status != tasks.StatusWouldChange || !res.Changes.Has("exports./tank/nosuch.directory") {
		t.Errorf("%+v", res)
	}
	if res := taskstest.Run(t, nfs.Kind(), missing, h); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "share /tank/nosuch: the directory does not exist") {
		t.Errorf("%+v", res)
	}
}

func TestValidate_namesEveryFault(t *testing.T) {
	export := func(path, client, flag string) string {
		return `{"exports":{"` + path + `":{"clients":{"` + client + `":["` + flag + `"]}}}}`
	}
	for _, tc := range []struct{ name, spec, path string }{
		{"a relative path", export("srv", "*", "rw"), "exports.srv"},
		{"a path with a line break", export(`/srv\n/etc *(rw)`, "*", "rw"), "exports./srv\n/etc *(rw)"},
		{"the root", export("/", "*", "rw"), "exports./"},
		{"no clients", `{"exports":{"/srv":{"clients":{}}}}`, "exports./srv.clients"},
		{"a mode that is none", `{"exports":{"/srv":{"clients":{"*":[]},"mode":"rwx"}}}`, "exports./srv.mode"},
		{"a network with host bits", export("/srv", "10.0.0.5/24", "rw"), "exports./srv.clients.10.0.0.5/24"},
		{"the name of a host", export("/srv", "nas", "rw"), "exports./srv.clients.nas"},
		{"a client with a blank", export("/srv", "10.0.0.1 ", "rw"), "exports./srv.clients.10.0.0.1 "},
		{"a client with flags in it", export("/srv", "*(rw)", "rw"), "exports./srv.clients.*(rw)"},
		{"one client twice", `{"exports":{"/srv":{"clients":{"FD00::/64":[],"fd00::/64":[]}}}}`, "exports./srv.clients.fd00::/64"},
		{"a flag that is none", export("/srv", "*", "bogus"), "exports./srv.clients.*.0"},
		{"a flag that closes the list", export("/srv", "*", "rw) *(rw"), "exports./srv.clients.*.0"},
		{"a flag with a wrong value", export("/srv", "*", "anonuid=me"), "exports./srv.clients.*.0"},
		{"a flag without its value", export("/srv", "*", "fsid"), "exports./srv.clients.*.0"},
		{"an empty flag", export("/srv", "*", ""), "exports./srv.clients.*.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := new(nfs.Spec)
			if err := tasks.UnmarshalStrict([]byte(tc.spec), s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %q", p, tc.path)
			}
		})
	}
	s := new(nfs.Spec)
	if err := tasks.UnmarshalStrict([]byte(spec), s); err != nil || len(s.Validate()) > 0 {
		t.Errorf("%v, %v", err, s.Validate())
	}
}

func TestNFS_whatIsOnlyWrittenIsTold(t *testing.T) {
	h := machine(t)
	taskstest.Run(t, nfs.Kind(), spec, h)
	taskstest.Put(t, h, etab, "")
	if res := taskstest.Check(t, nfs.Kind(), spec, h); len(res.Changes) != 5 || res.Changes[0].From != "written and not exported" {
		t.Errorf("%+v", res.Changes)
	}
}

func TestNFS_onlyTheDirectoryDiffers_nothingIsExportedAnew(t *testing.T) {
	h := machine(t)
	taskstest.Run(t, nfs.Kind(), spec, h)
	mode := os.FileMode(0o700)
	attr("/tank/data", tasks.Edit{Verb: tasks.VerbAttr, Mode: &mode})(t, h)
	rec := taskstest.NewRecorder(h)
	taskstest.Run(t, nfs.Kind(), spec, rec)
	if got := rec.Commands(); slices.Contains(got, "exportfs -ra") {
		t.Errorf("ran %q", got)
	}
}
