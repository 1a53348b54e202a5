package lxc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"phoenix/tasks"
)

// maxBackoff bounds the pause between two tries for a lock; the first is a second.
const maxBackoff = 30 * time.Second

// pct starts Proxmox's program. A lock that somebody holds for longer than Proxmox
// waits itself (10 s) is waited for until the step's time is over: nothing was done
// then, so trying again does nothing twice.
func (t *task) pct(ctx context.Context, h tasks.Host, args ...string) (tasks.Output, error) {
	cmd := tasks.Cmd{Argv: append([]string{"pct"}, args...)}
	for pause := time.Second; ; pause = min(2*pause, maxBackoff) {
		out, err := h.Run(ctx, cmd)
		if err != nil {
			return out, fmt.Errorf("run pct %s %d: %w", args[0], t.spec.CTID, err)
		}
		if out.Code == 0 {
			if said := strings.TrimSpace(string(out.Stderr)); said != "" { // what ip inside refused is only a warning
				tasks.Logf(ctx, "container %d: pct %s said: %s", t.spec.CTID, args[0], said)
			}
			return out, nil
		}
		failed := commandError(cmd, out)
		if !lockTimeout(failed.Stderr) {
			return out, failed
		}
		tasks.Logf(ctx, "container %d: another program holds Proxmox's lock%s; waiting", t.spec.CTID, t.holder(h))
		if err := sleep(ctx, pause); err != nil {
			return out, fmt.Errorf("wait for Proxmox's lock of container %d%s: %w", t.spec.CTID, t.holder(h), errors.Join(err, failed))
		}
	}
}

func lockTimeout(text string) bool {
	return strings.Contains(text, "can't lock file") && strings.Contains(text, "got timeout")
}

// commandError holds the end of what pct said. Its reasons are on stderr, but what
// LXC said before is on stdout (pve-container 5.3.5).
func commandError(cmd tasks.Cmd, out tasks.Output) *tasks.CommandError {
	said := func(b []byte, n int) []string {
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		return lines[max(0, len(lines)-n):]
	}
	text := strings.Join(append(said(out.Stdout, 6), said(out.Stderr, 12)...), "\n")
	return &tasks.CommandError{Argv: cmd.Argv, Code: out.Code, Stderr: strings.TrimSpace(text)}
}

// notDone is the error of a pct that claimed success and did not deliver.
func (t *task) notDone(out tasks.Output, args []string, format string, what ...any) error {
	failed := commandError(tasks.Cmd{Argv: append([]string{"pct"}, args...)}, out)
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, what...), failed)
}

// sleep waits, or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// holder names the task of Proxmox that works on the container, from its list of
// active tasks: a line "UPID" or "UPID 0|1" is one that has not ended. The form is
// UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER: (pve-common 8.3.8).
func (t *task) holder(h tasks.Host) string {
	data, err := h.ReadFile("/var/log/pve/tasks/active")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) == 0 || len(words) > 2 {
			continue
		}
		p := strings.Split(words[0], ":")
		if len(p) >= 8 && p[0] == "UPID" && p[6] == fmt.Sprint(t.spec.CTID) {
			return fmt.Sprintf(" (%s, started by %s)", p[5], p[7])
		}
	}
	return ""
}
