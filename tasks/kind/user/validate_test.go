package user_test

import (
	"testing"

	"phoenix/tasks/kind/user"
)

func TestValidate_namesTheFault(t *testing.T) {
	number := func(n int) *int { return &n }
	for _, tc := range []struct {
		name string
		spec user.Spec
		path string
	}{
		{"no name", user.Spec{}, "name"},
		{"a name in upper case, which sudo takes for everybody", user.Spec{Name: "ALL"}, "name"},
		{"an option", user.Spec{Name: "-r"}, "name"},
		{"a name with a colon", user.Spec{Name: "a:b"}, "name"},
		{"an unknown state", user.Spec{Name: "ann", State: "gone"}, "state"},
		{"root is to go", user.Spec{Name: "root", State: "absent"}, "state"},
		{"absent and something else", user.Spec{Name: "ann", State: "absent", Shell: "/bin/sh"}, "state"},
		{"absent and no rules", user.Spec{Name: "ann", State: "absent", Sudo: []string{}}, "state"},
		{"a second root", user.Spec{Name: "ann", UID: number(0)}, "uid"},
		{"root as somebody else", user.Spec{Name: "root", UID: number(1)}, "uid"},
		{"a number below zero", user.Spec{Name: "ann", UID: number(-1)}, "uid"},
		{"a comment with a colon", user.Spec{Name: "ann", Comment: "a:b"}, "comment"},
		{"a comment with a line break", user.Spec{Name: "ann", Comment: "a\nroot::0:0:::"}, "comment"},
		{"a relative home", user.Spec{Name: "ann", Home: "home"}, "home"},
		{"the root directory as home", user.Spec{Name: "ann", Home: "/"}, "home"},
		{"another home of root", user.Spec{Name: "root", Home: "/home/root"}, "home"},
		{"a shell with a colon", user.Spec{Name: "ann", Shell: "/bin/sh:x"}, "shell"},
		{"a group that is none", user.Spec{Name: "ann", Groups: []string{"sudo", "a,b"}}, "groups.1"},
		{"a group twice", user.Spec{Name: "ann", Groups: []string{"sudo", "sudo"}}, "groups.1"},
		{"the user's own group", user.Spec{Name: "ann", Groups: []string{"ann"}}, "groups.0"},
		{"a key that is none", user.Spec{Name: "ann", AuthorizedKeys: []string{annKey, "ssh-rsa AAAA"}}, "authorized_keys.1"},
		{"a key with a line break", user.Spec{Name: "ann", AuthorizedKeys: []string{annKey + "\n" + ecKey}}, "authorized_keys.0"},
		{"a key twice", user.Spec{Name: "ann", AuthorizedKeys: []string{annKey, "no-pty " + annKey}}, "authorized_keys.1"},
		{"nobody may log in", user.Spec{Name: "ann", ExclusiveKeys: true}, "exclusive_keys"},
		{"a rule without commands", user.Spec{Name: "ann", Sudo: []string{"ALL"}}, "sudo.0"},
		{"a rule with a line break", user.Spec{Name: "ann", Sudo: []string{"ALL=(ALL) ALL\neve ALL=(ALL) ALL"}}, "sudo.0"},
		{"a rule that goes on in the next line", user.Spec{Name: "ann", Sudo: []string{`ALL=(ALL) ALL \`}}, "sudo.0"},
		{"a rule for somebody else as well", user.Spec{Name: "ann", Sudo: []string{", eve ALL=(ALL) ALL"}}, "sudo.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestValidate_findsEverythingAtOnce(t *testing.T) {
	s := user.Spec{Name: "Ann", Comment: "\n", Home: "x", Shell: "y", Groups: []string{"?"}, AuthorizedKeys: []string{"z"}, Sudo: []string{""}}
	if p := s.Validate(); len(p) != 7 {
		t.Errorf("%d problems: %v", len(p), p)
	}
}
