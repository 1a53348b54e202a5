package pyservice_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/pyservice"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const small = `{"web":{"packages":["uvicorn==0.30.1"],"command":["uvicorn","app:app","--port","8080"],"ready":{"url":"http://127.0.0.1:8080/","timeout_s":600,"interval_s":10}}}`

// lay writes a file of the simulation itself.
func lay(t *testing.T, m *sim.Machine, path, text string) {
	t.Helper()
	full := filepath.Join(m.Root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func applied(t *testing.T, spec string, h tasks.Host) {
	t.Helper()
	if res := taskstest.Run(t, pyservice.Kind(), spec, h); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
}

func TestReady_aServiceThatDoesNotAnswerIsAChangeWithItsJournal(t *testing.T) {
	m, h := simulated(t)
	applied(t, small, h)
	lay(t, m, "/.sim/muted/web.service", "")
	lay(t, m, "/.sim/journal/web.service", "loading\nModuleNotFoundError: No module named 'app'\n")
	res := taskstest.Check(t, pyservice.Kind(), small, h)
	if len(res.Changes) != 1 || res.Changes[0].Path != "web.ready" {
		t.Fatalf("%+v", res)
	}
	for _, part := range []string{"curl: (7) Failed to connect", "No module named 'app'"} {
		if !strings.Contains(res.Changes[0].Note, part) {
			t.Errorf("the note is %q, want %q in it", res.Changes[0].Note, part)
		}
	}
}

func TestReady_isWaitedForAndToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := simulated(t)
		rec := taskstest.NewRecorder(h)
		begin := time.Now()
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if o.Cmd != nil && o.Cmd.Argv[0] == "curl" && time.Since(begin) < 95*time.Second {
				return &taskstest.Answer{Output: tasks.Output{Code: 7, Stderr: []byte("curl: (7) Failed to connect\n")}}
			}
			return nil
		}
		var said []string
		ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) {
			if strings.Contains(l.Text, "does not answer yet") {
				said = append(said, l.Text)
			}
		}})
		if err := apply(ctx, rec, small); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d < 95*time.Second || d > 105*time.Second {
			t.Errorf("waited %s", d)
		}
		if len(said) != 4 || !strings.Contains(said[3], "after 1m30s of 10m0s") {
			t.Errorf("said %q, want it every 30 s", said)
		}
	})
}

// apply checks and applies without a runner, which would check once more.
func apply(ctx context.Context, h tasks.Host, spec string) error {
	s, err := tasks.NewRegistry(pyservice.Kind()).Decode(tasks.Step{ID: "x", Kind: pyservice.Name, Spec: []byte(spec)})
	if err != nil {
		return err
	}
	task := s.Task()
	d, err := task.Check(ctx, tasks.ReadOnly(h))
	if err != nil {
		return err
	}
	return task.Apply(ctx, h, d)
}

func TestReady_whatEndsTheWait(t *testing.T) {
	for _, tc := range []struct {
		name, why string
		after     time.Duration
		end       func(t *testing.T, m *sim.Machine)
	}{
		{"the time is over", "no answer within 10m0s", 600 * time.Second, nil},
		{"the service has failed", "systemd says that it is failed", 20 * time.Second, func(t *testing.T, m *sim.Machine) {
			lay(t, m, "/.sim/failed/web.service", "")
			if err := os.Remove(filepath.Join(m.Root, ".sim/active/web.service")); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, h := simulated(t)
				lay(t, m, "/.sim/muted/web.service", "")
				lay(t, m, "/.sim/journal/web.service", "the last word\n")
				begin := time.Now()
				if tc.end != nil {
					time.AfterFunc(15*time.Second, func() { tc.end(t, m) })
				}
				err := apply(t.Context(), h, small)
				if err == nil || !strings.Contains(err.Error(), tc.why) || !strings.Contains(err.Error(), "the last word") {
					t.Errorf("%v, want %q and the journal", err, tc.why)
				}
				if d := time.Since(begin); d != tc.after {
					t.Errorf("ended after %s, want %s", d, tc.after)
				}
			})
		})
	}
}

func TestReady_byACommand(t *testing.T) {
	_, h := simulated(t)
	spec := strings.Replace(small, `{"url":"http://127.0.0.1:8080/"`, `{"command":["grep","-q","uvicorn","/etc/systemd/system/web.service"]`, 1)
	rec := taskstest.NewRecorder(h)
	applied(t, spec, rec)
	for _, c := range rec.Commands() {
		if strings.HasPrefix(c, "curl") || strings.Contains(c, "install --no-install-recommends curl") {
			t.Errorf("ran %s", c)
		}
	}
	spec = strings.Replace(spec, "uvicorn\",\"/etc", "nothing of the kind\",\"/etc", 1)
	if res := taskstest.Check(t, pyservice.Kind(), spec, h); len(res.Changes) != 1 || !strings.Contains(res.Changes[0].Note, "exit status 1") {
		t.Errorf("%+v", res)
	}
}

func TestPyservice_isRestartedOnceForAllThatChanged(t *testing.T) {
	m, h := simulated(t)
	for n, spec := range []string{
		small,
		strings.Replace(small, "uvicorn==0.30.1", "uvicorn==0.31.0", 1),
		strings.NewReplacer("uvicorn==0.30.1", "uvicorn==0.32.0", "8080", "8081").Replace(small),
	} {
		applied(t, spec, h)
		if got := m.Starts("web"); got != n+1 {
			t.Errorf("after %d runs it was started %d times", n+1, got)
		}
	}
}

func TestPyservice_anInterruptionDoesNotLoseTheRestart(t *testing.T) {
	m, h := simulated(t)
	applied(t, small, h)
	rec := taskstest.NewRecorder(h)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if o.Cmd != nil && strings.HasPrefix(o.String(), "systemctl") && !o.Cmd.ReadOnly {
			return &taskstest.Answer{Err: context.Canceled}
		}
		return nil
	}
	next := strings.Replace(small, "8080", "8081", 2)
	if res := taskstest.Run(t, pyservice.Kind(), next, rec); res.Status != tasks.StatusFailed {
		t.Fatalf("%+v", res)
	}
	res := taskstest.Check(t, pyservice.Kind(), next, h)
	if len(res.Changes) != 1 || res.Changes[0].Path != "web.restart" || res.Changes[0].Effect != tasks.EffectRestart {
		t.Fatalf("%+v", res)
	}
	applied(t, next, h)
	if got := m.Starts("web"); got != 2 {
		t.Errorf("it was started %d times", got)
	}
}

func TestPyservice_anInterruptedMendingDoesNotLoseTheRestart(t *testing.T) {
	for name, drift := range map[string]func(*testing.T, tasks.Host){
		"the unit was edited":             write("/etc/systemd/system/web.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"),
		"a package is of another version": command("/opt/web/venv/bin/python3", "-m", "pip", "install", "uvicorn==0.29.0"),
	} {
		t.Run(name, func(t *testing.T) {
			_, h := simulated(t)
			applied(t, small, h)
			drift(t, h)
			rec := taskstest.NewRecorder(h)
			rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
				if strings.HasPrefix(o.String(), "systemctl restart") {
					return &taskstest.Answer{Err: context.Canceled}
				}
				return nil
			}
			if res := taskstest.Run(t, pyservice.Kind(), small, rec); res.Status != tasks.StatusFailed {
				t.Fatalf("%+v", res)
			}
			if res := taskstest.Check(t, pyservice.Kind(), small, h); len(res.Changes) != 1 || res.Changes[0].Path != "web.restart" {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestPyservice_aServiceThatFailedTooOftenIsStartedAgain(t *testing.T) {
	m, h := simulated(t)
	applied(t, small, h)
	lay(t, m, "/.sim/failed/web.service", "")
	if err := os.Remove(filepath.Join(m.Root, ".sim/active/web.service")); err != nil {
		t.Fatal(err)
	}
	rec := taskstest.NewRecorder(h)
	applied(t, small, rec)
	var did []string
	for _, o := range rec.Changes() {
		did = append(did, o.String())
	}
	if len(did) < 2 || did[0] != "systemctl reset-failed web.service" || did[1] != "systemctl restart web.service" {
		t.Errorf("did %q", did)
	}
}
