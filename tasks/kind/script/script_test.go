package script_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/script"
	"phoenix/tasks/local"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const spec = `{"name":"marker","check":"cat /etc/marker 2>/dev/null | grep -q wanted || echo the marker is missing && cat /etc/marker 2>/dev/null | grep -q wanted","apply":"echo $WORD > /etc/marker","env":{"WORD":"wanted"}}`

func machine(t *testing.T) tasks.Host {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return m.Host()
}

func TestScript_conforms(t *testing.T) {
	taskstest.Suite{
		Kind: script.Kind(), Spec: spec,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t)} },
		Drifts: []taskstest.Drift{
			{Name: "what the check looks at was changed", Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, "/etc/marker", "other\n") }, Paths: []string{"check"}},
		},
		Faults: []taskstest.Fault{
			{Name: "the first check fails", Op: "/bin/sh", Output: tasks.Output{Code: 2, Stderr: []byte("sh: 1: Syntax error\n")}},
			{Name: "the file is half written", Op: "/bin/sh", Make: func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, "/etc/marker", "wan") }, Output: tasks.Output{Code: 1}},
		},
	}.Run(t)
}

// realScript is a spec on real shells, with a marker in a folder of the test.
func realScript(t *testing.T, check, apply string) (spec, marker string) {
	t.Helper()
	marker = filepath.Join(t.TempDir(), "marker")
	raw, err := json.Marshal(script.Spec{Name: "real", Check: check, Apply: apply, Env: map[string]string{"MARKER": marker}})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), marker
}

func TestScript_endsOnARealMachine(t *testing.T) {
	const made = `echo made > "$MARKER"`
	for _, tc := range []struct {
		name, check, apply string
		status             tasks.Status
		cause              tasks.Cause
		why                string
	}{
		{"as wanted", "true", made, tasks.StatusOK, "", ""},
		{"made", `test -e "$MARKER"`, made, tasks.StatusChanged, "", ""},
		{"a check that is in doubt", "echo cannot tell >&2; exit 2", made, tasks.StatusFailed, "", "check by the script of real: run /bin/sh -s: exit status 2: cannot tell"},
		{"a program that is missing in the check", "no-such-program-here", made, tasks.StatusFailed, "", "exit status 127"},
		{"an apply that fails", `test -e "$MARKER"`, "echo no >&2; exit 9", tasks.StatusFailed, "", "apply the script of real: run /bin/sh -s: exit status 9: no"},
		{"an apply that claims success", `test -e "$MARKER"`, "true", tasks.StatusFailed, tasks.CauseNotApplied, "still differs"},
		{"an apply that fails after its work", `test -e "$MARKER"`, made + "; exit 1", tasks.StatusFailed, "", "exit status 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec, marker := realScript(t, tc.check, tc.apply)
			res := taskstest.Run(t, script.Kind(), spec, &local.Host{})
			if res.Status != tc.status || res.Cause != tc.cause || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v, want %s %s %q", res, tc.status, tc.cause, tc.why)
			}
			if _, err := os.Stat(marker); (err == nil) != strings.HasPrefix(tc.apply, made) && tc.status == tasks.StatusChanged {
				t.Errorf("the marker: %v", err)
			}
		})
	}
}

func TestScript_whatTheCheckPrintsIsTheNote(t *testing.T) {
	spec, _ := realScript(t, `echo "two lines"; printf 'of it\033[31m\n'; exit 1`, "true")
	res := taskstest.Check(t, script.Kind(), spec, &local.Host{})
	if res.Status != tasks.StatusWouldChange || !strings.HasPrefix(res.Changes[0].Note, "two lines\nof it") {
		t.Errorf("%+v", res)
	}
	spec, _ = realScript(t, "seq 1000; exit 1", "true")
	res = taskstest.Check(t, script.Kind(), spec, &local.Host{})
	if n := strings.Count(res.Changes[0].Note, "\n"); n != 50 || !strings.HasSuffix(res.Changes[0].Note, "…") {
		t.Errorf("the note has %d lines: %q", n+1, res.Changes[0].Note)
	}
}

func TestScript_aDryRunRunsTheCheckAlone(t *testing.T) {
	spec, marker := realScript(t, `test -e "$MARKER"`, `echo made > "$MARKER"`)
	if res := taskstest.Check(t, script.Kind(), spec, &local.Host{}); res.Status != tasks.StatusWouldChange {
		t.Errorf("%+v", res)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("the dry run applied")
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	for i, tc := range []struct {
		spec script.Spec
		path string
	}{
		{script.Spec{Name: "a b", Check: "x", Apply: "x"}, "name"},
		{script.Spec{Name: "-a", Check: "x", Apply: "x"}, "name"},
		{script.Spec{Name: "a", Apply: "x"}, "check"},
		{script.Spec{Name: "a", Check: "x"}, "apply"},
		{script.Spec{Name: "a", Check: "x", Apply: "#!/usr/bin/perl\nx"}, "apply"},
		{script.Spec{Name: "a", Check: "x", Apply: "x", Interpreter: []string{""}}, "interpreter.0"},
		{script.Spec{Name: "a", Check: "x", Apply: "x", Env: map[string]string{"A B": ""}}, "env.A B"},
	} {
		t.Run(fmt.Sprint(i, tc.path), func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}
