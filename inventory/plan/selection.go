package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/inventory/diag"
	"phoenix/tasks"
	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/kind/gpus"
)

// Selection says which steps of a plan are taken. The zero value takes all.
//
// The tags of a step are its family ("file"), the section of the document it comes
// from ("files"), its ID ("file:/etc/motd") and, for a container, its own tags and
// its CTID ("ct900").
type Selection struct {
	// Tags takes only steps that have one of them.
	Tags []string
	// SkipTags leaves out steps that have one of them; it wins over Tags.
	SkipTags []string
	// OnlyCT takes only the steps of these containers.
	OnlyCT []int
	// Boot adds the step that simulates a boot, whatever the tags say.
	Boot bool
	// GPUs, when set, adds the step that judges the cards, on hosts whose configuration has
	// some.
	GPUs *gpus.Spec
}

func (sel Selection) takes(s tasks.Step) bool {
	has := func(tag string) bool { return slices.Contains(s.Tags, tag) }
	switch {
	case slices.ContainsFunc(sel.SkipTags, has):
		return false
	case len(sel.Tags) > 0 && !slices.ContainsFunc(sel.Tags, has):
		return false
	}
	return len(sel.OnlyCT) == 0 || slices.ContainsFunc(sel.OnlyCT, func(id int) bool { return has(fmt.Sprintf("ct%d", id)) })
}

// Validate finds tags and CTIDs that no step of any of the hosts has: they were
// mistyped. It is called once, with all hosts of the run.
func (sel Selection) Validate(hosts []*inventory.Host) error {
	if len(sel.Tags)+len(sel.SkipTags)+len(sel.OnlyCT) == 0 {
		return nil
	}
	known, err := Tags(hosts)
	if err != nil {
		return err
	}
	if sel.Boot {
		known = append(known, bootcheck.Name)
	}
	if sel.GPUs != nil && slices.ContainsFunc(hosts, hasGPUs) {
		known = append(known, gpuTags()...)
	}
	var errs []error
	for _, tag := range slices.Concat(sel.Tags, sel.SkipTags) {
		if !slices.Contains(known, tag) {
			errs = append(errs, unknown("tag", tag, known))
		}
	}
	var ctids []string
	for _, tag := range known {
		if id, ok := strings.CutPrefix(tag, "lxc:"); ok {
			ctids = append(ctids, id)
		}
	}
	for _, id := range sel.OnlyCT {
		if !slices.Contains(ctids, fmt.Sprint(id)) {
			errs = append(errs, unknown("container", fmt.Sprint(id), ctids))
		}
	}
	return errors.Join(errs...)
}

func unknown(what, word string, known []string) error {
	if hint := diag.DidYouMean(word, known); hint != "" {
		return fmt.Errorf("select steps: no step of the selected hosts has the %s %q (%s)", what, word, hint)
	}
	return fmt.Errorf("select steps: no step of the selected hosts has the %s %q", what, word)
}

// Tags lists every tag of every step of the hosts, sorted.
func Tags(hosts []*inventory.Host) ([]string, error) {
	seen := make(map[string]bool)
	for _, h := range hosts {
		steps, err := all(h)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", h.Name, err)
		}
		for _, s := range steps {
			for _, tag := range s.Tags {
				seen[tag] = true
			}
		}
	}
	var out []string
	for tag := range seen {
		out = append(out, tag)
	}
	slices.Sort(out)
	return out, nil
}
