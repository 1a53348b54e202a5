package sim

import (
	"strings"
	"testing"
)

// TestPveumWritesWhatTheRealOneWrote holds the file to the form that Proxmox VE 8.4
// writes, and the answers to its words.
func TestPveumWritesWhatTheRealOneWrote(t *testing.T) {
	m := accounts(t)
	const usage = "pveum acl modify <path>"
	for _, tc := range []struct {
		argv []string
		out  string
		fail bool
	}{
		{[]string{"role", "add", "Prov", "--privs", "VM.Console VM.Audit,Datastore.Audit"}, "", false},
		{[]string{"group", "add", "ops", "--comment", "Ops: team é % x"}, "", false},
		{[]string{"user", "add", "alice@pve", "--comment", "Ali:ce Ün", "--email", "a@example.org", "--groups", "ops", "--enable", "0"}, "", false},
		{[]string{"user", "add", "bob@pam", "--groups", "ops"}, "", false},
		{[]string{"acl", "modify", "/vms", "--users", "alice@pve,bob@pam", "--roles", "Prov"}, "", false},
		{[]string{"acl", "modify", "/vms", "--users", "bob@pam", "--roles", "Prov"}, "", false},
		{[]string{"acl", "modify", "/", "--groups", "ops", "--roles", "PVEAuditor", "--propagate", "0"}, "", false},
		{[]string{"acl", "delete", "/nodes", "--users", "bob@pam", "--roles", "Prov"}, "", false},
		{[]string{"user", "add", "alice@pve"}, "create user failed: user 'alice@pve' already exists\n", true},
		{[]string{"user", "add", "carl@nosuch"}, "", false},
		{[]string{"user", "delete", "carl@nosuch"}, "", false},
		{[]string{"user", "add", "x@pve", "--groups", "nope"}, "create user failed: no such group 'nope'\n", true},
		{[]string{"user", "modify", "x@pve", "--comment", "y"}, "update user failed: no such user ('x@pve')\n", true},
		{[]string{"group", "add", "ops"}, "create group failed: group 'ops' already exists\n", true},
		{[]string{"acl", "modify", "/", "--users", "x@pve", "--roles", "Prov"}, "ACL update failed: user 'x@pve' does not exist\n", true},
		{[]string{"acl", "modify", "/nonsense", "--users", "bob@pam", "--roles", "Prov"}, "ACL update failed: path: invalid ACL path '/nonsense'\n", true},
		{[]string{"acl", "modify", "/", "--user-list", "bob@pam"}, "Unknown option: user-list\n400 unable to parse option\n" + usage, true},
	} {
		out, code := m.said(t, "", append([]string{"pveum"}, tc.argv...)...)
		if !strings.HasPrefix(out, tc.out) || tc.out == "" && out != "" || (code != 0) != tc.fail {
			t.Errorf("pveum %q: %q, status %d; want %q", tc.argv, out, code, tc.out)
		}
	}
	const want = `user:alice@pve:0:0:::a@example.org:Ali%3Ace %C3%9Cn::
user:bob@pam:1:0::::::
user:root@pam:1:0:::admin@example.org:::

group:ops:alice@pve,bob@pam:Ops%3A team %C3%A9 %25 x:


role:Prov:Datastore.Audit,VM.Audit,VM.Console:

acl:0:/:@ops:PVEAuditor:
acl:1:/vms:alice@pve,bob@pam:Prov:

`
	if got := m.text(userFile); got != want {
		t.Errorf("user.cfg is\n%s\nwant\n%s", got, want)
	}
}

func TestPveumModifyReplacesGroupsUnlessToldToAppend(t *testing.T) {
	m := accounts(t)
	for _, line := range []string{"group add a", "group add b", "user add x@pve --groups a", "user modify x@pve --groups b --append 1"} {
		if out, code := m.said(t, "", append([]string{"pveum"}, strings.Fields(line)...)...); code != 0 {
			t.Fatalf("%s: %s", line, out)
		}
	}
	if got := m.text(userFile); !strings.Contains(got, "group:a:x@pve::\ngroup:b:x@pve::\n") {
		t.Errorf("after an append\n%s", got)
	}
	m.said(t, "", "pveum", "user", "modify", "x@pve", "--groups", "b")
	if got := m.text(userFile); !strings.Contains(got, "group:a:::\ngroup:b:x@pve::\n") {
		t.Errorf("after a replacement\n%s", got)
	}
}

func TestPveumDropsWhatItDoesNotUnderstand(t *testing.T) {
	m := accounts(t)
	if err := m.write(userFile, []byte("# by hand\nuser:root@pam:1:0:::::\nacl:1:/:root@pam:Gone:\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	out, code := m.said(t, "", "pveum", "group", "add", "a")
	if code != 0 || !strings.Contains(out, "user config - ignore invalid acl role 'Gone'\n") || strings.Contains(m.text(userFile), "#") {
		t.Errorf("%s, status %d\n%s", out, code, m.text(userFile))
	}
}
