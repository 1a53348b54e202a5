package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/taskstest"
)

func machine(t *testing.T, files map[string]string) *taskstest.Tree {
	all := map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n",
		"/etc/group":  "root:x:0:\nwww-data:x:33:\n",
	}
	for k, v := range files {
		all[k] = v
	}
	return taskstest.NewTree(t, all)
}

func put(path, content string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, path, content) }
}

func attr(path string, mode fs.FileMode) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbAttr, Path: path, Mode: &mode}); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(path string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: path}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFile_conforms(t *testing.T) {
	taskstest.Suite{
		Kind: file.Kind(),
		Spec: `{"path":"/etc/motd","content":"Welcome.\n","mode":"0640","owner":"root","group":"0"}`,
		New:  func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t, nil)} },
		Drifts: []taskstest.Drift{
			{Name: "a line was added", Make: put("/etc/motd", "Welcome.\nBye.\n"), Paths: []string{"content"}},
			{Name: "everybody may read it", Make: attr("/etc/motd", 0o644), Paths: []string{"mode"}},
			{Name: "it was emptied", Make: put("/etc/motd", ""), Paths: []string{"content"}},
		},
	}.Run(t)
}

func TestFile_directoryConforms(t *testing.T) {
	taskstest.Suite{
		Kind: file.Kind(),
		Spec: `{"path":"/srv/a/b","state":"directory","mode":"2750"}`,
		New:  func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t, nil)} },
		Drifts: []taskstest.Drift{
			{Name: "the set-group-ID bit is gone", Make: attr("/srv/a/b", 0o750), Paths: []string{"mode"}},
			{Name: "it was removed", Make: remove("/srv/a/b"), Paths: []string{"state", "mode"}},
		},
	}.Run(t)
}

func TestFile_absentConforms(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a file": {"/etc/old": "x"}, "an empty directory": {"/etc/old/": ""}, "a link": {"/etc/old": "-> passwd"},
	} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{
				Kind:   file.Kind(),
				Spec:   `{"path":"/etc/old","state":"absent"}`,
				New:    func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t, files)} },
				Drifts: []taskstest.Drift{{Name: "it came back", Make: put("/etc/old", "y"), Paths: []string{"state"}}},
			}.Run(t)
		})
	}
}

func TestFile_secretConforms(t *testing.T) {
	taskstest.Suite{
		Kind:    file.Kind(),
		Spec:    `{"path":"/etc/token","content":{"secret":"hf_token"}}`,
		Secrets: map[string]string{"hf_token": "hf_abcdefgh12345678"},
		New: func(t *testing.T) taskstest.Machine {
			return taskstest.Machine{Host: machine(t, map[string]string{"/etc/token": "hf_old\n"})}
		},
	}.Run(t)
}

func TestFile_aNewSecretIsForItsOwnerOnly(t *testing.T) {
	m := machine(t, nil)
	s := taskstest.Suite{
		Kind: file.Kind(), Spec: `{"path":"/etc/token","content":{"secret":"hf_token"}}`, Secrets: map[string]string{"hf_token": "hf_x"},
		New: func(*testing.T) taskstest.Machine { return taskstest.Machine{Host: m} },
	}
	s.Apply(t, m)
	if fi, err := m.Stat("/etc/token"); err != nil || fi.Mode != 0o600 {
		t.Errorf("mode %v, %v; want 0600", fi.Mode, err)
	}
}

func TestFile_whatOthersMayNotReadShowsNoDiff(t *testing.T) {
	m := machine(t, map[string]string{"/etc/app.conf": "password = hunter2\n"})
	attr("/etc/app.conf", 0o640)(t, m)
	res := taskstest.Check(t, file.Kind(), `{"path":"/etc/app.conf","content":"password = other\n"}`, m)
	if len(res.Changes) != 1 || res.Changes[0].Note != "" {
		t.Errorf("%+v", res)
	}
	attr("/etc/app.conf", 0o644)(t, m)
	res = taskstest.Check(t, file.Kind(), `{"path":"/etc/app.conf","content":"password = other\n"}`, m)
	if want := "@@ -1 +1 @@\n-password = hunter2\n+password = other"; res.Changes[0].Note != want {
		t.Errorf("the diff of a public file is\n%s\nwant\n%s", res.Changes[0].Note, want)
	}
}

func TestFile_aLinkStaysAndItsTargetIsManaged(t *testing.T) {
	m := machine(t, map[string]string{"/etc/real/motd": "old\n", "/etc/motd": "-> real/motd"})
	if res := taskstest.Run(t, file.Kind(), `{"path":"/etc/motd","content":"new\n","mode":"0600"}`, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := taskstest.Get(t, m, "/etc/real/motd"); got != "new\n" {
		t.Errorf("the target has %q", got)
	}
	if fi, err := m.Stat("/etc/motd"); err != nil || fi.Target != "real/motd" {
		t.Errorf("the link is %+v, %v", fi, err)
	}
}

func TestFile_withoutContentAnExistingFileKeepsIts(t *testing.T) {
	m := machine(t, map[string]string{"/etc/motd": "mine\n"})
	taskstest.Run(t, file.Kind(), `{"path":"/etc/motd","mode":"0600"}`, m)
	if got := taskstest.Get(t, m, "/etc/motd"); got != "mine\n" {
		t.Errorf("content is %q", got)
	}
}

func TestFile_failuresSayWhy(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		files      map[string]string
		why        string
	}{
		{"a directory in the place of a file", `{"path":"/etc/x"}`, map[string]string{"/etc/x/": ""}, "it is a directory, not a file"},
		{"a file in the place of a directory", `{"path":"/etc/x","state":"directory"}`, map[string]string{"/etc/x": ""}, "it is a file, not a directory"},
		{"a directory that is not empty", `{"path":"/etc/x","state":"absent"}`, map[string]string{"/etc/x/y": ""}, "holds 1 entries"},
		{"a directory that is missing", `{"path":"/nowhere/x","content":"a"}`, nil, "make its directory"},
		{"an unknown owner", `{"path":"/etc/x","owner":"nobody-here"}`, nil, "find nobody-here in /etc/passwd"},
		{"an unknown group", `{"path":"/etc/x","group":"nobody-here"}`, nil, "find nobody-here in /etc/group"},
		{"links in a circle", `{"path":"/etc/x"}`, map[string]string{"/etc/x": "-> y", "/etc/y": "-> x"}, "circle"},
		{"a secret that did not travel", `{"path":"/etc/x","content":{"secret":"s"}}`, nil, `find secret "s"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t, tc.files)
			res := taskstest.Run(t, file.Kind(), tc.spec, m)
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("status %s, why %q; want %q", res.Status, res.Why, tc.why)
			}
		})
	}
}

func TestFile_inTheClustersFileSystem(t *testing.T) {
	here := map[string]string{
		"/etc/pve/nodes/pve/": "", "/etc/pve/local": "-> nodes/pve", "/etc/pve/old": "x", "/root/link": "-> ../etc/pve/new",
	}
	for name, spec := range map[string]string{
		"a file":                `{"path":"/etc/pve/datacenter.cfg","content":"keyboard: de\n"}`,
		"a file behind a link":  `{"path":"/root/link","content":"x"}`,
		"a directory":           `{"path":"/etc/pve/dir","state":"directory"}`,
		"a file that has to go": `{"path":"/etc/pve/old","state":"absent"}`,
	} {
		t.Run(name, func(t *testing.T) {
			taskstest.Suite{Kind: file.Kind(), Spec: spec}.WithoutQuorum(t, machine(t, here))
			if res := taskstest.Run(t, file.Kind(), spec, machine(t, here)); res.Status != tasks.StatusChanged {
				t.Errorf("with a quorum: %+v", res)
			}
			unmounted := machine(t, map[string]string{"/etc/pve/": "", "/root/link": "-> ../etc/pve/new"})
			if res := taskstest.Check(t, file.Kind(), spec, unmounted); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "not mounted") {
				t.Errorf("not mounted: %+v", res)
			}
		})
	}
	link := `{"path":"/root/gone","state":"absent"}`
	if res := taskstest.Run(t, file.Kind(), link, machine(t, map[string]string{"/etc/pve/": "", "/root/gone": "-> ../etc/pve/old"})); res.Status != tasks.StatusChanged {
		t.Errorf("a link that has to go is not in the cluster's file system: %+v", res)
	}
}

func TestFile_ownersAreSetByName(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: only root can give files away, so the attempt must fail")
		if res := taskstest.Run(t, file.Kind(), `{"path":"/etc/x","owner":"www-data"}`, machine(t, nil)); res.Status != tasks.StatusFailed {
			t.Errorf("%+v", res)
		}
		return
	}
	m := machine(t, nil)
	if res := taskstest.Run(t, file.Kind(), `{"path":"/etc/x","owner":"www-data","group":"33"}`, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if fi, err := m.Stat("/etc/x"); err != nil || fi.UID != 33 || fi.GID != 33 {
		t.Errorf("%+v, %v", fi, err)
	}
	res := taskstest.Check(t, file.Kind(), `{"path":"/etc/x","owner":"root"}`, m)
	if len(res.Changes) != 1 || res.Changes[0].From != "www-data" {
		t.Errorf("a change back shows %+v", res.Changes)
	}
}

func TestFile_aPipeIsNotRead(t *testing.T) {
	m := machine(t, nil)
	if err := mkfifo(filepath.Join(m.Root, "etc/pipe")); err != nil {
		t.Fatal(err)
	}
	res := taskstest.Check(t, file.Kind(), `{"path":"/etc/pipe","content":"x"}`, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "special file") {
		t.Errorf("%+v", res)
	}
	if _, err := m.Stat("/etc/pipe"); errors.Is(err, fs.ErrNotExist) {
		t.Error("the pipe is gone")
	}
}
