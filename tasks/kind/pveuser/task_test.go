package pveuser_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/pve"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const spec = `{"name":"ann","realm":"pam","enabled":true,"comment":"Ann: 100% Än","email":"ann@example.org","groups":["ops","admins"],
	"acl":[{"path":"/","role":"PVEAuditor"},{"path":"/vms","role":"PVEVMAdmin","propagate":false},{"path":"/vms","role":"Prov"}]}`

// machine has a role and a group of its own, and others' rights.
func machine(t *testing.T) tasks.Host {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	pveum(t, h, "role", "add", "Prov", "--privs", "VM.Audit VM.Console")
	pveum(t, h, "group", "add", "ops", "--comment", "Ops: team é")
	pveum(t, h, "user", "add", "bob@pve", "--groups", "ops")
	pveum(t, h, "acl", "modify", "/vms", "--users", "bob@pve", "--roles", "Prov")
	return h
}

func pveum(t *testing.T, h tasks.Host, argv ...string) {
	t.Helper()
	if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: append([]string{"pveum"}, argv...)}); err != nil {
		t.Fatal(err)
	}
}

func TestPVEUser_conforms(t *testing.T) {
	run := func(argv ...string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) { pveum(t, h, argv...) }
	}
	taskstest.Suite{
		Kind: pveuser.Kind(), Spec: spec,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		Drifts: []taskstest.Drift{
			{Name: "disabled", Make: run("user", "modify", "ann@pam", "--enable", "0"), Paths: []string{"enabled"}},
			{Name: "another comment", Make: run("user", "modify", "ann@pam", "--comment", "Eve"), Paths: []string{"comment"}},
			{Name: "another address", Make: run("user", "modify", "ann@pam", "--email", "eve@example.org"), Paths: []string{"email"}},
			{Name: "taken out of a group", Make: run("user", "modify", "ann@pam", "--groups", "admins"), Paths: []string{"groups.ops"}},
			{Name: "a right was taken", Make: run("acl", "delete", "/", "--users", "ann@pam", "--roles", "PVEAuditor"), Paths: []string{"acl./.PVEAuditor"}},
			{Name: "a right reaches further", Make: run("acl", "modify", "/vms", "--users", "ann@pam", "--roles", "PVEVMAdmin"), Paths: []string{"acl./vms.PVEVMAdmin"}},
			{Name: "a right reaches less far", Make: run("acl", "modify", "/vms", "--users", "ann@pam", "--roles", "Prov", "--propagate", "0"), Paths: []string{"acl./vms.Prov"}},
			{Name: "everything is gone", Make: run("user", "delete", "ann@pam"), Paths: []string{
				"exists", "enabled", "comment", "email", "groups.ops", "groups.admins", "acl./.PVEAuditor", "acl./vms.PVEVMAdmin", "acl./vms.Prov",
			}},
		},
		Faults: []taskstest.Fault{
			{
				Name: "the lock of user.cfg is held for the first ten seconds", Op: "pveum user add",
				Output: tasks.Output{Code: 17, Stderr: []byte("create user failed: cfs-lock 'file-user_cfg' error: got lock request timeout\n")},
			},
			{
				Name: "somebody removes the group in between", Op: "pveum user add",
				Make:   func(t *testing.T, h tasks.Host) { pveum(t, h, "user", "add", "carl@pve") },
				Output: tasks.Output{Code: 255, Stderr: []byte("create user failed: no such group 'admins'\n")},
			},
		},
	}.Run(t)
}

func TestPVEUser_oneCallForTheUserAndOneForEachRight(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t))
	if res := taskstest.Run(t, pveuser.Kind(), spec, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	want := []string{
		"pveum group add admins",
		"pveum user add ann@pam --enable 1 --comment Ann: 100% Än --email ann@example.org --groups ops,admins",
		"pveum acl modify / --users ann@pam --roles PVEAuditor --propagate 1",
		"pveum acl modify /vms --users ann@pam --roles PVEVMAdmin --propagate 0",
		"pveum acl modify /vms --users ann@pam --roles Prov --propagate 1",
	}
	if got := rec.Commands(); !slices.Equal(got, want) {
		t.Errorf("ran %q\nwant %q", got, want)
	}
}

func TestPVEUser_whatOthersHaveStays(t *testing.T) {
	h := machine(t)
	pveum(t, h, "user", "add", "ann@pam", "--groups", "ops", "--email", "old@example.org")
	pveum(t, h, "acl", "modify", "/storage/local", "--users", "ann@pam", "--roles", "PVEDatastoreUser")
	taskstest.Run(t, pveuser.Kind(), `{"name":"ann","groups":["more"],"acl":[{"path":"/vms","role":"Prov"}]}`, h)
	cfg, err := pve.ReadUserCfg(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []pve.Right{
		{Path: "/vms", Member: "bob@pve", Role: "Prov", Propagate: true},
		{Path: "/vms", Member: "ann@pam", Role: "Prov", Propagate: true},
		{Path: "/storage/local", Member: "ann@pam", Role: "PVEDatastoreUser", Propagate: true},
	} {
		if got, ok := cfg.Right(r.Path, r.Member, r.Role); !ok || got != r {
			t.Errorf("%+v, want %+v", got, r)
		}
	}
	if !slices.Equal(cfg.Groups["ops"], []string{"ann@pam", "bob@pve"}) || !slices.Equal(cfg.Groups["more"], []string{"ann@pam"}) {
		t.Errorf("groups %v", cfg.Groups)
	}
	if got := cfg.Accounts["ann@pam"].Email; got != "old@example.org" {
		t.Errorf("the address that is not managed is %q", got)
	}
}

func TestPVEUser_states(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		status     tasks.Status
		why        string
	}{
		{"root is always there and enabled", `{"name":"root","enabled":true}`, tasks.StatusOK, ""},
		{"a realm that is not set up", `{"name":"ann","realm":"corp"}`, tasks.StatusFailed, "there is no realm corp (there are pam, pve"},
		{"a role that nobody made", `{"name":"ann","acl":[{"path":"/","role":"Provv"}]}`, tasks.StatusFailed, "there is no role Provv"},
		{"a user that is as wanted", `{"name":"bob","realm":"pve","groups":["ops"],"acl":[{"path":"/vms","role":"Prov"}]}`, tasks.StatusOK, ""},
		{"nothing wanted but that there is one", `{"name":"ann"}`, tasks.StatusWouldChange, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Check(t, pveuser.Kind(), tc.spec, machine(t))
			if res.Status != tc.status || !strings.Contains(res.Why, tc.why) {
				t.Errorf("status %s, why %q; want %s, %q", res.Status, res.Why, tc.status, tc.why)
			}
		})
	}
}

func TestPVEUser_withoutTheClusterFileSystemNothingIsSaid(t *testing.T) {
	res := taskstest.Check(t, pveuser.Kind(), spec, taskstest.NewTree(t, map[string]string{"/etc/pve/": ""}))
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "not mounted") {
		t.Errorf("%+v", res)
	}
}

func TestPVEUser_withoutQuorumNothingIsTried(t *testing.T) {
	taskstest.Suite{Kind: pveuser.Kind(), Spec: spec}.WithoutQuorum(t, machine(t))
}

func TestValidate_namesTheFault(t *testing.T) {
	no := false
	for _, tc := range []struct {
		name string
		spec pveuser.Spec
		path string
	}{
		{"no name", pveuser.Spec{}, "name"},
		{"a name with its realm", pveuser.Spec{Name: "ann@pam"}, "name"},
		{"an option", pveuser.Spec{Name: "--ann"}, "name"},
		{"a name with a line break", pveuser.Spec{Name: "ann\nacl"}, "name"},
		{"a realm that is none", pveuser.Spec{Name: "ann", Realm: "p m"}, "realm"},
		{"root disabled", pveuser.Spec{Name: "root", Enabled: &no}, "enabled"},
		{"rights for root", pveuser.Spec{Name: "root", ACL: []pveuser.Right{{Path: "/", Role: "Administrator"}}}, "acl"},
		{"a comment with a line break", pveuser.Spec{Name: "ann", Comment: "a\nuser:eve@pam"}, "comment"},
		{"a comment that Proxmox would trim", pveuser.Spec{Name: "ann", Comment: "a "}, "comment"},
		{"an address with a colon", pveuser.Spec{Name: "ann", Email: "a:b@example.org"}, "email"},
		{"a group that is none", pveuser.Spec{Name: "ann", Groups: []string{"a b"}}, "groups.0"},
		{"a group twice", pveuser.Spec{Name: "ann", Groups: []string{"a", "a"}}, "groups.1"},
		{"a path that is none", pveuser.Spec{Name: "ann", ACL: []pveuser.Right{{Path: "/nonsense", Role: "PVEAdmin"}}}, "acl.0.path"},
		{"a path without a slash", pveuser.Spec{Name: "ann", ACL: []pveuser.Right{{Path: "vms", Role: "PVEAdmin"}}}, "acl.0.path"},
		{"a role that is none", pveuser.Spec{Name: "ann", ACL: []pveuser.Right{{Path: "/", Role: "a,b"}}}, "acl.0.role"},
		{"a right twice", pveuser.Spec{Name: "ann", ACL: []pveuser.Right{{Path: "/", Role: "PVEAdmin"}, {Path: "/", Role: "PVEAdmin", Propagate: &no}}}, "acl.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestValidate_takesTheFormsOfProxmoxsOwnPaths(t *testing.T) {
	for _, p := range []string{"/", "/access", "/access/groups/ops", "/access/realm/pam", "/nodes/pve", "/pool/a/b/c", "/sdn/zones/z", "/storage/local-lvm", "/vms", "/vms/900", "/mapping/pci/gpu"} {
		s := pveuser.Spec{Name: "ann", ACL: []pveuser.Right{{Path: p, Role: "PVEAdmin"}}}
		if problems := s.Validate(); len(problems) > 0 {
			t.Errorf("%s: %v", p, problems)
		}
	}
}
