package portainer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"phoenix/tasks"
)

// Apply makes the container, waits until it answers, and then makes what is in it, each
// as it is found then.
func (t *task) Apply(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	values, err := t.secrets(ctx)
	if err != nil {
		return err
	}
	if d.Has("packages." + curlPackage) {
		packages, err := manager(h)
		if err == nil {
			err = packages.Install(ctx, h, curlPackage)
		}
		if err != nil {
			return err
		}
	}
	refused, err := t.container(ctx, h, d, values)
	if err != nil {
		return err
	}
	found, err := t.started(ctx, h, values)
	if err == nil && found.admin == adminTooLate && t.spec.AdminPassword != nil {
		if err = docker(ctx, h, nil, "restart", t.spec.name()); err == nil {
			found, err = t.started(ctx, h, values)
		}
	}
	if err == nil {
		err = t.inside(ctx, h, values, found)
	}
	if err == nil && refused != nil {
		err = refused
	}
	return err
}

// container makes the container as it should be, as far as its data stay what they are.
func (t *task) container(ctx context.Context, h tasks.Host, d tasks.Diff, values secrets) (refused *tasks.RefusedError, err error) {
	now, err := t.spec.inspect(ctx, h)
	if err != nil {
		return nil, err
	}
	differs := t.spec.diff(now, values.agent)
	if now != nil {
		refused = t.spec.moved(now)
	}
	state := differs.Has("state")
	switch {
	case now != nil && state && (refused != nil || len(differs) == 1):
		err = docker(ctx, h, nil, "restart", t.spec.name()) // starts one that is stopped, too
	case refused != nil:
	case len(differs) > 0:
		err = t.spec.run(ctx, h, now != nil, values.agent)
	case d.Has("answer"):
		err = docker(ctx, h, nil, "restart", t.spec.name())
	}
	return refused, err
}

// started waits until the server or the agent answers, and tells what it answers.
func (t *task) started(ctx context.Context, h tasks.Host, values secrets) (server, error) {
	now, err := t.spec.inspect(ctx, h)
	switch {
	case err != nil:
		return server{}, err
	case now == nil:
		return server{}, fmt.Errorf("start container %s: docker reported success, and it is not there", t.spec.name())
	case !now.State.Running:
		return server{}, fmt.Errorf("start container %s: it ended at once (look at docker logs %s)", t.spec.name(), t.spec.name())
	}
	found, err := t.proof(ctx, h, values, triesStarted)
	var silent *tasks.CommandError
	if errors.As(err, &silent) {
		said, _, _ := strings.Cut(silent.Stderr, "\n")
		err = fmt.Errorf("wait for portainer at %s: %s (look at docker logs %s)", t.spec.base(), clip(said), t.spec.name())
	}
	return found, err
}

// inside makes the administrator and the environments of a server that answers.
func (t *task) inside(ctx context.Context, h tasks.Host, values secrets, found server) error {
	switch found.admin {
	case adminUnasked:
		return nil
	case adminAwaited:
		t.awaits(ctx)
		return nil
	case adminOther:
		return t.locked()
	case adminTooLate:
		return fmt.Errorf("make the administrator %s: portainer says that it is too late, though it was just restarted", t.spec.user())
	case adminNone:
		if err := t.spec.initAdmin(ctx, h, values.password); err != nil {
			return err
		}
		var err error
		if found, err = t.spec.ask(ctx, h, values.password, triesUp); err != nil {
			return err
		}
	}
	if found.admin != adminFits {
		return fmt.Errorf("log in as %s: portainer has made the administrator, and does not let it in", t.spec.user())
	}
	if len(t.spec.Environments) == 0 {
		return nil
	}
	return t.spec.register(ctx, h, found.token)
}
