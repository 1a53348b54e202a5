package exec_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/exec"
	"phoenix/tasks/taskstest"
)

const sockets = "Num       RefCount Protocol Flags    Type St Inode Path\n" +
	"0000000000000000: 00000002 00000000 00010000 0001 01 21432 @/var/lib/lxc/900/command\n"

func machine(t *testing.T) *taskstest.Tree {
	tr := taskstest.NewTree(t, map[string]string{
		"/proc/net/unix": sockets, "/etc/pve/lxc/900.conf": "hostname: a\n", "/etc/pve/lxc/901.conf": "hostname: b\n",
	})
	tr.Programs["echo"] = func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte(strings.Join(c.Argv[1:], " ") + "\n" + string(c.Stdin))}
	}
	tr.Programs["false"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output { return tasks.Output{Code: 3} }
	tr.Programs["lxc-attach"] = func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte(strings.Join(c.Argv, " ") + "\n")}
	}
	return tr
}

// run returns the result and the lines that the command printed.
func run(t *testing.T, h tasks.Host, spec string, mode tasks.Mode) (tasks.Result, []string) {
	t.Helper()
	var res tasks.Result
	var lines []string
	r := tasks.Runner{Host: h, Registry: tasks.NewRegistry(exec.Kind()), Emit: func(e tasks.Event) {
		if e.Log != nil {
			lines = append(lines, e.Log.Stream+": "+e.Log.Text)
		}
		if e.Result != nil {
			res = *e.Result
		}
	}}
	job := tasks.Job{Mode: mode, Steps: []tasks.Step{{ID: "exec:host", Kind: exec.Name, Spec: json.RawMessage(spec)}}}
	if err := r.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return res, lines
}

func TestExec_runsOnceAndReports(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		status     tasks.Status
		data       string
		out        string
		why        string
	}{
		{"output is streamed", `{"argv":["echo","a b","c"]}`, tasks.StatusChanged, `{"code":0}`, "stdout: a b c", ""},
		{"stdin is given", `{"argv":["echo"],"stdin":"typed\n"}`, tasks.StatusChanged, `{"code":0}`, "stdout: typed", ""},
		{"a status is data and a failure", `{"argv":["false"]}`, tasks.StatusFailed, `{"code":3}`, "", "exit status 3"},
		{"no such program is 127", `{"argv":["nonesuch"]}`, tasks.StatusFailed, `{"code":127}`, "", "no such program"},
		{"a container is entered without the host's environment", `{"argv":["ps","-e"],"ctid":900}`, tasks.StatusChanged, `{"code":0}`, "stdout: lxc-attach -n 900 --clear-env -- ps -e", ""},
		{"a stopped container is said to be", `{"argv":["ps"],"ctid":901}`, tasks.StatusFailed, ``, "", "enter container 901: it is stopped (pct start 901)"},
		{"a container that is not there is said to be", `{"argv":["ps"],"ctid":902}`, tasks.StatusFailed, ``, "", "there is none on this host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := taskstest.NewRecorder(machine(t))
			res, lines := run(t, rec, tc.spec, tasks.ModeRun)
			if res.Status != tc.status || string(res.Data) != tc.data || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v, data %s", res, res.Data)
			}
			if tc.out != "" && !strings.Contains(strings.Join(lines, "\n"), tc.out) {
				t.Errorf("said %q, want %q", lines, tc.out)
			}
			if n := len(rec.Changes()); n > 1 {
				t.Errorf("ran %d programs", n)
			}
		})
	}
}

func TestExec_aCheckRunsNothing(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t))
	if res, _ := run(t, rec, `{"argv":["echo"]}`, tasks.ModeCheck); res.Status != tasks.StatusWouldChange {
		t.Errorf("%+v", res)
	}
	if got := rec.Commands(); len(got) > 0 {
		t.Errorf("ran %q", got)
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	for spec, path := range map[*exec.Spec]string{
		{}:                                   "argv",
		{Argv: []string{"a", "b\x00c"}}:      "argv.1",
		{Argv: []string{"a"}, CTID: 99}:      "ctid",
		{Argv: []string{"a"}, CTID: -5}:      "ctid",
		{Argv: []string{"a"}, CTID: 1 << 30}: "ctid",
		{Argv: []string{""}}:                 "argv",
	} {
		if p := spec.Validate(); len(p) != 1 || p[0].Path != path {
			t.Errorf("%+v: %v, want one at %s", spec, p, path)
		}
	}
}
