package plan

import (
	"fmt"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/lxc"
)

// containerHealth adds the questions to a container, when all containers are done.
func (b *builder) containerHealth(c *inventory.Container) {
	if !c.Spec.Runs() {
		return
	}
	// Whatever is made before it may be what it asks about: a check has to know.
	needs := []string{lxc.StepID(c.Spec.CTID)}
	for _, i := range c.Inside {
		needs = append(needs, insideID(c.Spec.CTID, i))
	}
	needs = append(needs, doneID(c))
	needs = unique(needs)
	if c.Firewall != nil {
		needs = append(needs, guestFirewallID(c.Spec.CTID))
	}
	for i := range c.HealthChecks {
		spec, id := askedOf(c.Spec.CTID, c.HealthChecks[i].Spec)
		b.add(health.Name, id, "lxc_configs", &spec, needs, append([]string{"health_checks"}, containerTags(&c.Spec)...))
		step := &b.steps[len(b.steps)-1]
		step.TimeoutS, step.Asks = spec.LimitS(), true
	}
}

// ContainerHealth are the steps that ask a container how it is once the given step has
// ended well.
func ContainerHealth(c *inventory.Container, need string) ([]tasks.Step, error) {
	var out []tasks.Step
	for i := range c.HealthChecks {
		spec, id := askedOf(c.Spec.CTID, c.HealthChecks[i].Spec)
		step, err := tasks.NewStep(health.Name, id, &spec)
		if err != nil {
			return nil, err
		}
		step.Needs, step.TimeoutS = []string{need}, spec.LimitS()
		out = append(out, step)
	}
	return out, nil
}

// askedOf is a question about a container, and the ID of its step. A command is run in the
// container. What goes over the network is asked from the host, as users ask it.
func askedOf(ctid int, spec health.Spec) (health.Spec, string) {
	id := fmt.Sprintf("%s:%d/%s", health.Name, ctid, spec.Name)
	if spec.HTTP != nil || spec.TCP != nil {
		return spec, id
	}
	argv := spec.Command.Argv
	if argv == nil {
		argv = []string{"/bin/sh", "-c", spec.Command.Script}
	}
	spec.Command = health.Command{Argv: append(guest.Attach(ctid), argv...)}
	return spec, id
}
