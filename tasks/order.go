package tasks

import (
	"fmt"
	"strings"
)

// Order returns the steps so that each comes after all that it needs, and
// otherwise as given. It fails on an empty or repeated ID, a need that names no
// step, and a cycle, which it spells out.
func Order(steps []Step) ([]Step, error) {
	o := orderer{byID: make(map[string]Step, len(steps)), state: make(map[string]visit, len(steps)), out: make([]Step, 0, len(steps))}
	for _, s := range steps {
		if s.ID == "" {
			return nil, fmt.Errorf("order steps: a %s step has no ID", s.Kind)
		}
		if _, twice := o.byID[s.ID]; twice {
			return nil, fmt.Errorf("order steps: two steps are called %s", s.ID)
		}
		o.byID[s.ID] = s
	}
	for _, s := range steps {
		if err := o.visit(s, nil); err != nil {
			return nil, err
		}
	}
	return o.out, nil
}

type visit int

const (
	unvisited visit = iota
	open
	done
)

type orderer struct {
	byID  map[string]Step
	state map[string]visit
	out   []Step
}

func (o *orderer) visit(s Step, path []string) error {
	if o.state[s.ID] == done {
		return nil
	}
	path = append(path, s.ID)
	if o.state[s.ID] == open {
		return fmt.Errorf("order steps: dependency cycle %s", strings.Join(path, " -> "))
	}
	o.state[s.ID] = open
	for _, need := range s.Needs {
		n, ok := o.byID[need]
		if !ok {
			return fmt.Errorf("order steps: %s needs %s, which is not among the steps", s.ID, need)
		}
		if err := o.visit(n, path); err != nil {
			return err
		}
	}
	o.state[s.ID] = done
	o.out = append(o.out, s)
	return nil
}
