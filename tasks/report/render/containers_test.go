package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/containers"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// looked is a check of hosts that found this about their containers together.
func looked(t *testing.T, mode tasks.Mode, found ...string) report.Report {
	t.Helper()
	r := report.Report{Schema: report.Schema, RunID: "r", Command: "check", Mode: mode, Finished: true}
	for i, data := range found {
		ok := tasks.Result{Status: tasks.StatusOK}
		with := ok
		if data != "" {
			with.Data = json.RawMessage(data)
		}
		r.Hosts = append(r.Hosts, report.Host{Name: fmt.Sprintf("pve%d", i+1), Status: report.HostOK, Steps: []report.Step{
			{ID: "lxc:900", Result: ok}, {ID: containers.StepID, Result: with},
		}})
	}
	r.Totals.Hosts.Total, r.Totals.Hosts.OK = len(found), len(found)
	return r
}

func shown(t *testing.T, r report.Report, v term.Verbosity) string {
	t.Helper()
	var b bytes.Buffer
	if err := Text(&b, r, Options{Verbosity: v}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestContainersThatNoConfigurationNamesAreALineForEachHost(t *testing.T) {
	two := `{"unmanaged":[{"ctid":100,"name":"web","state":"running"},{"ctid":101,"name":"a\u001bb","state":"stopped"}]}`
	six := `{"unmanaged":[`
	for i := range 6 {
		six += fmt.Sprintf(`{"ctid":%d,"name":"n","state":"template"},`, 200+i)
	}
	six = strings.TrimSuffix(six, ",") + `],"memory":{"may_use":3221225472,"has":2147483648}}`
	r := looked(t, tasks.ModeCheck, two, "", six)
	text := shown(t, r, term.Normal)
	for _, want := range []string{
		"not managed: pve1  100 web (running), 101 a", "not managed: pve3  200 n (template), 201 n (template), 202 n (template), 203 n (template), and 2 more\n",
		"warning: pve3: its containers may use 3.0 GiB of memory together, and it has 2.0 GiB\n", "all 3 hosts identical\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "pve2  ") || strings.Contains(text, "unmanaged") || strings.Contains(text, "\x1b") {
		t.Errorf("got\n%s", text)
	}
	if text := shown(t, r, term.Steps); !strings.Contains(text, "205 n (template)") || strings.Contains(text, "unmanaged") {
		t.Errorf("with -v\n%s", text)
	}
	if text := shown(t, r, term.Quiet); strings.Contains(text, "not managed") || !strings.Contains(text, "warning: pve3") {
		t.Errorf("with -q\n%s", text)
	}
	if text := shown(t, looked(t, tasks.ModeRun, two, six), term.Normal); strings.Contains(text, "not managed") || !strings.Contains(text, "warning: pve2") {
		t.Errorf("of a run\n%s", text)
	}
}

func TestContainersOfManyHostsAreAddedUp(t *testing.T) {
	found := make([]string, 14)
	for i := range found {
		found[i] = `{"unmanaged":[{"ctid":100,"name":"a","state":"running"},{"ctid":101,"name":"b","state":"running"}]}`
	}
	r := looked(t, tasks.ModeCheck, found...)
	text := shown(t, r, term.Normal)
	if n := strings.Count(text, "not managed: "); n != 11 || !strings.Contains(text, "not managed: 8 containers on 4 hosts more (-v names them)\n") {
		t.Errorf("%d lines\n%s", n, text)
	}
	if n := strings.Count(shown(t, r, term.Steps), "not managed: "); n != 14 {
		t.Errorf("%d lines with -v", n)
	}
}

func TestNotesOfAStepHaveALineEach(t *testing.T) {
	x := text{}
	got := x.data([]byte(`{"notes":["a\u001b[2J line","another"]}`))
	if len(got) != 2 || got[1] != "    note: another" || strings.Contains(got[0], "\x1b") {
		t.Errorf("%q", got)
	}
}
