package health_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/local"
	"phoenix/tasks/taskstest"
)

// answers is a program that gives one answer after the other, the last for ever.
func answers(h *taskstest.Tree, outs ...tasks.Output) *int {
	n := 0
	h.Programs["ask"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		out := outs[min(n, len(outs)-1)]
		n++
		return out
	}
	return &n
}

func said(code int, text string) tasks.Output {
	return tasks.Output{Code: code, Stdout: []byte(text)}
}

func TestHealth_anAnswerThatAChangeAheadMayMendIsADifference(t *testing.T) {
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Ahead: []string{"zpool:tank"}})
	for code, want := range map[int]string{0: "", 1: "answer zpool:tank would change first"} {
		h := taskstest.NewTree(t, nil)
		asked := answers(h, said(code, ""))
		spec := health.Spec{Name: "a", Command: health.Command{Argv: []string{"ask"}}, Retries: 3}
		d, err := spec.Task().Check(ctx, h)
		got := ""
		for _, c := range d {
			got += c.Path + " " + c.Note
		}
		if err != nil || got != want || *asked != 1 {
			t.Errorf("status %d: %q, %v, asked %d times; want %q at once", code, got, err, *asked, want)
		}
	}
}

func TestHealth_answers(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		out        tasks.Output
		why        string
	}{
		{"status 0 is enough", `{"name":"a","command":["ask"]}`, said(0, ""), ""},
		{"another status", `{"name":"a","command":["ask"]}`, said(3, "it is down\n"), "ask a: exit status 3, expected 0; it printed:\nit is down"},
		{"a status that is expected", `{"name":"a","command":["ask"],"expect":{"exit_code":3}}`, said(3, ""), ""},
		{"success where a failure is expected", `{"name":"a","command":["ask"],"expect":{"exit_code":3}}`, said(0, ""), "exit status 0, expected 3; it printed nothing"},
		{"a text", `{"name":"a","command":["ask"],"expect":{"stdout_contains":"active"}}`, said(0, "active\n"), ""},
		{"a text after the first MiB", `{"name":"a","command":["ask"],"expect":{"stdout_contains":"zzz"}}`, said(0, strings.Repeat("x\n", tasks.MaxOutput/2)), `the output does not contain "zzz"; of its output only the first MiB is kept; it printed:` + strings.Repeat("\nx", 10)},
		{"another text", `{"name":"a","command":["ask"],"expect":{"stdout_contains":"active"}}`, said(0, "failed\n"), `the output does not contain "active"; it printed:` + "\nfailed"},
		{"a pattern", `{"name":"a","command":["ask"],"expect":{"stdout_matches":"(?m)^state: ONLINE$"}}`, said(0, "pool: a\nstate: ONLINE\n"), ""},
		{"another pattern", `{"name":"a","command":["ask"],"expect":{"stdout_matches":"^a+$"}}`, said(0, "b"), `the output does not match "^a+$"`},
		{"everything at once", `{"name":"a","command":["ask"],"expect":{"stdout_contains":"x","stdout_matches":"y"}}`, said(1, "z"), `exit status 1, expected 0; the output does not contain "x"; the output does not match "y"`},
		{"what it says on stderr", `{"name":"a","command":["ask"]}`, tasks.Output{Code: 1, Stderr: []byte("refused\n")}, "it printed:\nrefused"},
		{"a long answer is cut at its beginning", `{"name":"a","command":["ask"]}`, said(1, strings.Repeat("old\n", 50)+"new\n"), "old\nnew"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, run := range []func(*testing.T, tasks.Kind, string, tasks.Host) tasks.Result{taskstest.Check, taskstest.Run} {
				h := taskstest.NewTree(t, nil)
				answers(h, tc.out)
				rec := taskstest.NewRecorder(h)
				res := run(t, health.Kind(), tc.spec, rec)
				want := map[bool]tasks.Status{true: tasks.StatusOK, false: tasks.StatusFailed}[tc.why == ""]
				if res.Status != want || !strings.Contains(res.Why, tc.why) || strings.Count(res.Why, "\n") > 11 {
					t.Errorf("%+v, want %s %q", res, want, tc.why)
				}
				if len(rec.Changes()) > 0 || len(res.Changes) > 0 {
					t.Errorf("a health check changes something: %v, %+v", rec.Changes(), res)
				}
			}
		})
	}
}

func TestHealth_asksAgainAfterTheInterval(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	synctest.Test(t, func(t *testing.T) {
		n := answers(h, said(1, "not yet"), said(1, "not yet"), said(0, "up"))
		begin := time.Now()
		res := taskstest.Check(t, health.Kind(), `{"name":"a","command":["ask"],"retries":5,"interval_s":7}`, h)
		if took := time.Since(begin); res.Status != tasks.StatusOK || *n != 3 || took != 14*time.Second {
			t.Errorf("%d attempts in %s: %+v", *n, took, res)
		}
	})
}

func TestHealth_givesUpAfterTheLastAttempt(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	synctest.Test(t, func(t *testing.T) {
		n := answers(h, said(1, "first"), said(2, "last"))
		begin := time.Now()
		res := taskstest.Check(t, health.Kind(), `{"name":"a","command":["ask"],"retries":2}`, h)
		if took := time.Since(begin); res.Status != tasks.StatusFailed || *n != 3 || took != 10*time.Second {
			t.Errorf("%d attempts in %s: %+v", *n, took, res)
		}
		if !strings.Contains(res.Why, "ask a 3 times: exit status 2, expected 0; it printed:\nlast") {
			t.Errorf("why %q", res.Why)
		}
	})
}

// hangs is a host on which every program waits for its context.
type hangs struct{ tasks.Host }

func (hangs) Run(ctx context.Context, _ tasks.Cmd) (tasks.Output, error) {
	<-ctx.Done()
	return tasks.Output{Stdout: []byte("half an answer\n")}, ctx.Err()
}

func TestHealth_anAttemptHasABound(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		res := taskstest.Check(t, health.Kind(), `{"name":"a","command":["ask"],"timeout_s":4,"retries":1}`, hangs{h})
		if took := time.Since(begin); res.Status != tasks.StatusFailed || took != 13*time.Second {
			t.Errorf("after %s: %+v", took, res)
		}
		if !strings.Contains(res.Why, "no answer within 4s; it printed:\nhalf an answer") {
			t.Errorf("why %q", res.Why)
		}
	})
}

func TestHealth_theWaitEndsWithTheRun(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	synctest.Test(t, func(t *testing.T) {
		answers(h, said(1, ""))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		spec := health.Spec{Name: "a", Command: health.Command{Argv: []string{"ask"}}, Retries: 9, IntervalS: 60}
		begin := time.Now()
		if _, err := spec.Task().Check(ctx, h); err == nil || time.Since(begin) != time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}

func TestHealth_aProgramThatIsMissingFails(t *testing.T) {
	res := taskstest.Check(t, health.Kind(), `{"name":"a","command":["nothing-of-that-name"]}`, &local.Host{})
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "no such program") {
		t.Errorf("%+v", res)
	}
}

func TestHealth_aStringIsAScript(t *testing.T) {
	res := taskstest.Check(t, health.Kind(), `{"name":"a","command":"cat\nfor i in 1 2; do echo $i; done","expect":{"stdout_contains":"1\n2"}}`, &local.Host{})
	if res.Status != tasks.StatusOK {
		t.Errorf("%+v", res)
	}
}

func TestLimitS_hasRoomForEveryAttempt(t *testing.T) {
	s := health.Spec{Retries: 3, TimeoutS: 10, IntervalS: 2}
	if got, least := s.LimitS(), 4*10+3*2; got < least {
		t.Errorf("%d s, less than %d", got, least)
	}
}

func TestCommand_roundTrips(t *testing.T) {
	for _, text := range []string{`["a","b c"]`, `"echo a"`} {
		var c health.Command
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		if raw, err := json.Marshal(c); err != nil || string(raw) != text {
			t.Errorf("%s became %s, %v", text, raw, err)
		}
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	ask := health.Command{Argv: []string{"ask"}}
	for _, tc := range []struct {
		name string
		spec health.Spec
		path string
	}{
		{"no name", health.Spec{Command: ask}, "name"},
		{"nothing to ask", health.Spec{Name: "a"}, "command"},
		{"an empty list", health.Spec{Name: "a", Command: health.Command{Argv: []string{}}}, "command"},
		{"a zero byte", health.Spec{Name: "a", Command: health.Command{Argv: []string{"ask", "\x00"}}}, "command.1"},
		{"a script for another program", health.Spec{Name: "a", Command: health.Command{Script: "#!/usr/bin/perl\n1"}}, "command"},
		{"a status that is none", health.Spec{Name: "a", Command: ask, Expect: health.Expect{ExitCode: 256}}, "expect.exit_code"},
		{"a pattern that is none", health.Spec{Name: "a", Command: ask, Expect: health.Expect{StdoutMatches: "("}}, "expect.stdout_matches"},
		{"too many attempts", health.Spec{Name: "a", Command: ask, Retries: 1001}, "retries"},
		{"a time below zero", health.Spec{Name: "a", Command: ask, IntervalS: -1}, "interval_s"},
		{"a time beyond an hour", health.Spec{Name: "a", Command: ask, TimeoutS: 3601}, "timeout_s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestHealth_tellsEachAnswerOnce(t *testing.T) {
	h := taskstest.NewTree(t, nil)
	synctest.Test(t, func(t *testing.T) {
		answers(h, said(1, "not ready"))
		var log []string
		ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) {
			if l.Stream == "task" {
				log = append(log, l.Text)
			}
		}})
		s := health.Spec{Name: "a", Command: health.Command{Argv: []string{"ask"}}, Retries: 1}
		_, err := s.Task().Check(ctx, h)
		if err == nil || strings.Count(err.Error(), "not ready") != 1 || len(log) != 1 || log[0] != "attempt 1 of 2: exit status 1, expected 0" {
			t.Errorf("error %v, log %q", err, log)
		}
	})
}
