package portainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/distro"
	"phoenix/tasks/secret"
)

// curlPackage is how the family speaks HTTP.
const curlPackage = "curl"

// How often curl asks again for an answer, 2 s apart: of a server that should be up, and
// of one that was just started and may be bringing its data up to date.
const (
	triesUp      = 3
	triesStarted = 45
)

type task struct{ spec Spec }

// secrets are the values that the spec refers to.
type secrets struct{ password, agent string }

func (t *task) secrets(ctx context.Context) (secrets, error) {
	var out secrets
	for _, s := range []struct {
		ref *secret.Ref
		to  *string
	}{{t.spec.AdminPassword, &out.password}, {t.spec.AgentSecret, &out.agent}} {
		if s.ref == nil {
			continue
		}
		value, err := tasks.SecretValue(ctx, s.ref.Name)
		if err != nil {
			return out, err
		}
		if value == "" || strings.ContainsAny(value, "\r\n\x00") {
			return out, fmt.Errorf("read secret %s: it is empty, or has more than one line", s.ref.Name)
		}
		*s.to = value
	}
	return out, nil
}

// Check compares the container, then asks what runs in it.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	values, err := t.secrets(ctx)
	if err != nil {
		return nil, err
	}
	packages, err := manager(h)
	if err != nil {
		return nil, err
	}
	_, curl, err := packages.Version(h, curlPackage)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	if !curl {
		d.Add("packages."+curlPackage, "", "installed", tasks.EffectLive)
	}
	now, err := t.spec.inspect(ctx, h)
	if err != nil && len(tasks.ScopeOf(ctx).Earlier) > 0 {
		now, err = nil, nil // what an earlier step brings is not there yet
	}
	if err != nil {
		return nil, err
	}
	d = append(d, t.spec.diff(now, values.agent)...)
	if now == nil || !curl || d.Has("ports") || !now.State.Running || now.State.Restarting {
		return append(d, t.ahead(now)...), nil
	}
	more, err := t.answers(ctx, h, values)
	return append(d, more...), err
}

// manager is the machine's package manager.
func manager(h tasks.Host) (distro.Packages, error) {
	of, err := distro.Read(h)
	if err != nil {
		return nil, err
	}
	return of.Packages()
}

// ahead are the changes inside a server that nobody can ask yet: all of them where it is
// a new one.
func (t *task) ahead(now *container) tasks.Diff {
	var d tasks.Diff
	if now == nil && t.spec.AdminPassword != nil {
		d.Add("admin", "", t.administrator(), tasks.EffectLive)
		d = append(d, t.spec.environmentDiff(nil)...)
	}
	return d
}

func (t *task) administrator() string {
	return t.spec.user() + ", with the password of secret " + t.spec.AdminPassword.Name
}

// answers compares what a running container answers.
func (t *task) answers(ctx context.Context, h tasks.Host, values secrets) (tasks.Diff, error) {
	found, err := t.proof(ctx, h, values, triesUp)
	var silent *tasks.CommandError
	if errors.As(err, &silent) {
		said, _, _ := strings.Cut(silent.Stderr, "\n") // each attempt says the same
		return tasks.Diff{{Path: "answer", From: clip(said), To: "HTTP at " + t.spec.base(), Effect: tasks.EffectRestart}}, nil
	}
	if err != nil || t.spec.agent() {
		return nil, err
	}
	var d tasks.Diff
	switch found.admin {
	case adminUnasked:
	case adminAwaited:
		t.awaits(ctx)
	case adminFits:
		if len(t.spec.Environments) == 0 {
			break
		}
		all, err := t.spec.environments(ctx, h, found.token)
		return t.spec.environmentDiff(all), err
	case adminNone:
		d.Add("admin", "", t.administrator(), tasks.EffectLive)
		d = append(d, t.spec.environmentDiff(nil)...)
	case adminOther:
		d.Add("admin", "another name or password", t.administrator(), tasks.EffectLive)
		d[0].Note = t.locked().Note()
	case adminTooLate:
		if t.spec.AdminPassword == nil {
			return nil, fmt.Errorf("look at portainer: it has no administrator, and the five minutes to make one are over (set admin_password; or restart it with docker restart %s and make one at %s)", t.spec.name(), t.spec.base())
		}
		d.Add("admin", "", t.administrator(), tasks.EffectRestart)
		d[0].Note = "the five minutes to make one are over: the container is restarted for it"
		d = append(d, t.spec.environmentDiff(nil)...)
	}
	return d, nil
}

// awaits tells people that a server runs without an administrator, which somebody has to
// make before anybody else does.
func (t *task) awaits(ctx context.Context) {
	tasks.Warnf(ctx, "portainer has no administrator: make one at https://ADDRESS:%d, the address of the container, within five minutes of its start, with the setup token that docker logs %s shows (or set admin_password)", cmp.Or(t.spec.Port, defaultPort), t.spec.name())
}

// locked refuses to change a password, for which Portainer wants the old one.
func (t *task) locked() *tasks.RefusedError {
	return &tasks.RefusedError{
		What:    "changing the administrator " + t.spec.user() + " of portainer, who has another name or password than the configuration says",
		Instead: "change it in Portainer, or reset it with portainer/helper-reset-password, or correct secret " + t.spec.AdminPassword.Name,
	}
}

// proof asks the server or the agent for an answer.
func (t *task) proof(ctx context.Context, h tasks.Host, values secrets, tries int) (server, error) {
	if !t.spec.agent() {
		return t.spec.ask(ctx, h, values.password, tries)
	}
	a, err := t.spec.call(ctx, h, request{method: "GET", path: "/ping", tries: tries})
	if err == nil && a.status != 204 {
		err = a.fault("ping the agent")
	}
	return server{}, err
}
