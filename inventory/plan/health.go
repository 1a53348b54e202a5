package plan

import (
	"fmt"
	"strconv"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/health"
	"phoenix/tasks/kind/lxc"
)

// containerHealth adds the questions to a container, when all containers are done.
func (b *builder) containerHealth(c *inventory.Container) {
	if !c.Spec.Runs() {
		return
	}
	needs := []string{lxc.StepID(c.Spec.CTID)}
	if c.Firewall != nil {
		needs = append(needs, guestFirewallID(c.Spec.CTID))
	}
	for i := range c.HealthChecks {
		spec, id := inside(c.Spec.CTID, c.HealthChecks[i].Spec)
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
		spec, id := inside(c.Spec.CTID, c.HealthChecks[i].Spec)
		step, err := tasks.NewStep(health.Name, id, &spec)
		if err != nil {
			return nil, err
		}
		step.Needs, step.TimeoutS = []string{need}, spec.LimitS()
		out = append(out, step)
	}
	return out, nil
}

// guestPath is where programs are looked for inside a container; lxc-attach hands over
// nothing of the host's environment.
const guestPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// inside is a question that is asked in a container, and the ID of its step.
func inside(ctid int, spec health.Spec) (health.Spec, string) {
	argv := spec.Command.Argv
	if argv == nil {
		argv = []string{"/bin/sh", "-c", spec.Command.Script}
	}
	spec.Command = health.Command{Argv: append([]string{"lxc-attach", "-n", strconv.Itoa(ctid), "--clear-env", "--set-var", guestPath, "--"}, argv...)}
	return spec, fmt.Sprintf("%s:%d/%s", health.Name, ctid, spec.Name)
}
