// Package health asks whether a host does what it is for: a command, a web server or a
// port, and what must come of it.
//
// It changes nothing, and a command that does not answer as expected is a failed step,
// not a difference that a run could mend; unless, in a check, a step of its own needs
// would change first, after which the answer may be another one. The question is asked in a check and in a
// dry run, too: a command must change nothing, and phoenix cannot see to that. A web
// server and a port are asked from the host itself, also when they are a container's.
// Start reading at Spec.
package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check asks until the answer is as expected, or the attempts are used up.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	attempts := t.spec.Retries + 1
	for n := 1; ; n++ {
		err := t.attempt(ctx, h)
		ahead := tasks.ScopeOf(ctx).Ahead
		switch {
		case err == nil:
			return nil, nil
		case len(ahead) > 0 && ctx.Err() == nil:
			return tasks.Diff{{Path: "answer", From: brief(err), To: "as expected", Effect: tasks.EffectLive, Note: first(ahead) + " would change first"}}, nil
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

// brief is the first line of what is wrong with an answer.
func brief(err error) string {
	text, _, _ := strings.Cut(err.Error(), itPrinted)
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// first names the first of several steps.
func first(steps []string) string {
	if n := len(steps) - 1; n > 0 {
		return fmt.Sprintf("%s (and %d more)", steps[0], n)
	}
	return steps[0]
}

// Apply is never needed: Check finds no difference.
func (t *task) Apply(context.Context, tasks.Host, tasks.Diff) error {
	return errors.New("apply a health check: there is nothing to change")
}

// attempt asks once. curl knows the time that it has, and gets a second more to say so.
func (t *task) attempt(ctx context.Context, h tasks.Host) error {
	limit := t.spec.timeout()
	switch s := t.spec; {
	case s.HTTP != nil:
		c, err := s.HTTP.cmd(ctx, limit)
		if err != nil {
			return about(s.HTTP.String(), err)
		}
		return about(s.HTTP.String(), t.ask(ctx, h, c, limit+time.Second))
	case s.TCP != nil:
		return about(s.TCP.String(), t.ask(ctx, h, s.TCP.cmd(), limit))
	}
	return t.ask(ctx, h, t.spec.Command.cmd(), limit)
}

// about says what an error is about.
func about(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ask starts the program that asks, and compares what comes of it.
func (t *task) ask(ctx context.Context, h tasks.Host, c tasks.Cmd, limit time.Duration) error {
	bound, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.ReadOnly = true
	out, err := h.Run(bound, c)
	switch {
	case err != nil && ctx.Err() == nil && errors.Is(bound.Err(), context.DeadlineExceeded):
		if t.spec.TCP != nil {
			return fmt.Errorf("no answer within %s", limit)
		}
		return fmt.Errorf("no answer within %s%s", limit, said(out))
	case errors.Is(err, fs.ErrNotExist) && t.spec.HTTP != nil:
		return fmt.Errorf("curl is not there, which Proxmox VE brings along (apt-get install curl): %w", err)
	case err != nil:
		return err
	}
	switch s := t.spec; {
	case s.HTTP != nil:
		came, err := s.HTTP.compare(out)
		if err == nil {
			tasks.Logf(ctx, "%s: %s", s.HTTP, came)
		}
		return err
	case s.TCP != nil:
		return s.TCP.compare(out)
	}
	return t.spec.Expect.compare(out)
}

// compare tells what of the answer is not as expected, and what the answer was.
func (e Expect) compare(out tasks.Output) error {
	var wrong []string
	if out.Code != e.ExitCode {
		wrong = append(wrong, fmt.Sprintf("exit status %d, expected %d", out.Code, e.ExitCode))
	}
	return verdict(out, append(wrong, lacks("output", out.Stdout, e.StdoutContains, e.StdoutMatches)...))
}

// lacks tells what a text is without.
func lacks(what string, text []byte, contains, matches string) (wrong []string) {
	if !strings.Contains(string(text), contains) {
		wrong = append(wrong, fmt.Sprintf("the %s does not contain %q", what, contains))
	}
	if matches == "" {
		return wrong
	}
	// Validate has compiled it.
	if re, err := regexp.Compile(matches); err != nil || !re.Match(text) {
		wrong = append(wrong, fmt.Sprintf("the %s does not match %q", what, matches))
	}
	return wrong
}

// verdict is the error of an answer that is wrong, with the answer.
func verdict(out tasks.Output, wrong []string) error {
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
