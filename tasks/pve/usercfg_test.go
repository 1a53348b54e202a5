package pve_test

import (
	"os"
	"slices"
	"testing"

	"phoenix/tasks/pve"
	"phoenix/tasks/taskstest"
)

func userCfg(t *testing.T) pve.UserCfg {
	t.Helper()
	data, err := os.ReadFile("testdata/user.cfg")
	if err != nil {
		t.Fatal(err)
	}
	return pve.ParseUserCfg(data)
}

func TestUserCfg_readsWhatProxmoxWrote(t *testing.T) {
	c := userCfg(t)
	if got, want := c.Accounts["alice@pve"], (pve.Account{ID: "alice@pve", Email: "a@example.org", Comment: "Ali:ce Ün"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := c.Accounts["bob@pam"]; !got.Enabled || got.Comment != "" {
		t.Errorf("%+v", got)
	}
	if got := c.Groups["ops"]; !slices.Equal(got, []string{"alice@pve", "bob@pam"}) {
		t.Errorf("members of ops %q", got)
	}
	want := []pve.Right{
		{Path: "/", Member: "@ops", Role: "PVEAuditor", Propagate: true},
		{Path: "/vms", Member: "alice@pve", Role: "Prov", Propagate: true},
		{Path: "/vms", Member: "bob@pam", Role: "Prov", Propagate: true},
		{Path: "/storage/local", Member: "alice@pve!ci", Role: "PVEDatastoreUser"},
		{Path: "/storage/local", Member: "alice@pve!ci", Role: "Prov"},
	}
	for _, w := range want {
		if got, ok := c.Right(w.Path, w.Member, w.Role); !ok || got != w {
			t.Errorf("%+v, %v; want %+v", got, ok, w)
		}
	}
	if len(c.ACL) != len(want) {
		t.Errorf("%d rights, want %d: %+v", len(c.ACL), len(want), c.ACL)
	}
	for role, want := range map[string]bool{"Prov": true, "Administrator": true, "PVEVMUser": true, "prov": false} {
		if c.KnowsRole(role) != want {
			t.Errorf("role %s is known: want %v", role, want)
		}
	}
}

func TestUserCfg_rootIsThereAndEnabledWithoutAFile(t *testing.T) {
	c, err := pve.ReadUserCfg(taskstest.NewTree(t, nil))
	if err != nil || !c.Accounts[pve.RootUser].Enabled || len(c.Accounts) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if c := pve.ParseUserCfg([]byte("user:root@pam:0:0:::::\n")); !c.Accounts[pve.RootUser].Enabled {
		t.Error("root@pam can be disabled")
	}
}

func TestUserCfg_linesThatProxmoxIgnoresMeanNothing(t *testing.T) {
	c := pve.ParseUserCfg([]byte("# user:eve@pve:1:\n\nuser\nuser:\nwhat:is:this\nacl:1:/:\nuser:short@pve:1\n"))
	if len(c.Accounts) != 2 || len(c.ACL) != 0 || !c.Accounts["short@pve"].Enabled {
		t.Errorf("%+v", c)
	}
}

func TestUserCfg_theLastLineOfARightWins(t *testing.T) {
	c := pve.ParseUserCfg([]byte("acl:0:/:ann@pam:PVEAdmin:\nacl:1:/:ann@pam:PVEAdmin:\n"))
	if want := (pve.Right{Path: "/", Member: "ann@pam", Role: "PVEAdmin", Propagate: true}); len(c.ACL) != 1 || c.ACL[0] != want {
		t.Errorf("%+v, want %+v alone", c.ACL, want)
	}
}

func TestRealms_pamAndPveAreAlwaysThere(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"no file":     {"", []string{"pam", "pve"}},
		"a directory": {"pam: pam\n\tcomment Linux PAM\n\nldap: corp\n\tserver1 x\n\tbase_dn dc=x\n\n# ldap: gone\n", []string{"corp", "pam", "pve"}},
	} {
		files := map[string]string{}
		if tc.file != "" {
			files[pve.DomainsCfgPath] = tc.file
		}
		got, err := pve.ReadRealms(taskstest.NewTree(t, files))
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tc.want)
		}
	}
}

func FuzzUserCfg(f *testing.F) {
	data, err := os.ReadFile("testdata/user.cfg")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := pve.ParseUserCfg(data)
		if !c.Accounts[pve.RootUser].Enabled {
			t.Error("root@pam is not enabled")
		}
		for _, r := range c.ACL {
			if got, ok := c.Right(r.Path, r.Member, r.Role); !ok || got != r {
				t.Errorf("%+v is in the list twice", r)
			}
		}
	})
}
