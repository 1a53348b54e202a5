package tasks_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
)

// told runs one step whose check does what is given, and returns what was said, each line
// with its time since the beginning.
func told(t *testing.T, quietAfterS int, check func(ctx context.Context)) (lines []string) {
	begin := time.Now()
	kind := tasks.Kind{Name: "slow", New: func() tasks.Spec { return &slowSpec{check: check} }}
	r := tasks.Runner{Host: nowhere{}, Registry: tasks.NewRegistry(kind), Emit: func(e tasks.Event) {
		if e.Log != nil {
			lines = append(lines, fmt.Sprintf("%s %s: %s", time.Since(begin), e.Log.Stream, e.Log.Text))
		}
		if e.Result != nil {
			lines = append(lines, "end")
		}
	}}
	job := tasks.Job{Mode: tasks.ModeCheck, QuietAfterS: quietAfterS, Steps: []tasks.Step{{ID: "slow:a", Kind: "slow", Spec: []byte("{}")}}}
	if err := r.Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Hour) // whatever still comes comes now
	return lines
}

type slowSpec struct{ check func(ctx context.Context) }

func (*slowSpec) Validate() []tasks.Problem { return nil }
func (s *slowSpec) Task() tasks.Task        { return slowTask{s.check} }

type slowTask struct{ check func(ctx context.Context) }

func (s slowTask) Check(ctx context.Context, _ tasks.Host) (tasks.Diff, error) {
	s.check(ctx)
	return nil, nil
}
func (slowTask) Apply(context.Context, tasks.Host, tasks.Diff) error { return nil }

func TestQuiet(t *testing.T) {
	pass := func(d time.Duration) { <-time.After(d) }
	install := tasks.Cmd{Argv: []string{"apt-get", "-y", "install", "docker.io"}}
	for _, tc := range []struct {
		name  string
		after int
		check func(ctx context.Context)
		want  []string
	}{
		{"a step that ends in time is not spoken of", 120, func(context.Context) { pass(119 * time.Second) }, nil},
		{"silence is said, and again whenever it has doubled", 120, func(context.Context) { pass(10 * time.Minute) },
			[]string{"2m0s quiet: nothing was printed for 2m0s; it is still running", "4m0s quiet: nothing was printed for 4m0s; it is still running", "8m0s quiet: nothing was printed for 8m0s; it is still running"}},
		{"a line begins the time anew", 120, func(ctx context.Context) {
			for range 5 {
				pass(90 * time.Second)
				tasks.Logf(ctx, "line")
			}
			pass(121 * time.Second)
		}, []string{"1m30s task: line", "3m0s task: line", "4m30s task: line", "6m0s task: line", "7m30s task: line", "9m30s quiet: nothing was printed for 2m0s; it is still running"}},
		{"a line ends the doubling", 60, func(ctx context.Context) {
			pass(5 * time.Minute)
			tasks.Logf(ctx, "line")
			pass(61 * time.Second)
		}, []string{"1m0s quiet: nothing was printed for 1m0s; it is still running", "2m0s quiet: nothing was printed for 2m0s; it is still running", "4m0s quiet: nothing was printed for 4m0s; it is still running",
			"5m0s task: line", "6m0s quiet: nothing was printed for 1m0s; it is still running"}},
		{"the program under way is named", 60, func(ctx context.Context) {
			ended := tasks.Running(ctx, install)
			pass(61 * time.Second)
			ended()
			pass(60 * time.Second)
		}, []string{"1m0s quiet: nothing was printed for 1m0s; it is still running (apt-get -y install docker.io)", "2m0s quiet: nothing was printed for 2m0s; it is still running"}},
		{"the one that was started last is named, and only as it begins", 60, func(ctx context.Context) {
			defer tasks.Running(ctx, install)()
			defer tasks.Running(ctx, tasks.Cmd{Argv: []string{"sh", "-c", "a\nb " + strings.Repeat("x", 100)}})()
			pass(61 * time.Second)
		}, []string{"1m0s quiet: nothing was printed for 1m0s; it is still running (sh -c a b " + strings.Repeat("x", 50) + "…)"}},
		{"0 never says it", 0, func(ctx context.Context) { tasks.Logf(ctx, "line"); pass(30 * time.Minute) }, []string{"0s task: line"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := told(t, tc.after, tc.check); !slices.Equal(got, append(tc.want, "end")) {
					t.Errorf("said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
				}
			})
		})
	}
}

func TestRunning_outsideOfAStepIsOfNoConsequence(t *testing.T) {
	tasks.Running(t.Context(), tasks.Cmd{})()
}
