package fleet

import (
	"encoding/json"
	"strings"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/findings"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/kind/nvidia"
)

// judging is the Agent of a host whose cards a check judges. The host hands on what it
// has; what that means is told here, where the configuration is known.
type judging struct {
	Agent
	step   string // that asks for the cards
	driver string // that sees to the driver; empty without one
	rules  findings.Rules
}

// withFindings is a, unless the job judges the cards.
func withFindings(h Host, a Agent) Agent {
	j := judging{Agent: a, rules: findings.Rules{Policy: h.GPUPolicy, Budget: h.GPUBudget, Given: h.GPUGiven}}
	for _, s := range h.Job.Steps {
		switch {
		case s.Kind == gpus.Name && specOf(s).Inspect:
			j.step = s.ID
		case s.Kind == nvidia.Name:
			var spec nvidia.Spec
			if json.Unmarshal(s.Spec, &spec) == nil {
				j.driver = s.ID
				j.rules.Driver = spec.Driver != ""
				j.rules.Nodes = spec.DeviceNodes == nil || *spec.DeviceNodes
			}
		}
	}
	if j.step == "" || h.Confirm != nil {
		return a
	}
	return &j
}

// Receive is Agent's. The cards are asked for after all else.
func (j *judging) Receive() (wire.Message, error) {
	m, err := j.Agent.Receive()
	if err != nil || m.Event == nil || m.Event.Result == nil {
		return m, err
	}
	switch m.Event.Step {
	case j.driver:
		j.rules.Ahead, j.rules.NodesAhead = ahead(m.Event.Result)
	case j.step:
		e := judged(*m.Event, j.rules)
		m.Event = &e
	}
	return m, nil
}

// ahead tells whether a step of the driver would install or load one, and whether it would
// make its nodes. Only what a run does counts: a unit for the next boot loads nothing and
// makes no node now, and what a run would refuse is not made.
func ahead(r *tasks.Result) (driver, nodes bool) {
	if r.Status != tasks.StatusWouldChange {
		return false, false
	}
	for _, c := range r.Changes {
		switch {
		case c.Held():
		case c.Path == "driver", c.Path == "running.driver", strings.HasPrefix(c.Path, "modules."):
			driver = true
		case c.Path == "device_nodes" && strings.Contains(c.From, "no /dev/"):
			nodes = true
		}
	}
	return driver, nodes || driver
}

// judged is an answer with its findings: a critical one fails the step, and warnings are
// the step's. What is only to be known is in the data.
func judged(e tasks.Event, rules findings.Rules) tasks.Event {
	var list []gpufacts.Finding
	e = changed(e, func(h *gpufacts.Host) bool {
		list = findings.Of(h, rules)
		h.Findings = list
		return true
	})
	r := *e.Result
	r.Warnings = append(r.Warnings, findings.Texts(list, gpufacts.SeverityWarning)...)
	if bad := findings.Texts(list, gpufacts.SeverityCritical); len(bad) > 0 && r.Status == tasks.StatusOK {
		r.Status, r.Why = tasks.StatusFailed, strings.Join(bad, "\n")
	}
	e.Result = &r
	return e
}
