package guest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
)

// maxBackoff bounds the pause between two tries for a lock; the first is a second.
const maxBackoff = 30 * time.Second

// Pct starts Proxmox's program. A lock that somebody holds for longer than Proxmox
// waits itself (10 s) is waited for until ctx ends: nothing was done then, so trying
// again does nothing twice.
func Pct(ctx context.Context, h tasks.Host, ctid int, args ...string) (tasks.Output, error) {
	cmd := tasks.Cmd{Argv: append([]string{"pct"}, args...)}
	for wait := time.Second; ; wait = min(2*wait, maxBackoff) {
		out, err := h.Run(ctx, cmd)
		if err != nil {
			return out, fmt.Errorf("run pct %s %d: %w", args[0], ctid, err)
		}
		if out.Code == 0 {
			if said := strings.TrimSpace(string(out.Stderr)); said != "" { // what ip inside refused is only a warning
				tasks.Logf(ctx, "container %d: pct %s said: %s", ctid, args[0], said)
			}
			return out, nil
		}
		failed := commandError(cmd, out)
		if !lockTimeout(failed.Stderr) {
			return out, failed
		}
		tasks.Logf(ctx, "container %d: another program holds Proxmox's lock%s; waiting", ctid, Holder(h, ctid))
		if err := Pause(ctx, wait); err != nil {
			return out, fmt.Errorf("wait for Proxmox's lock of container %d%s: %w", ctid, Holder(h, ctid), errors.Join(err, failed))
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

// NotDone is the error of a pct that claimed success and did not deliver.
func NotDone(out tasks.Output, args []string, format string, what ...any) error {
	failed := commandError(tasks.Cmd{Argv: append([]string{"pct"}, args...)}, out)
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, what...), failed)
}

// Pause waits, or ends with the context.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Holder names the task of Proxmox that works on the container, from its list of
// active tasks: a line "UPID" or "UPID 0|1" is one that has not ended. The form is
// UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER: (pve-common 8.3.8).
func Holder(h tasks.Host, ctid int) string {
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
		if len(p) >= 8 && p[0] == "UPID" && p[6] == strconv.Itoa(ctid) {
			return fmt.Sprintf(" (%s, started by %s)", p[5], p[7])
		}
	}
	return ""
}
