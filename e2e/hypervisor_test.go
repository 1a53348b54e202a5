package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
)

// example is examples/hypervisor on hosts of a rig: its arguments name the rig's
// inventory and the example's own.
type example struct{ *rig }

const exampleDir = repositoryRoot + "/examples/hypervisor"

// exampleSecrets are the variables that the examples take their secrets from.
func exampleSecrets() []string {
	return []string{
		"PHOENIX_ANN_HASH=$6$abcdefgh$xpV82S4i7/uMCDZySmlNtDyee9vMMkuHCrboRZ/xnqSyY2a1FnGdCPLqeZ8XQg9/6L.3ZQPKrmq//dK40taUf.",
		"PHOENIX_ANN_SHARE=share of ann", "PHOENIX_NAS_PASSWORD=nas of lab", "PHOENIX_MONITOR_TOKEN=token of lab",
		"PHOENIX_PORTAINER_ADMIN=portainer of lab", "PHOENIX_PORTAINER_AGENTS=agents of lab", "PHOENIX_VLLM_KEY=vllm of lab", "PHOENIX_WEBUI_KEY=webui of lab",
	}
}

func newExample(t *testing.T, hosts int) example {
	t.Helper()
	r := newRig(t, hosts, realhost.Options{GPUs: 2})
	r.env = exampleSecrets()
	r.inventory(t, "")
	r.write(t, "lxc.json", `{"version": 1}`)
	return example{r}
}

// do is a command of phoenix with both inventories and a report in JSON.
func (e example) do(t *testing.T, verb string, flags ...string) outcome {
	t.Helper()
	return e.phoenix(t, slices.Concat([]string{verb, "-i", "hosts.yaml", "-i", labOf(t, "hypervisor"), "-o", "json"}, flags)...)
}

// byHand runs a line of shell on the host.
func (e example) byHand(t *testing.T, line string) {
	t.Helper()
	if out, err := e.Hosts[0].Exec(t.Context(), "sh", "-c", line); err != nil {
		t.Errorf("by hand: %s: %v\n%s", line, err, out)
	}
}

func TestHypervisorExample(t *testing.T) {
	e := newExample(t, 1)
	before := e.digests(t)
	e.do(t, "check").want(t, 2)
	e.do(t, "run", "--dry-run").want(t, 2)
	if after := e.digests(t); !slices.Equal(before, after) {
		t.Fatalf("a check or a dry run of a fresh host wrote on it:\n%s", diff(before, after))
	}
	e.do(t, "run", "--allow-reboot").want(t, 0)
	converged := withoutRecords(e.digests(t))
	e.do(t, "check").want(t, 0).wantChanges(t)
	e.do(t, "run", "--allow-reboot").want(t, 0).wantChanges(t)
	if after := withoutRecords(e.digests(t)); !slices.Equal(converged, after) {
		t.Fatalf("a second run wrote on the host:\n%s", diff(converged, after))
	}

	repaired, refused := rounds()
	for i, round := range repaired {
		ok := t.Run(fmt.Sprintf("changed by hand and repaired, round %d", i+1), func(t *testing.T) {
			want := e.changed(t, round)
			for _, made := range e.do(t, "run", "--allow-reboot").want(t, 0).report(t).changes() {
				if !slices.Contains(want, made) { // some come right with what they lie on
					t.Errorf("the run changed %s", made)
				}
			}
			e.do(t, "check").want(t, 0).wantChanges(t)
		})
		if !ok {
			return // the next one would begin with what is left of this
		}
	}
	for i, round := range refused {
		ok := t.Run(fmt.Sprintf("changed by hand and refused, round %d", i+1), func(t *testing.T) {
			e.changed(t, round)
			e.do(t, "run").want(t, 5).wantChanges(t)
			for _, h := range round {
				e.byHand(t, h.back)
			}
			e.do(t, "check").want(t, 0).wantChanges(t)
		})
		if !ok {
			return
		}
	}
	t.Run("a service that does not answer is a failure of its health check alone", func(t *testing.T) {
		e.byHand(t, "systemctl stop pveproxy")
		got := e.do(t, "check").want(t, 1)
		got.wantChanges(t)
		for _, s := range got.report(t).Hosts[0].Steps {
			if (s.Status != "ok") != (s.ID == "health:web") {
				t.Errorf("%s is %s: %s", s.ID, s.Status, s.Why)
			}
		}
	})
}

// changed makes the changes of a round, and wants a check to report exactly their
// properties.
func (e example) changed(t *testing.T, round []hand) []string {
	t.Helper()
	var want []string
	for _, h := range round {
		e.byHand(t, h.do)
		for w := range strings.SplitSeq(h.want, ", ") {
			want = append(want, "pve1 "+w)
		}
	}
	e.do(t, "check").want(t, 2).wantProperties(t, want)
	return want
}

// wantProperties fails the test unless the report has exactly these changes, in any
// order.
func (o outcome) wantProperties(t *testing.T, want []string) {
	t.Helper()
	got := slices.Sorted(slices.Values(o.report(t).changes()))
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("the report differs from what was changed:\n%s", diff(want, got))
	}
}

// rounds puts what is changed by hand into rounds in which no step is met twice.
func rounds() (repaired, refused [][]hand) {
	place := func(all [][]hand, h hand) [][]hand {
		for i, round := range all {
			if !slices.ContainsFunc(round, func(o hand) bool { return overlap(o, h) }) {
				all[i] = append(round, h)
				return all
			}
		}
		return append(all, []hand{h})
	}
	for _, h := range hands() {
		if h.back == "" {
			repaired = place(repaired, h)
		} else {
			refused = place(refused, h)
		}
	}
	return repaired, refused
}

func hands() []hand {
	return slices.Concat(handsOnTheSystem(), handsOnUsers(), handsOnStorage(), handsOnShares(), handsOnTheRest())
}

// overlap tells whether two changes meet the same step.
func overlap(a, b hand) bool {
	steps := func(h hand) []string { return regexp.MustCompile(`(?:^|, )(\S+) `).FindAllString(h.want, -1) }
	for _, s := range steps(a) {
		if slices.ContainsFunc(steps(b), func(o string) bool { return strings.Trim(o, ", ") == strings.Trim(s, ", ") }) {
			return true
		}
	}
	return false
}
