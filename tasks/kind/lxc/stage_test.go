package lxc_test

import (
	"fmt"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
)

// staged is the base container with further keys, in one of the stages.
func staged(stage, digest, more string) string {
	return spec(fmt.Sprintf(`"stage":%q,"inside":%q`, stage, digest) + more)
}

// both takes both steps of a container, with nothing to do inside between the two, and
// returns how they ended.
func (m *machine) both(t *testing.T, mode tasks.Mode, digest, more string, consent tasks.Consent) string {
	t.Helper()
	out := ""
	for _, stage := range []string{lxc.StageBegin, lxc.StageFinish} {
		res := m.step(t, staged(stage, digest, more), mode, consent)
		var paths []string
		for _, c := range append(res.Changes, res.Remaining...) {
			paths = append(paths, c.Path)
		}
		out += fmt.Sprintf("%s: %s %s\n", stage, res.Status, strings.Join(paths, ","))
	}
	return out
}

// option is a line of the container's present configuration; "" where it has none of the key.
func (m *machine) option(t *testing.T, key string) string {
	t.Helper()
	head, _, _ := strings.Cut(m.conf(t), "\n[")
	for line := range strings.Lines(head) {
		if v, ok := strings.CutPrefix(line, key+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func TestAContainerInWhichSomethingIsMade(t *testing.T) {
	for name, tc := range map[string]struct {
		digest, more        string
		ahead, run, changed string // how both steps end: before, in a run, and when something else is wanted inside
	}{
		"that runs": {"", "",
			"begin: would change exists\nfinish: ok \n", "begin: changed exists\nfinish: ok \n", "begin: ok \nfinish: ok \n"},
		"that runs and has a snapshot": {"", `,"template_snapshot_name":"base"`,
			"begin: would change exists\nfinish: would change template_snapshot_name\n", "begin: changed exists\nfinish: changed template_snapshot_name\n", "begin: ok \nfinish: ok \n"},
		"that shows that it was made": {"", `,"enable_lifecycle_snapshots":true`,
			"begin: would change exists\nfinish: would change enable_lifecycle_snapshots\n", "begin: changed exists\nfinish: changed enable_lifecycle_snapshots\n", "begin: ok \nfinish: ok \n"},
		"that is stopped": {"1a", `,"state":"stopped","template_snapshot_name":"base"`,
			"begin: would change exists\nfinish: would change state,template_snapshot_name\n", "begin: changed exists\nfinish: changed state,template_snapshot_name,inside\n",
			"begin: changed state,inside\nfinish: changed state,inside\n"},
		"that is a template": {"1a", `,"is_template":true`,
			"begin: would change exists\nfinish: would change state,is_template\n", "begin: changed exists\nfinish: changed is_template,state,inside\n",
			"begin: skipped inside\nfinish: ok \n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "8.4")
			if got := m.both(t, tasks.ModeCheck, tc.digest, tc.more, tasks.Consent{}); got != tc.ahead {
				t.Errorf("before:\n%swant\n%s", got, tc.ahead)
			}
			if got := m.both(t, tasks.ModeRun, tc.digest, tc.more, tasks.Consent{}); got != tc.run {
				t.Errorf("the run:\n%swant\n%s", got, tc.run)
			}
			const nothing = "begin: ok \nfinish: ok \n"
			for _, mode := range []tasks.Mode{tasks.ModeCheck, tasks.ModeRun} {
				if got := m.both(t, mode, tc.digest, tc.more, tasks.Consent{}); got != nothing {
					t.Errorf("a second %s:\n%s", mode, got)
				}
			}
			other := tc.digest
			if other != "" {
				other = "2b"
			}
			if got := m.both(t, tasks.ModeRun, other, tc.more, tasks.Consent{Restart: true}); got != tc.changed {
				t.Errorf("something else inside:\n%swant\n%s", got, tc.changed)
			}
		})
	}
}

func TestATemplateIsMadeAnewForWhatIsInIt(t *testing.T) {
	m := newMachine(t, "8.4")
	const more = `,"is_template":true`
	m.both(t, tasks.ModeRun, "1a", more, tasks.Consent{})
	res := m.check(t, staged(lxc.StageBegin, "2b", more))
	if len(res.Changes) != 1 || res.Changes[0].Effect != tasks.EffectReplace || res.Changes[0].From != "1a" || !strings.Contains(res.Changes[0].Note, "--allow-destroy 900") {
		t.Errorf("the check: %+v", res)
	}
	got := m.both(t, tasks.ModeRun, "2b", more, tasks.Consent{Destroy: []int{900}})
	if want := "begin: changed inside\nfinish: changed is_template,state,inside\n"; got != want {
		t.Errorf("the run with consent:\n%swant\n%s", got, want)
	}
	if got := m.both(t, tasks.ModeCheck, "2b", more, tasks.Consent{}); got != "begin: ok \nfinish: ok \n" {
		t.Errorf("afterwards:\n%s", got)
	}
	if m.option(t, "template") != "1" {
		t.Error("it is no template")
	}
}

func TestAContainerThatIsToBeStoppedAndRunsIsLookedInto(t *testing.T) {
	m := newMachine(t, "8.4")
	const more = `,"state":"stopped"`
	m.both(t, tasks.ModeRun, "1a", more, tasks.Consent{})
	m.sh(t, "pct start 900")
	begin, finish := staged(lxc.StageBegin, "1a", more), staged(lxc.StageFinish, "1a", more)
	if res := m.check(t, begin); len(res.Changes) != 1 || res.Changes[0].Path != "inside" || res.Changes[0].To != "" {
		t.Errorf("the check before anything inside: %+v", res)
	}
	if res := m.apply(t, begin, tasks.Consent{}); res.Status != tasks.StatusChanged || strings.Contains(m.conf(t), "inside") {
		t.Errorf("the run before anything inside: %+v\n%s", res, m.conf(t))
	}
	m.sh(t, "pct stop 900") // nobody knows now what is inside
	if res := m.check(t, begin); len(res.Changes) != 1 || res.Changes[0].Path != "state" || res.Changes[0].To != "running" {
		t.Errorf("stopped by hand meanwhile: %+v", res)
	}
	m.apply(t, begin, tasks.Consent{})
	if res := m.apply(t, finish, tasks.Consent{}); res.Status != tasks.StatusChanged || !strings.Contains(m.conf(t), "inside=1a") {
		t.Errorf("the end: %+v\n%s", res, m.conf(t))
	}
	if got := m.both(t, tasks.ModeCheck, "1a", more, tasks.Consent{}); got != "begin: ok \nfinish: ok \n" {
		t.Errorf("afterwards:\n%s", got)
	}
}

func TestWhatIsToBeMadeOtherwiseInATemplateIsNamed(t *testing.T) {
	m := newMachine(t, "8.4")
	const more = `,"is_template":true`
	m.both(t, tasks.ModeRun, "base_setup=1a,docker=2b,files=3c", more, tasks.Consent{})
	res := m.check(t, staged(lxc.StageBegin, "base_setup=1a,docker=9f", more))
	if len(res.Changes) != 1 || res.Changes[0].From != "docker=2b, files=3c" || res.Changes[0].To != "docker=9f" {
		t.Errorf("%+v", res.Changes)
	}
}

func TestAContainerRunsBetweenItsStages(t *testing.T) {
	m := newMachine(t, "8.4")
	if res := m.apply(t, staged(lxc.StageBegin, "1a", `,"is_template":true`), tasks.Consent{}); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if m.option(t, "template") != "" {
		t.Error("it was finished before anything was made inside")
	}
	if res := m.check(t, staged(lxc.StageBegin, "1a", `,"is_template":true`)); res.Status != tasks.StatusOK {
		t.Errorf("a check while it runs: %+v", res)
	}
}

func TestWhatARunHasChangedIsShownByASnapshotInTheEnd(t *testing.T) {
	m := newMachine(t, "8.4")
	const more = `,"enable_lifecycle_snapshots":true`
	m.both(t, tasks.ModeRun, "", more, tasks.Consent{})
	taken := func() int { return strings.Count(m.conf(t), "\n[phoenix-changed") }
	for _, want := range []int{1, 1} { // the second run changes nothing
		var events []tasks.Event
		r := tasks.Runner{Host: m, Registry: tasks.NewRegistry(lxc.Kind()), Emit: func(e tasks.Event) { events = append(events, e) }}
		job := tasks.Job{RunID: "test", Mode: tasks.ModeRun, Steps: []tasks.Step{
			{ID: "lxc:900", Kind: lxc.Name, Spec: []byte(staged(lxc.StageBegin, "", more+`,"swap_mb":64`))},
			{ID: "lxc:900/finish", Kind: lxc.Name, Needs: []string{"lxc:900"}, Spec: []byte(staged(lxc.StageFinish, "", more+`,"swap_mb":64`))},
		}}
		if err := r.Run(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Result != nil && !e.Result.EndedWell() {
				t.Errorf("%s: %+v", e.Step, e.Result)
			}
		}
		if got := taken(); got != want {
			t.Errorf("%d snapshots were taken, want %d:\n%s", got, want, m.conf(t))
		}
	}
}
