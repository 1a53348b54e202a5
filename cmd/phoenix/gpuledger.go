package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/findings"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/report"
)

// gpuLedger holds what hosts tell of their cards against the configuration: who is to have
// which card, who has it, and who uses it.
type gpuLedger struct{ fleet *inventory.Fleet }

// event is an answer with its ledger and its findings. One that is about something else,
// or cannot be read, stays as it is.
func (l gpuLedger) event(host string, e tasks.Event) tasks.Event {
	h := l.fleet.Host(host)
	var data gpufacts.Host
	if h == nil || e.Step != gpuStep || e.Result == nil || json.Unmarshal(e.Result.Data, &data) != nil {
		return e
	}
	findings.Place(&data)
	data.Ledger = entries(h, &data)
	data.Findings = findings.Of(&data, findings.Rules{Policy: h.GPUPolicy, Budget: gpuBudget(h), Given: gpuGiven(h)})
	raw, err := json.Marshal(data)
	if err != nil {
		return e
	}
	r := *e.Result
	r.Data, e.Result = raw, &r
	return e
}

// shown is show, of the answers with their ledgers: for samples, which no other part looks
// at.
func (l gpuLedger) shown(show func(io.Writer, report.Report, map[string]string) error) func(io.Writer, report.Report, map[string]string) error {
	return func(w io.Writer, r report.Report, marks map[string]string) error {
		r.Hosts = slices.Clone(r.Hosts)
		for i := range r.Hosts {
			h := &r.Hosts[i]
			h.Steps = slices.Clone(h.Steps)
			for j := range h.Steps {
				s := &h.Steps[j]
				s.Result = *l.event(h.Name, tasks.Event{Step: s.ID, Result: &s.Result}).Result
			}
		}
		return show(w, r, marks)
	}
}

// gpuBudget tells the budgets of a host's containers.
func gpuBudget(h *inventory.Host) func(ctid int) float64 {
	return func(ctid int) float64 {
		for i := range h.Containers {
			if c := &h.Containers[i]; c.Spec.CTID == ctid && c.Spec.State != lxc.StateAbsent {
				return h.GPUMemoryGB(c)
			}
		}
		return 0
	}
}

// entries is the ledger of a host, by card.
func entries(h *inventory.Host, data *gpufacts.Host) []gpufacts.Entry {
	budget, out := gpuBudget(h), []gpufacts.Entry{}
	gpus := data.All()
	for i := range gpus {
		g := &gpus[i]
		e := gpufacts.Entry{GPU: g.UUID, Policy: h.GPUPolicy(g.UUID, g.PCIAddress, g.Index)}
		if e.GPU == "" {
			e.GPU = g.PCIAddress
		}
		wanted := wantedBy(h, g)
		var assigned []int
		if c := data.Card(g.PCIAddress); c != nil {
			assigned = c.Assigned
		}
		ctids := slices.Concat(wanted, assigned)
		for _, p := range g.Processes {
			if o := data.Owner(p.PID); o != nil && o.CTID != 0 {
				ctids = append(ctids, o.CTID)
			}
		}
		slices.Sort(ctids)
		for _, ctid := range slices.Compact(ctids) {
			s := gpufacts.Share{CTID: ctid, Name: containerName(h, data, ctid), Wanted: slices.Contains(wanted, ctid), Assigned: slices.Contains(assigned, ctid), BudgetGB: budget(ctid), Template: data.Template(ctid), Instances: data.InstancesOf(g, ctid)}
			if used, n, known, sized := data.Used(g, ctid); known {
				s.Processes = &n
				if sized {
					s.UsedBytes = &used
				}
			}
			e.Containers = append(e.Containers, s)
		}
		out = append(out, e)
	}
	return out
}

// containerName is what a container is called on its host, or else what it is to be called.
func containerName(h *inventory.Host, data *gpufacts.Host, ctid int) string {
	name := data.ContainerName(ctid)
	for i := range h.Containers {
		if c := &h.Containers[i].Spec; name == "" && c.CTID == ctid {
			name = c.Name
		}
	}
	return name
}

// wantedBy are the containers that the configuration, with what is pinned, gives a card,
// whole or in part.
func wantedBy(h *inventory.Host, g *gpufacts.GPU) []int {
	names := []string{g.UUID, g.PCIAddress}
	for id, c := range h.Lock().Lock.Kept(h.Name).Cards {
		if g.UUID == "" && c.PCIAddress == g.PCIAddress { // the driver does not tell its name
			names = append(names, id)
		}
	}
	if g.MIG != nil {
		for _, i := range g.MIG.Instances {
			names = append(names, i.UUID)
		}
	}
	var out []int
	for i := range h.Containers {
		c := &h.Containers[i]
		of := h.GPUSource(c)
		if c.Spec.State == lxc.StateAbsent || of == nil {
			continue
		}
		pins := h.Lock().Lock.Kept(h.Name).Containers[of.Spec.CTID].Names
		has := of.Spec.GPUAssignment.All() || slices.ContainsFunc(append(of.Spec.GPUAssignment.Cards(), of.Spec.GPUAssignment.Instances()...), func(name string) bool {
			if id := pins[name]; id != "" {
				name = id
			}
			return name == strconv.Itoa(g.Index) || slices.Contains(names, name)
		})
		if has {
			out = append(out, c.Spec.CTID)
		}
	}
	return out
}

// policyOf is the policy of a card; empty where nothing is said.
func policyOf(h *gpufacts.Host, g *gpufacts.GPU) string {
	if e := h.Entry(g); e != nil {
		return e.Policy
	}
	return ""
}

// shares are the containers of a card: those that are assigned it, with what they use of
// their budget, and behind a mark those that use it without, or use too much.
func (t *gpuSheet) shares(h *gpufacts.Host, g *gpufacts.GPU) string {
	e := h.Entry(g)
	if e == nil {
		return t.assigned(h, g.PCIAddress)
	}
	var words []string
	for _, s := range e.Containers {
		words = append(words, strings.TrimSpace(fmt.Sprintf("%d %s", s.CTID, t.style.Clean(s.Name)))+shareOf(&s))
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

// shareOf is what is to be said of a container with a card: its use of its budget, that it
// does nothing, or that it does not have what it uses or is to have.
func shareOf(s *gpufacts.Share) string {
	uses := s.Processes != nil && *s.Processes > 0
	text := ""
	switch {
	case !s.Assigned && !uses:
		return " to come"
	case s.Template:
		text = " template"
	case s.BudgetGB > 0 && s.UsedBytes != nil:
		text = fmt.Sprintf(" %.1f/%g GB", float64(*s.UsedBytes)/1e9, s.BudgetGB)
	case s.BudgetGB > 0:
		text = fmt.Sprintf(" ?/%g GB", s.BudgetGB)
	case s.Processes != nil && !uses:
		text = " idle"
	}
	if s.Above() {
		text += "!"
	}
	if !s.Assigned {
		text += " unassigned!"
	}
	return text
}

// ledger tells the findings of the ledger; what is wrong with a card itself is its state.
func (t *gpuSheet) ledger(host string, h *gpufacts.Host) {
	for _, f := range h.Findings {
		if slices.Contains([]string{"shared", "not assigned", "above budget", "gone"}, f.Word) {
			t.doubt(host, f.Text)
		}
	}
}
