package account_test

import (
	"strings"
	"testing"

	"phoenix/tasks/account"
	"phoenix/tasks/taskstest"
)

// As adduser and useradd of Debian 12 leave them.
const (
	passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann Example,,,:/home/ann:/bin/bash\nann:x:1:1::/:/bin/false\nshort:x:1\nodd:x:a:1::/:/bin/sh\n"
	group  = "root:x:0:\nsudo:x:27:bob,ann\nann:x:1000:\nempty:x:1001:\nodd:x:a:\nshort:x\n"
	shadow = "root:*:19700:0:99999:7:::\nann:!$6$salt$hash:19700:0:99999:7:::\n"
)

func files(t *testing.T) *taskstest.Tree {
	return taskstest.NewTree(t, map[string]string{account.PasswdPath: passwd, account.GroupPath: group, account.ShadowPath: shadow})
}

func TestTheFirstLineOfANameIsTheUser(t *testing.T) {
	u, ok, err := account.FindUser(files(t), "ann")
	want := account.User{Name: "ann", UID: 1000, GID: 1000, Comment: "Ann Example,,,", Home: "/home/ann", Shell: "/bin/bash"}
	if err != nil || !ok || u != want {
		t.Errorf("%+v, %v, %v; want %+v", u, ok, err, want)
	}
}

func TestMembershipIsByNameOrByPrimaryGroup(t *testing.T) {
	h := files(t)
	ann, _, _ := account.FindUser(h, "ann")
	for name, want := range map[string]bool{"sudo": true, "ann": true, "empty": false, "root": false} {
		g, ok, err := account.FindGroup(h, name)
		if err != nil || !ok || g.Has(ann) != want {
			t.Errorf("group %s: %+v, %v, %v; want member %v", name, g, ok, err, want)
		}
	}
}

func TestWhatIsMissingIsNoError(t *testing.T) {
	h := files(t)
	_, user, err1 := account.FindUser(h, "eve")
	_, grp, err2 := account.FindGroup(h, "eve")
	pw, err3 := account.Password(h, "eve")
	if user || grp || pw != "" || err1 != nil || err2 != nil || err3 != nil {
		t.Errorf("%v %v %q, %v %v %v", user, grp, pw, err1, err2, err3)
	}
}

func TestLinesThatAreNoneAreErrorsThatNameTheUser(t *testing.T) {
	h := files(t)
	for _, name := range []string{"short", "odd"} {
		if _, _, err := account.FindUser(h, name); err == nil || !strings.Contains(err.Error(), "find user "+name) {
			t.Errorf("user %s: %v", name, err)
		}
		if _, _, err := account.FindGroup(h, name); err == nil || !strings.Contains(err.Error(), "find group "+name) {
			t.Errorf("group %s: %v", name, err)
		}
	}
	empty := taskstest.NewTree(t, nil)
	if _, _, err := account.FindUser(empty, "root"); err == nil {
		t.Error("a machine without /etc/passwd has no users, says FindUser")
	}
	if _, err := account.Password(empty, "root"); err == nil {
		t.Error("a machine without /etc/shadow has no passwords, says Password")
	}
}

func TestAPasswordIsTheWholeField(t *testing.T) {
	if got, err := account.Password(files(t), "ann"); got != "!$6$salt$hash" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
