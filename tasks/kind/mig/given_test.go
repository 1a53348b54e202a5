package mig_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/mig"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const archive = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"

// container makes one that is configured with the GPU instances of the first card that
// have the given numbers.
func (h host) container(t *testing.T, ctid int, instances ...int) {
	t.Helper()
	line := fmt.Sprintf("pct create %d %s --rootfs local-lvm:1 --dev0 /dev/nvidia0,mode=0666", ctid, archive)
	for i, id := range instances {
		h.run(t, fmt.Sprintf("nvidia-modprobe -f /proc/driver/nvidia/capabilities/gpu0/mig/gi%d/access", id))
		line += fmt.Sprintf(" --dev%d /dev/nvidia-caps/nvidia-cap%d,mode=0444", i+1, 3+id*9)
	}
	h.run(t, line)
}

func (h host) instances(address string) (out []string) {
	for _, g := range h.sim.MIG()[address].Instances {
		out = append(out, fmt.Sprintf("%d:%s", g.ID, g.Profile))
	}
	slices.Sort(out)
	return out
}

func TestMIG_whatAContainerIsGivenIsTheLastToGo(t *testing.T) {
	for _, c := range []struct {
		name, want string
		now        []sim.MIGInstance
		given      []int
		left       []string
	}{
		{"a free one of the profile goes first", `["1g.5gb"]`, []sim.MIGInstance{gi(7, "1g.5gb", 0, 1), gi(12, "1g.5gb", 5, 1)}, []int{12}, []string{"12:1g.5gb"}},
		{"in the other order", `["1g.5gb"]`, []sim.MIGInstance{gi(7, "1g.5gb", 0, 1), gi(12, "1g.5gb", 5, 1)}, []int{7}, []string{"7:1g.5gb"}},
		{"a free one in the way is made anew, and the given one stays", `["4g.20gb","1g.5gb","1g.5gb"]`,
			[]sim.MIGInstance{gi(9, "1g.5gb", 2, 1), gi(12, "1g.5gb", 5, 1)}, []int{12}, []string{"12:1g.5gb", "13:1g.5gb", "1:4g.20gb"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := divisible(t, map[string]sim.MIGCard{first: divided(c.now...)})
			h.container(t, 901, c.given...)
			res := taskstest.Run(t, mig.Kind(), `{"mig":{"0":`+c.want+`}}`, h)
			if got := h.instances(first); res.Status != tasks.StatusChanged || res.Cause != "" || !slices.Equal(got, c.left) {
				t.Errorf("%s %s: the card has %v, want %v", res.Status, res.Why, got, c.left)
			}
		})
	}
}

func TestMIG_whatAContainerIsGivenIsNeverDestroyed(t *testing.T) {
	for name, c := range map[string]struct{ want, taken string }{
		"another layout":                 {`["7g.40gb"]`, "2g.10gb of container 900, container 901"},
		"no MIG at all":                  {`"off"`, "2g.10gb of container 900, container 901"},
		"no instance":                    {`[]`, "2g.10gb of container 900, container 901"},
		"one that is in the way of more": {`["4g.20gb","2g.10gb","1g.5gb"]`, "2g.10gb of container 900, container 901"},
	} {
		t.Run(name, func(t *testing.T) {
			h := divisible(t, map[string]sim.MIGCard{first: divided(gi(3, "2g.10gb", 0, 2), gi(5, "2g.10gb", 4, 2)), second: divided()})
			h.container(t, 900, 3)
			h.container(t, 901, 3)
			before := h.instances(first)
			spec := `{"mig":{"0":` + c.want + `,"1":["1g.5gb"]}}`
			check := taskstest.Check(t, mig.Kind(), spec, h)
			res := taskstest.Run(t, mig.Kind(), spec, h)
			if !slices.Equal(h.instances(first), before) || len(h.instances(second)) != 1 {
				t.Errorf("the cards have %v and %v", h.instances(first), h.instances(second))
			}
			for _, d := range []tasks.Diff{check.Changes, res.Remaining} {
				i := slices.IndexFunc(d, func(x tasks.Change) bool { return x.Path == "mig.0.instances" })
				if i < 0 || !d[i].Held() || d[i].Effect != tasks.EffectPending || !strings.Contains(d[i].Note, c.taken) || !strings.Contains(d[i].Note, "gpu_assignment") {
					t.Errorf("%+v", d)
				}
			}
			if res.Cause != tasks.CausePending {
				t.Errorf("%s %s", res.Status, res.Why)
			}
			h.run(t, "pct destroy 900")
			h.run(t, "pct destroy 901")
			if last := taskstest.Run(t, mig.Kind(), spec, h); last.Status != tasks.StatusChanged || last.Cause != "" {
				t.Errorf("when they are gone: %+v", last)
			}
		})
	}
}

func TestMIG_oneCardThatCannotBeKeepsNoOtherFromItsOwn(t *testing.T) {
	plain := func(h host) {}
	for _, c := range []struct {
		name, card, want, why string
		make                  func(host)
	}{
		{"too much", "0", `["7g.40gb","1g.5gb"]`, "mig.0 7g.40gb 1g.5gb: 7g.40gb, 1g.5gb do not fit onto the card together", plain},
		{"a card that is gone", "0000:09:00.0", `[]`, "mig.0000:09:00.0 none: the driver of this host has none of that name; it has GPU 0, ", plain},
		{"a card that is lost", "0", `["1g.5gb"]`, "mig.0 1g.5gb: it does not answer: run nvidia-smi --query-gpu", func(h host) { _ = h.sim.SetGPUFaults(map[string]any{"0": "lost"}) }},
		{"a lost card that nobody names", "", "", "", func(h host) { _ = h.sim.SetGPUFaults(map[string]any{"0": "lost"}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := divisible(t, map[string]sim.MIGCard{first: divided(gi(9, "1g.5gb", 2, 1))})
			c.make(h)
			spec := `{"mig":{"1":["3g.20gb"]`
			if c.card != "" {
				spec += `,"` + c.card + `":` + c.want
			}
			spec += "}}"
			check := taskstest.Check(t, mig.Kind(), spec, h)
			if d := append(check.Changes, check.Remaining...); !d.Has("mig.1.instances") {
				t.Errorf("check: %+v", check)
			}
			res := taskstest.Run(t, mig.Kind(), spec, h)
			if got := h.instances(second); len(got) != 1 {
				t.Errorf("the other card has %v", got)
			}
			again := taskstest.NewRecorder(h)
			after := taskstest.Run(t, mig.Kind(), spec, again)
			if len(again.Changes()) > 0 {
				t.Errorf("a second run did %v", again.Changes())
			}
			if c.why == "" {
				if res.Status != tasks.StatusChanged || after.Status != tasks.StatusOK {
					t.Errorf("run: %+v, again: %+v", res, after)
				}
				return
			}
			if check.Status != tasks.StatusFailed || !strings.Contains(check.Why, c.why) {
				t.Errorf("check: %s: %s", check.Status, check.Why)
			}
			if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "divide card "+c.card+": ") || len(res.Changes) == 0 {
				t.Errorf("run: %s: %s", res.Status, res.Why)
			}
			if got := h.instances(first); len(got) != 1 {
				t.Errorf("the card has %v", got)
			}
		})
	}
}

// A program that cannot be run at all is not the fault of a card.
func TestMIG_eachCardIsAskedOnlyWhereOneMayBeBroken(t *testing.T) {
	h := divisible(t, nil)
	rec := taskstest.NewRecorder(h)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.Contains(o.String(), "--query-gpu") {
			return &taskstest.Answer{Output: tasks.Output{Code: 9, Stdout: []byte("NVIDIA-SMI has failed\n")}}
		}
		return nil
	}
	res := taskstest.Check(t, mig.Kind(), layout, rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "NVIDIA-SMI has failed") {
		t.Errorf("%+v", res)
	}
}
