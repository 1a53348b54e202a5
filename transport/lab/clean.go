package lab

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"phoenix/agentlet"
	"phoenix/tasks/guard"
)

// cacheDir has the downloads that phoenix keeps.
const cacheDir = "/var/cache/phoenix"

// clean removes what phoenix keeps for itself, unless a run has the lock.
func (p *proc) clean(context.Context) int {
	lock := p.path(agentlet.LockFile)
	_, missing := os.Lstat(lock)
	f, err := os.OpenFile(lock, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return 73
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 4096))
		p.say("phoenix-holder %s %s", p.args[0], strings.TrimSpace(string(holder)))
		return 75
	}
	if what, _, err := guard.Pending(p.machine.Host(), time.Now()); err != nil || what != "" {
		return 76
	}
	gone := []string{}
	for _, dir := range []string{agentlet.StateDir, cacheDir} {
		if _, err := os.Lstat(p.path(dir)); err == nil {
			gone = append(gone, dir)
		}
	}
	for _, dir := range folders()[1:] {
		for _, pattern := range []string{"agentlet-*", ".agentlet-*", ".probe-*", "lxc-*.started"} {
			found, _ := filepath.Glob(filepath.Join(p.path(dir), pattern))
			for _, file := range found {
				gone = append(gone, dir+"/"+filepath.Base(file))
			}
		}
	}
	for _, name := range gone {
		if err := os.RemoveAll(p.path(name)); err != nil {
			return p.failed(err)
		}
		p.say("phoenix-removed %s %s", p.args[0], name)
	}
	for _, dir := range folders()[1:] {
		_ = os.Remove(p.path(dir)) // stays unless it is empty
	}
	if err := os.Remove(lock); err != nil {
		return p.failed(err)
	}
	if missing == nil {
		p.say("phoenix-removed %s %s", p.args[0], agentlet.LockFile)
	}
	p.say("phoenix-clean %s", p.args[0])
	return 0
}
