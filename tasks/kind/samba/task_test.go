package samba_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/samba"
	"phoenix/tasks/sim/simtest"
	"phoenix/tasks/taskstest"
)

const (
	mainFile = "/etc/samba/smb.conf"
	ownFile  = "/etc/samba/phoenix.conf"
	passdb   = "/var/lib/samba/private/passdb.tdb"
)

const sharesSpec = `
 "workgroup": "LAB",
 "shares": {
  "data": {"path": "/tank/data", "comment": "All of it; 100% = ours", "read_only": false, "guest_ok": false, "browseable": true, "valid_users": ["daemon", "@www-data"],
   "write_list": ["daemon"], "force_user": "www-data", "force_group": "www-data", "create_mask": "0660", "directory_mask": "770",
   "options": {"vfs objects": "acl_xattr", "veto files": "/.DS_Store/"}, "mode": "2770", "group": "www-data"},
  "Two Words$": {"path": "/tank/two words", "create": true}
 }`

const spec = `{` + sharesSpec + `, "users": {"daemon": {"password": {"secret": "smb"}}, "www-data": {"password": {"secret": "smb"}}}}`

func secrets() map[string]string { return map[string]string{"smb": "correct horse"} }

// machine is a simulated Proxmox host with Samba installed and the directory of the
// first share.
func machine(t *testing.T) tasks.Host {
	t.Helper()
	h := simtest.Host(t, "samba")
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/tank/data"}); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSamba_conforms(t *testing.T) {
	own := func(name, old, new string, paths ...string) taskstest.Drift {
		return taskstest.Drift{Name: name, Make: taskstest.Edited(ownFile, old, new), Paths: paths}
	}
	mode := os.FileMode(0o755)
	taskstest.Suite{
		Kind: samba.Kind(), Spec: spec, Secrets: secrets(),
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		Drifts: []taskstest.Drift{
			own("another workgroup", "workgroup = LAB", "workgroup = OTHER", "workgroup"),
			own("another path", "path = /tank/data", "path = /tank", "shares.data.path"),
			own("another comment", "comment = All", "comment = None", "shares.data.comment"),
			own("it is read only", "read only = no", "read only = True", "shares.data.read_only"),
			own("it is open to guests", "guest ok = no", "guest ok = yes", "shares.data.guest_ok"),
			own("it is hidden", "browseable = yes", "browseable = no", "shares.data.browseable"),
			own("another user", "valid users = daemon, @www-data", "valid users = daemon", "shares.data.valid_users"),
			own("another writer", "write list = daemon", "write list = root", "shares.data.write_list"),
			own("another owner of files", "force user = www-data", "force user = root", "shares.data.force_user"),
			own("another group of files", "force group = www-data", "force group = root", "shares.data.force_group"),
			own("another mask", "create mask = 0660", "create mask = 0666", "shares.data.create_mask"),
			own("another mask of directories", "directory mask = 770", "directory mask = 777", "shares.data.directory_mask"),
			own("another option", "vfs objects = acl_xattr", "vfs objects = recycle", "shares.data.options.vfs objects"),
			own("an option less", "\tveto files = /.DS_Store/\n", "", "shares.data.options.veto files"),
			own("an option more", "\tvfs objects", "\tpublic = yes\n\thide unreadable = yes\n\tvfs objects", "shares.data.guest_ok", "shares.data.options.hide unreadable"),
			own("a share more", "[data]", "[old]\n\tpath = /old\n[data]", "shares.old"),
			own("a share less", "\n[Two Words$]\n\tpath = /tank/two words\n", "", "shares.Two Words$"),
			{Name: "something stands behind the include", Make: taskstest.Edited(mainFile, "include = "+ownFile, "include = "+ownFile+"\n[x]\n\tpath = /x"), Paths: []string{"include"}},
			{Name: "the include is switched off", Make: taskstest.Edited(mainFile, "include = "+ownFile, "; include = "+ownFile), Paths: []string{"include"}},
			{Name: "another mode", Make: func(t *testing.T, h tasks.Host) {
				if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbAttr, Path: "/tank/data", Mode: &mode}); err != nil {
					t.Fatal(err)
				}
			}, Paths: []string{"shares.data.mode"}},
			{Name: "another password", Make: taskstest.Edited(passdb, "daemon:1:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:", "daemon:1:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:0"), Paths: []string{"users.daemon.password"}},
			{Name: "a user is switched off", Make: taskstest.Edited(passdb, "[U ", "[DU"), Paths: []string{"users.daemon"}},
			{Name: "all users are gone", Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, passdb, "") }, Paths: []string{"users.daemon", "users.www-data"}},
		},
		Faults: []taskstest.Fault{
			{Name: "smbd does not run", Op: "smbcontrol", Output: tasks.Output{Code: 1, Stderr: []byte("Can't find pid for destination 'all'\n")}},
		},
	}.Run(t)
}

func TestSamba_theFileIsWrittenAsBefore(t *testing.T) {
	h := machine(t)
	before := taskstest.Get(t, h, mainFile)
	s := taskstest.Suite{Kind: samba.Kind(), Spec: spec, Secrets: secrets()}
	if res := s.Apply(t, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	want, err := os.ReadFile("testdata/phoenix.conf")
	if err != nil {
		t.Fatal(err)
	}
	if got := taskstest.Get(t, h, ownFile); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := taskstest.Get(t, h, mainFile); got != before+"include = "+ownFile+"\n" {
		t.Errorf("smb.conf is now\n%s", got)
	}
}

func TestSamba_theIncludeMovesToTheEnd(t *testing.T) {
	h := machine(t)
	taskstest.Put(t, h, mainFile, "[global]\n\tserver role = standalone server\nInclude=/etc/samba/phoenix.conf\n[theirs]\n\tpath = /x")
	taskstest.Run(t, samba.Kind(), `{`+sharesSpec+`}`, h)
	want := "[global]\n\tserver role = standalone server\n[theirs]\n\tpath = /x\ninclude = /etc/samba/phoenix.conf\n"
	if got := taskstest.Get(t, h, mainFile); got != want {
		t.Errorf("smb.conf is now\n%s", got)
	}
}

func TestSamba_whatTestparmDoesNotTakeIsNotInstalled(t *testing.T) {
	for _, tc := range []struct{ name, option, value, said string }{
		{"an unknown parameter", "bogus", "1", `Unknown parameter encountered: "bogus"`},
		{"a parameter of the whole server", "server role", "standalone server", "Global parameter server role found in service section!"},
		{"a value that is none", "available", "maybe", "value is not boolean"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := machine(t)
			before := taskstest.Get(t, h, mainFile)
			res := taskstest.Run(t, samba.Kind(), `{"shares":{"a":{"path":"/tank/data","options":{"`+tc.option+`":"`+tc.value+`"}}}}`, h)
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "testparm does not understand them: ") || !strings.Contains(res.Why, tc.said) {
				t.Errorf("%+v", res)
			}
			if _, err := h.Stat(ownFile); err == nil || taskstest.Get(t, h, mainFile) != before {
				t.Error("something was written")
			}
		})
	}
}

func TestSamba_aShareThatOthersHaveIsRefused(t *testing.T) {
	h := machine(t)
	taskstest.Put(t, h, "/etc/samba/more.conf", "\n[DATA]\n\tpath = /elsewhere\n")
	taskstest.Edited(mainFile, "[homes]", "include = /etc/samba/more.conf\ninclude = /etc/samba/%m.conf\n[homes]")(t, h)
	res := taskstest.Check(t, samba.Kind(), `{`+sharesSpec+`}`, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "/etc/samba/more.conf:2 has a share DATA, too") {
		t.Errorf("%+v", res)
	}
}

func TestSamba_whatIsMissingIsNamed(t *testing.T) {
	bare := taskstest.NewTree(t, map[string]string{"/var/lib/dpkg/status": "", "/tank/data/": "", "/etc/group": "www-data:x:33:\n"})
	res := taskstest.Run(t, samba.Kind(), `{`+sharesSpec+`}`, bare)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "samba is not installed (add it to apt.packages)") {
		t.Errorf("%+v", res)
	}
	s := taskstest.Suite{Kind: samba.Kind(), Spec: `{"users":{"ann":{"password":{"secret":"smb"}}}}`, Secrets: secrets()}
	if res := s.Apply(t, machine(t)); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "there is no Linux user ann; add it to users") {
		t.Errorf("%+v", res)
	}
	for _, bad := range []string{"", "two\nlines"} {
		s := taskstest.Suite{Kind: samba.Kind(), Spec: `{"users":{"daemon":{"password":{"secret":"smb"}}}}`, Secrets: map[string]string{"smb": bad}}
		if res := s.Apply(t, machine(t)); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "secret smb is empty or has a line break") {
			t.Errorf("%q: %+v", bad, res)
		}
	}
}

func TestSamba_withoutUsersNothingIsAsked(t *testing.T) {
	h := machine(t)
	rec := taskstest.NewRecorder(h)
	taskstest.Check(t, samba.Kind(), `{`+sharesSpec+`}`, rec)
	s := taskstest.Suite{Kind: samba.Kind(), Spec: spec, Secrets: secrets()}
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: passdb}); err != nil {
		t.Fatal(err)
	}
	ctx := tasks.WithScope(context.Background(), tasks.Scope{Secrets: s.Secrets})
	parsed := new(samba.Spec)
	if err := tasks.UnmarshalStrict([]byte(spec), parsed); err != nil {
		t.Fatal(err)
	}
	if d, err := parsed.Task().Check(ctx, rec); err != nil || !d.Has("users.daemon") {
		t.Errorf("%v, %v", d, err)
	}
	if got := rec.Commands(); len(got) > 0 {
		t.Errorf("ran %q", got)
	}
}

func TestSamba_theNameReachesNmbd(t *testing.T) {
	h := machine(t)
	rec := taskstest.NewRecorder(h)
	taskstest.Run(t, samba.Kind(), `{"workgroup":"LAB"}`, rec)
	if got := rec.Commands(); !slices.Contains(got, "systemctl try-restart nmbd.service") {
		t.Errorf("ran %q", got)
	}
	rec = taskstest.NewRecorder(h)
	taskstest.Run(t, samba.Kind(), `{"shares":{"a":{"path":"/tank/data"}},"workgroup":"lab"}`, rec)
	if got := rec.Commands(); slices.Contains(got, "systemctl try-restart nmbd.service") {
		t.Errorf("ran %q", got)
	}
}

func TestValidate_namesEveryFault(t *testing.T) {
	share := func(more string) string { return `{"shares":{"a":{"path":"/srv/a",` + more + `}}}` }
	for _, tc := range []struct{ name, spec, path string }{
		{"a long workgroup", `{"workgroup":"SIXTEENLETTERSXX"}`, "workgroup"},
		{"a workgroup with a line break", `{"workgroup":"A\n"}`, "workgroup"},
		{"a share with a bracket", `{"shares":{"a]":{"path":"/srv"}}}`, "shares.a]"},
		{"a section of Samba's", `{"shares":{"Global":{"path":"/srv"}}}`, "shares.Global"},
		{"two shares that are one", `{"shares":{"A":{"path":"/srv"},"a":{"path":"/srv"}}}`, "shares.a"},
		{"a relative path", `{"shares":{"a":{"path":"srv"}}}`, "shares.a.path"},
		{"a path with a variable", `{"shares":{"a":{"path":"/srv/%U"}}}`, "shares.a.path"},
		{"a comment with a line break", share(`"comment":"a\n[b]"`), "shares.a.comment"},
		{"a comment that swallows the next line", share(`"comment":"a\\"`), "shares.a.comment"},
		{"a comment in quotes", share(`"comment":"\"a\""`), "shares.a.comment"},
		{"a user that joins the next line", share(`"valid_users":["LAB\\\\"]`), "shares.a.valid_users.0"},
		{"an owner that joins the next line", share(`"force_user":"LAB\\\\"`), "shares.a.force_user"},
		{"a user with a comma", share(`"valid_users":["ann,bob"]`), "shares.a.valid_users.0"},
		{"a writer with a blank", share(`"write_list":["ann","b c"]`), "shares.a.write_list.1"},
		{"an owner with a line break", share(`"force_user":"a\nb"`), "shares.a.force_user"},
		{"a mask that is none", share(`"create_mask":"rw"`), "shares.a.create_mask"},
		{"a mode that is none", share(`"mode":"rw"`), "shares.a.mode"},
		{"an option with a key", share(`"options":{"Writable":"yes"}`), "shares.a.options.Writable"},
		{"an option that reads another file", share(`"options":{"include":"/etc/x"}`), "shares.a.options.include"},
		{"an option with an equals sign", share(`"options":{"a = b":"yes"}`), "shares.a.options.a = b"},
		{"an option with a line break", share(`"options":{"veto files":"a\nb"}`), "shares.a.options.veto files"},
		{"an empty option", share(`"options":{"veto files":""}`), "shares.a.options.veto files"},
		{"a user that is none", `{"users":{"a b":{"password":{"secret":"x"}}}}`, "users.a b"},
		{"a user without a password", `{"users":{"ann":{}}}`, "users.ann.password"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := new(samba.Spec)
			if err := tasks.UnmarshalStrict([]byte(tc.spec), s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %q", p, tc.path)
			}
		})
	}
	s := new(samba.Spec)
	if err := tasks.UnmarshalStrict([]byte(spec), s); err != nil || len(s.Validate()) > 0 {
		t.Errorf("%v, %v", err, s.Validate())
	}
}
