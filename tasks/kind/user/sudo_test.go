package user_test

import (
	"os/exec"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const sudoGolden = "# Written by phoenix, which undoes changes by hand.\nann ALL=(ALL:ALL) NOPASSWD: ALL\nann ALL=(root) /usr/sbin/pct, !/usr/sbin/pct destroy *\n"

func TestSudo_theFileIsAsVisudoWantsIt(t *testing.T) {
	h := converged(t, with(t, map[string]any{"sudo": []string{"ALL=(ALL:ALL) NOPASSWD: ALL", "ALL=(root) /usr/sbin/pct, !/usr/sbin/pct destroy *"}}))
	got := taskstest.Get(t, h, sudoers)
	if got != sudoGolden {
		t.Errorf("got\n%swant\n%s", got, sudoGolden)
	}
	if fi, err := h.Stat(sudoers); err != nil || fi.Mode.Perm() != 0o440 {
		t.Errorf("%+v, %v", fi, err)
	}
	cmd := exec.CommandContext(t.Context(), "visudo", "-c", "-f", "-")
	cmd.Stdin = strings.NewReader(got)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sudo's own visudo: %v: %s", err, out)
	}
}

func TestSudo_aDotInANameIsNoneInTheFile(t *testing.T) {
	h := converged(t, `{"name":"ann.b","sudo":["ALL=(ALL) ALL"]}`)
	if got := taskstest.Get(t, h, "/etc/sudoers.d/phoenix-ann%2eb"); !strings.HasSuffix(got, "\nann.b ALL=(ALL) ALL\n") {
		t.Errorf("got %q", got)
	}
}

func TestSudo_rulesThatVisudoRefusesAreNotInstalled(t *testing.T) {
	h := machine(t).Host()
	res := taskstest.Run(t, user.Kind(), `{"name":"ann","sudo":["ALL=(ALL NOPASSWD: ALL"]}`, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "visudo does not accept them") || !strings.Contains(res.Why, "syntax error") {
		t.Errorf("%+v", res)
	}
	if _, exists, err := tasks.ReadIfExists(h, sudoers); exists || err != nil {
		t.Errorf("the file exists: %v, %v", exists, err)
	}
}

func TestSudo_withoutThePackageTheStepSaysSo(t *testing.T) {
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	spec := `{"name":"ann","sudo":["ALL=(ALL) ALL"]}`
	if res := taskstest.Check(t, user.Kind(), spec, m.Host()); res.Status != tasks.StatusWouldChange {
		t.Errorf("a step before may install it: %+v", res)
	}
	res := taskstest.Run(t, user.Kind(), spec, m.Host())
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "sudo is not installed (add it to apt.packages)") {
		t.Errorf("%+v", res)
	}
}

func TestSudo_anEmptyListTakesOnlyOurOwnRulesAway(t *testing.T) {
	h := converged(t, with(t, nil))
	taskstest.Put(t, h, "/etc/sudoers.d/ann", "ann ALL=(ALL) ALL\n")
	if res := taskstest.Check(t, user.Kind(), `{"name":"ann"}`, h); res.Status != tasks.StatusOK {
		t.Errorf("rules that are not mentioned: %+v", res)
	}
	res := taskstest.Run(t, user.Kind(), `{"name":"ann","sudo":[]}`, h)
	if res.Status != tasks.StatusChanged || len(res.Changes) != 1 || res.Changes[0].Path != "sudo" {
		t.Fatalf("%+v", res)
	}
	if _, exists, _ := tasks.ReadIfExists(h, sudoers); exists {
		t.Error("our file is still there")
	}
	taskstest.Get(t, h, "/etc/sudoers.d/ann")
}

func TestSudo_anEmptyListReachesTheHost(t *testing.T) {
	s, err := tasks.NewStep(user.Name, "user:ann", &user.Spec{Name: "ann", Sudo: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := tasks.NewRegistry(user.Kind()).Decode(s)
	if err != nil || got.(*user.Spec).Sudo == nil {
		t.Errorf("%s became %+v, %v", s.Spec, got, err)
	}
}

func TestSudo_aMainFileThatReadsNoFolderIsSaid(t *testing.T) {
	for text, status := range map[string]tasks.Status{
		"root ALL=(ALL) ALL\n":                             tasks.StatusFailed,
		"# @includedir /etc/sudoers.d\n":                   tasks.StatusFailed,
		"root ALL=(ALL) ALL\n#includedir /etc/sudoers.d\n": tasks.StatusOK,
		"@includedir /etc/sudoers.d/\n":                    tasks.StatusOK,
	} {
		h := converged(t, with(t, nil))
		taskstest.Put(t, h, "/etc/sudoers", text)
		s := suite(t, with(t, nil))
		if res := s.Apply(t, h); res.Status != status {
			t.Errorf("%q: %+v", text, res)
		}
	}
}
