package bootcheck

import (
	"sync"

	"phoenix/tasks"
)

// NotMade are those of the device nodes of NVIDIA cards that nothing makes at boot. What
// something may make, or may make too late, is not among them; and whether the driver lies
// ready for the kernel that is started then is another question.
func NotMade(h tasks.Host, nodes []string) ([]string, error) {
	m := &machine{host: h}
	m.makers = sync.OnceValue(m.readMakers)
	var err error
	if m.units, err = readUnits(h); err != nil {
		return nil, err
	}
	var out []string
	for _, n := range nodes {
		if f := m.cardNode(n); f.Effect == EffectStops {
			out = append(out, n)
		}
	}
	return out, nil
}
