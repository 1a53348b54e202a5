package daemon

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/parts"
	"phoenix/tasks/systemd"
)

// Task returns the work that the service describes. Without a command it is what the
// service consists of alone.
func (s *Service) Task() tasks.Task {
	made := s.Made
	if len(s.Command) > 0 && s.user() != root {
		made = append(slices.Clone(made), parts.Part{Name: "user", Task: s.account().Task()})
	}
	return &task{Service: s, made: parts.New(made...)}
}

type task struct {
	*Service
	made tasks.Task
}

// state is how the service is, and how it differs.
type state struct {
	unit     systemd.Unit
	secrets  string
	revision string
	// stale tells that something else runs than is configured.
	stale bool
	diff  tasks.Diff
}

// Check compares what the service is made of, then the service, and asks it last, where
// nothing else differs.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	if err := Supported(h, t.Name); err != nil {
		return nil, err
	}
	d, err := t.made.Check(ctx, h)
	if err != nil || len(t.Command) == 0 {
		return d, err
	}
	now, err := t.look(ctx, h)
	if err != nil {
		return nil, err
	}
	d = append(d, now.diff...)
	if len(d) > 0 || t.Ready == nil {
		return d, nil
	}
	said, err := t.ask(ctx, h)
	if err != nil || said == "" {
		return nil, err
	}
	return tasks.Diff{{Path: "ready", From: "no answer", To: "answers", Effect: tasks.EffectLive, Note: said + t.journal(ctx, h)}}, nil
}

// look compares the service itself.
func (t *task) look(ctx context.Context, h tasks.Host) (state, error) {
	var now state
	var err error
	if err = t.own(h); err != nil {
		return now, err
	}
	if now.secrets, err = t.Service.secrets(ctx); err != nil {
		return now, err
	}
	unit, err := t.unitTask().Check(ctx, h)
	if err != nil {
		return now, err
	}
	for _, c := range unit {
		c.Path, c.Effect = "unit."+c.Path, tasks.EffectRestart
		now.diff = append(now.diff, c)
	}
	secrets, err := t.secretsTask(now.secrets).Check(ctx, h)
	if err != nil {
		return now, err
	}
	now.diff = append(now.diff, t.hide(secrets)...)
	now.stale = len(now.diff) > 0
	if now.unit, err = systemd.Show(ctx, h, t.unitName()); err != nil {
		return now, err
	}
	if now.revision, err = t.Service.revision(h, now.secrets); err != nil {
		return now, err
	}
	if !now.unit.Enabled() {
		now.diff.Add("enabled", now.unit.File, "enabled", tasks.EffectLive)
	}
	if !now.unit.Running() {
		now.diff.Add("active", now.unit.Active, "active", tasks.EffectLive)
		return now, nil
	}
	started, _, err := tasks.ReadIfExists(h, startedFile(t.Name))
	if err != nil || string(started) == now.revision {
		return now, err
	}
	if !now.stale {
		now.diff.Add("restart", "runs what was there before", "restarted", tasks.EffectRestart)
	}
	now.stale = true
	return now, nil
}

// hide says of the secrets' file what differs, and nothing of what is in it.
func (t *task) hide(d tasks.Diff) tasks.Diff {
	var out tasks.Diff
	for _, c := range d {
		c.Path, c.Effect = "secrets."+c.Path, tasks.EffectRestart
		if c.Path == "secrets.content" {
			c.Note = ""
			if c.From != "" {
				c.From = "other content"
			}
			c.To = strings.Join(tasks.Keys(t.Secrets), ", ")
		}
		out = append(out, c)
	}
	return out
}

// Apply makes what the service consists of, then the service, and waits for its answer.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := t.made.Apply(ctx, h, d); err != nil || len(t.Command) == 0 {
		return err
	}
	now, err := t.look(ctx, h)
	if err != nil {
		return err
	}
	if err := t.write(ctx, h, now); err != nil {
		return err
	}
	if !now.unit.Enabled() {
		if err := t.systemctl(ctx, h, "enable"); err != nil {
			return err
		}
	}
	if now.stale || !now.unit.Running() {
		if err := t.restart(ctx, h, now); err != nil {
			return err
		}
	}
	return t.await(ctx, h)
}

// write writes the files that differ, and has systemd read the unit.
func (t *task) write(ctx context.Context, h tasks.Host, now state) error {
	files := slices.ContainsFunc(now.diff, func(c tasks.Change) bool {
		return strings.HasPrefix(c.Path, "unit.") || strings.HasPrefix(c.Path, "secrets.")
	})
	if files {
		if err := Forget(ctx, h, t.Name); err != nil {
			return err
		}
		if now.secrets != "" {
			if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: path.Dir(t.secretsFile())}); err != nil {
				return err
			}
		}
		for _, f := range []tasks.Task{t.secretsTask(now.secrets), t.unitTask()} {
			d, err := f.Check(ctx, h)
			if err == nil && len(d) > 0 {
				err = f.Apply(ctx, h, d)
			}
			if err != nil {
				return err
			}
		}
	}
	if !files && !now.unit.NeedReload {
		return nil
	}
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"systemctl", "daemon-reload"}})
	return err
}

// restart starts the service, or starts it anew, and records what runs then.
func (t *task) restart(ctx context.Context, h tasks.Host, now state) error {
	if now.unit.Active == "failed" {
		// It may have failed so often that systemd does not start it any more.
		if err := t.systemctl(ctx, h, "reset-failed"); err != nil {
			return err
		}
	}
	if err := t.systemctl(ctx, h, "restart"); err != nil {
		return fmt.Errorf("%w%s", err, t.journal(ctx, h))
	}
	return t.remember(ctx, h, now.revision)
}

func (t *task) systemctl(ctx context.Context, h tasks.Host, verb string) error {
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"systemctl", verb, t.unitName()}})
	return err
}
