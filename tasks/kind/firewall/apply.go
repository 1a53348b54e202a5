package firewall

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
	"phoenix/tasks/guard"
	"phoenix/tasks/pve"
	"phoenix/tasks/ruleset"
)

// Proxmox's daemon takes a new file up within 10 s; started anew, at once.
const (
	settlePoll  = 500 * time.Millisecond
	settleLimit = 15 * time.Second
)

// Apply writes the files, each as a whole. What could shut people out is made under
// guard, with the old files put back unless somebody confirms.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	if err := pve.Writable(h); err != nil {
		return err
	}
	node, err := pve.Node(h)
	if err != nil {
		return err
	}
	if refused := t.spec.shutOut(ctx); refused != nil {
		return refused
	}
	for _, p := range t.parts(node) {
		if !slices.ContainsFunc(d, func(c tasks.Change) bool { return strings.HasPrefix(c.Path, p.At) }) {
			continue
		}
		if err := t.change(ctx, h, p); err != nil {
			return err
		}
	}
	return nil
}

func (t *task) change(ctx context.Context, h tasks.Host, p ruleset.Wanted) error {
	on, err := t.on(h)
	if err != nil {
		return err
	}
	if !on {
		return t.write(ctx, h, p)
	}
	timeout := time.Minute
	if t.spec.ConfirmTimeoutS > 0 {
		timeout = time.Duration(t.spec.ConfirmTimeoutS) * time.Second
	}
	restart := []string{"pve-firewall", "restart"}
	c := guard.Change{What: "firewall", Files: []string{p.Path}, Restore: [][]string{restart}, Release: [][]string{{"pve-firewall", "stop"}}, Timeout: timeout}
	return guard.Make(ctx, h, c, func(ctx context.Context) error {
		if err := t.write(ctx, h, p); err != nil {
			return err
		}
		if _, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: restart}); err != nil {
			return err
		}
		return settle(ctx, h)
	})
}

// on tells whether the firewall of the cluster will be on once the spec is true; only
// then can a rule shut anybody out.
func (t *task) on(h tasks.Host) (bool, error) {
	if c := t.spec.Cluster; c != nil && c.Enabled != nil {
		return *c.Enabled, nil
	}
	file, err := ruleset.Read(h, ruleset.ClusterFile)
	if err != nil {
		return false, err
	}
	return ruleset.On(file), nil
}

// write makes the file have everything in it that is wanted.
func (t *task) write(ctx context.Context, h tasks.Host, p ruleset.Wanted) error {
	return p.WriteChecked(ctx, h, func(now []byte) ([]byte, error) {
		f := fwfile.Parse(now)
		management, err := t.spec.management(ctx, h, f)
		if err != nil {
			return nil, err
		}
		p.Management = management
		p.Set(f)
		return f.Bytes(), nil
	})
}

// settle waits until the daemon has put the files into effect: a confirmation before
// that would confirm the old rules.
func settle(ctx context.Context, h tasks.Host) error {
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	for {
		out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"pve-firewall", "status"}, ReadOnly: true})
		if err != nil {
			return err
		}
		status := string(out.Stdout)
		switch {
		case strings.Contains(status, "/stopped"):
			return errors.New("put the firewall into effect: its daemon does not run (systemctl start pve-firewall)")
		case !strings.Contains(status, "pending changes"):
			return nil
		}
		select {
		case <-time.After(settlePoll):
		case <-limit.C:
			tasks.Logf(ctx, "pve-firewall still speaks of pending changes after %s", settleLimit)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
