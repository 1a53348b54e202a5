package apt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
)

// quiet is the environment in which no part of a package asks a question.
func quiet() []string {
	return []string{
		"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none",
		"NEEDRESTART_MODE=a", "UCF_FORCE_CONFFOLD=1",
	}
}

func (t task) lockTimeout() time.Duration {
	if t.spec.LockTimeoutS > 0 {
		return time.Duration(t.spec.LockTimeoutS) * time.Second
	}
	return 5 * time.Minute
}

// get is an apt-get that never asks: a changed configuration file stays as the
// operator left it.
func (t task) get(args ...string) tasks.Cmd {
	argv := []string{
		"apt-get", "-y", "-q",
		"-o", fmt.Sprintf("DPkg::Lock::Timeout=%d", int(t.lockTimeout().Seconds())),
		"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
	}
	return tasks.Cmd{Argv: append(argv, args...), Env: quiet()}
}

// change installs or removes, after a simulation said that nothing goes that must
// stay.
func (t task) change(ctx context.Context, h tasks.Host, verb string, names []string) error {
	args := []string{verb}
	if verb == "install" {
		args = append(args, "--no-install-recommends")
	}
	args = append(args, names...)
	try := tasks.Cmd{Argv: append([]string{"apt-get", "-s", "-q"}, args...), Env: quiet(), ReadOnly: true}
	out, err := tasks.Succeed(ctx, h, try)
	if err != nil {
		return err
	}
	if lost := protected(removed(string(out.Stdout)), t.spec.Packages); len(lost) > 0 {
		return &tasks.RefusedError{What: fmt.Sprintf("removing %s, which apt-get %s %s would do,", strings.Join(lost, ", "), verb, strings.Join(names, " "))}
	}
	return t.locked(ctx, h, t.get(args...))
}

// removed reads the packages that a simulation would remove: "Remv NAME [VERSION]".
func removed(out string) []string {
	var names []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) >= 2 && (f[0] == "Remv" || f[0] == "Purg") {
			name, _, _ := strings.Cut(f[1], ":")
			names = append(names, name)
		}
	}
	return names
}

// protected picks Proxmox's own packages, and those without which a Proxmox host is
// none, unless the spec removes them by name.
func protected(names, spec []string) []string {
	var out []string
	for _, n := range names {
		own := slices.ContainsFunc([]string{"pve-", "proxmox-", "libpve-", "libproxmox-"}, func(p string) bool { return strings.HasPrefix(n, p) })
		if (own || slices.Contains([]string{"qemu-server", "lxc-pve", "ifupdown2", "corosync", "openssh-server"}, n)) && !slices.Contains(spec, "-"+n) {
			out = append(out, n)
		}
	}
	return out
}

// locked runs a program again while another one holds a lock that it does not wait
// for by itself: that of the package lists, and dpkg's for dpkg.
func (t task) locked(ctx context.Context, h tasks.Host, c tasks.Cmd) error {
	until := t.now().Add(t.lockTimeout())
	said := false
	for {
		_, err := tasks.Succeed(ctx, h, c)
		if !lockHeld(err) || !t.now().Before(until) {
			return err
		}
		if !said {
			tasks.Logf(ctx, "another package manager is at work; waiting up to %s: %s", t.lockTimeout(), lockLine(err))
			said = true
		}
		wait := time.NewTimer(t.retry)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

func lockHeld(err error) bool { return lockLine(err) != "" }

// lockLine is the line in which apt-get or dpkg says that a lock is held.
func lockLine(err error) string {
	var ce *tasks.CommandError
	if !errors.As(err, &ce) {
		return ""
	}
	for line := range strings.Lines(ce.Stderr) {
		if strings.Contains(line, "Could not get lock") || strings.Contains(line, "lock was locked by another process") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
