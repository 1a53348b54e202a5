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
// waits itself (10 s for a container, 60 s for a storage) is waited for until ctx ends:
// nothing was done then, or pct has taken it back, so trying again does nothing twice.
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
		tasks.Logf(ctx, "container %d: another program holds Proxmox's lock%s; waiting", ctid, lockHolder(h, ctid, failed.Stderr))
		if err := Pause(ctx, wait); err != nil {
			return out, fmt.Errorf("wait for Proxmox's lock of container %d%s: %w", ctid, lockHolder(h, ctid, failed.Stderr), errors.Join(err, failed))
		}
	}
}

// lockTimeout tells whether pct gave up waiting for a lock: of a file of the node
// (lock_file in PVE::Tools), or of the whole cluster (cfs_lock in PVE::Cluster).
func lockTimeout(text string) bool {
	return strings.Contains(text, "can't lock file") && strings.Contains(text, "got timeout") ||
		strings.Contains(text, "cfs-lock") && strings.Contains(text, "got lock request timeout")
}

// lockHolder names the tasks of Proxmox that may hold the lock which pct speaks of: of
// the container's own lock the container's task, of a storage's all that are active.
func lockHolder(h tasks.Host, ctid int, said string) string {
	if strings.Contains(said, "/pve-config-") {
		return Holder(h, ctid)
	}
	return named(active(h))
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

// Holder names the task of Proxmox that works on the container.
func Holder(h tasks.Host, ctid int) string {
	var own []upid
	for _, u := range active(h) {
		if u.id == strconv.Itoa(ctid) {
			own = append(own, upid{kind: u.kind, user: u.user})
		}
	}
	return named(own)
}

// upid is a task of Proxmox: what it does, to which guest, and for whom.
type upid struct{ kind, id, user string }

// active reads Proxmox's list of active tasks, in which a line "UPID" or "UPID 0|1" is
// one that has not ended. The form is UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER:
// (pve-common 8.3.8).
func active(h tasks.Host) []upid {
	data, err := h.ReadFile("/var/log/pve/tasks/active")
	if err != nil {
		return nil
	}
	var out []upid
	for _, line := range tasks.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) == 0 || len(words) > 2 {
			continue
		}
		if p := strings.Split(words[0], ":"); len(p) >= 8 && p[0] == "UPID" {
			out = append(out, upid{kind: p[5], id: p[6], user: p[7]})
		}
	}
	return out
}

// named is " (vzcreate 901, started by root@pam)", or nothing where there is no task.
func named(list []upid) string {
	var words []string
	for _, u := range list {
		words = append(words, strings.TrimSpace(u.kind+" "+u.id)+", started by "+u.user)
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, "; ") + ")"
}
