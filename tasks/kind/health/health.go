// Package health asks whether a host does what it is for: a command, and what it must
// answer.
//
// It changes nothing, and a command that does not answer as expected is a failed step,
// not a difference that a run could mend; unless, in a check, a step of its own needs
// would change first, after which the answer may be another one. The command runs in a check and in a dry run,
// too, and must change nothing; phoenix cannot see to that. Start reading at Spec.
package health

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"phoenix/tasks"
)

// Name of the family in steps and in step IDs.
const Name = "health"

// The defaults of a Spec, in seconds.
const (
	defaultIntervalS = 5
	defaultTimeoutS  = 30
)

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return task{*s} }

type task struct{ spec Spec }

// Check asks until the answer is as expected, or the attempts are used up.
func (t task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	attempts := t.spec.Retries + 1
	for n := 1; ; n++ {
		err := t.attempt(ctx, h)
		ahead := tasks.ScopeOf(ctx).Ahead
		switch {
		case err == nil:
			return nil, nil
		case len(ahead) > 0 && ctx.Err() == nil:
			return tasks.Diff{{Path: "answer", From: "another", To: "as expected", Effect: tasks.EffectLive, Note: strings.Join(ahead, ", ") + " would change first"}}, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("ask %s: %w", t.spec.Name, err)
		case n == attempts && n == 1:
			return nil, fmt.Errorf("ask %s: %w", t.spec.Name, err)
		case n == attempts:
			return nil, fmt.Errorf("ask %s %d times: %w", t.spec.Name, n, err)
		}
		what, _, _ := strings.Cut(err.Error(), itPrinted) // the last answer is told by the error
		tasks.Logf(ctx, "attempt %d of %d: %s", n, attempts, what)
		if err := wait(ctx, t.spec.interval()); err != nil {
			return nil, fmt.Errorf("ask %s: %w", t.spec.Name, err)
		}
	}
}

// Apply is never needed: Check finds no difference.
func (t task) Apply(context.Context, tasks.Host, tasks.Diff) error {
	return errors.New("apply a health check: there is nothing to change")
}

// attempt asks once.
func (t task) attempt(ctx context.Context, h tasks.Host) error {
	limit := t.spec.timeout()
	bound, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := t.spec.Command.cmd()
	c.ReadOnly = true
	out, err := h.Run(bound, c)
	switch {
	case err != nil && ctx.Err() == nil && errors.Is(bound.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s%s", limit, said(out))
	case err != nil:
		return err
	}
	return t.spec.Expect.compare(out)
}

// compare tells what of the answer is not as expected, and what the answer was.
func (e Expect) compare(out tasks.Output) error {
	var wrong []string
	if out.Code != e.ExitCode {
		wrong = append(wrong, fmt.Sprintf("exit status %d, expected %d", out.Code, e.ExitCode))
	}
	if !strings.Contains(string(out.Stdout), e.StdoutContains) {
		wrong = append(wrong, fmt.Sprintf("the output does not contain %q", e.StdoutContains))
	}
	if e.StdoutMatches != "" {
		re, err := regexp.Compile(e.StdoutMatches)
		if err != nil {
			return fmt.Errorf("read stdout_matches: %w", err) // Validate has compiled it
		}
		if !re.Match(out.Stdout) {
			wrong = append(wrong, fmt.Sprintf("the output does not match %q", e.StdoutMatches))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	if len(out.Stdout) >= tasks.MaxOutput {
		wrong = append(wrong, "of its output only the first MiB is kept")
	}
	return errors.New(strings.Join(wrong, "; ") + said(out))
}

// maxSaid is how many lines of the answer an error quotes.
const maxSaid = 10

// itPrinted comes before what is quoted of an answer.
const itPrinted = "; it printed:\n"

// said is the end of what the command printed, on both streams.
func said(out tasks.Output) string {
	text := strings.TrimSpace(strings.TrimSpace(string(out.Stdout)) + "\n" + strings.TrimSpace(string(out.Stderr)))
	if text == "" {
		return "; it printed nothing"
	}
	lines := strings.Split(text, "\n")
	if len(lines) > maxSaid {
		lines = lines[len(lines)-maxSaid:]
	}
	for i := range lines {
		lines[i] = tasks.LogLine([]byte(lines[i]))
	}
	return itPrinted + strings.Join(lines, "\n")
}

// wait lets d pass, or ends early with the context.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
