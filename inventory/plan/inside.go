package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
)

// useInside is what all work inside containers of a host uses.
const useInside = "inside"

// inside adds what is made inside a container, one step after the other, to the step of
// the container, which then only begins it; and, where something is left to do after all
// of that, the step that finishes it.
func (b *builder) inside(c *inventory.Container) {
	if c.Spec.State == lxc.StateAbsent || len(c.Inside) == 0 {
		return
	}
	steps, digest := b.insideSteps(c)
	spec := c.Spec
	spec.Stage, spec.Inside = lxc.StageBegin, digest
	b.replace(lxc.StepID(spec.CTID), &spec)
	b.steps = append(b.steps, steps...)
	if !spec.Finishes() {
		return
	}
	spec.Stage = lxc.StageFinish
	needs := []string{lxc.StepID(spec.CTID)}
	for _, s := range steps {
		needs = append(needs, s.ID)
	}
	b.add(lxc.Name, lxc.FinishID(spec.CTID), "lxc_configs", &spec, needs, containerTags(&spec))
	b.steps[len(b.steps)-1].Uses = []string{useNode, useContainer(spec.CTID)}
}

// replace gives a step another spec.
func (b *builder) replace(id string, spec tasks.Spec) {
	i := slices.IndexFunc(b.steps, func(s tasks.Step) bool { return s.ID == id })
	raw, err := json.Marshal(spec)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("encode step %s: %w", id, err)
	}
	b.steps[i].Spec = raw
}

// insideSteps are the steps of what is made inside, and what is noted of all of them where
// nobody can look inside afterwards. What an inside step needs is the one before: a
// feature builds on those that are listed before it.
func (b *builder) insideSteps(c *inventory.Container) ([]tasks.Step, string) {
	own := &builder{}
	need := lxc.StepID(c.Spec.CTID)
	var parts []string
	for _, i := range c.Inside {
		id := insideID(c.Spec.CTID, i)
		tags := append(containerTags(&c.Spec), i.Name)
		if name, own := strings.CutPrefix(i.Name, "feature/"); own {
			tags = append(tags, name)
		}
		own.add(i.Kind, id, "inside", i.Spec, []string{need}, tags)
		s := &own.steps[len(own.steps)-1]
		s.TimeoutS, s.Uses = i.TimeoutS, []string{useInside, useContainer(c.Spec.CTID)}
		s.Inside = &tasks.Inside{CTID: c.Spec.CTID, Safety: c.Spec.Safety()}
		parts = append(parts, part(i.Name, s))
		need = id
	}
	if b.err == nil {
		b.err = own.err
	}
	if c.Spec.Runs() {
		return own.steps, ""
	}
	digest := noted(parts)
	for i := range own.steps {
		own.steps[i].Inside.Receipt = digest
	}
	return own.steps, digest
}

// part is what is noted of one step: its name, and a digest of all that is wanted.
func part(name string, s *tasks.Step) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s", s.Kind, s.Spec))
	plain := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != ',' && r != '=' {
			return r
		}
		return '_'
	}, name)
	return plain + "=" + hex.EncodeToString(sum[:4])
}

// maxNoted is how long a note in a container's description may be, in bytes.
const maxNoted = 1024

// noted is a text for all parts, short enough for a description.
func noted(parts []string) string {
	text := strings.Join(parts, ",")
	if len(text) <= maxNoted {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "all=" + hex.EncodeToString(sum[:8])
}

// insideID is the ID of a step inside a container: "docker:902", "feature:902/tuned".
func insideID(ctid int, i inventory.Inside) string {
	kind, name, below := strings.Cut(i.Name, "/")
	if !below {
		return fmt.Sprintf("%s:%d", kind, ctid)
	}
	return fmt.Sprintf("%s:%d/%s", kind, ctid, name)
}

// doneID is the step after which a container is as it is to be.
func doneID(c *inventory.Container) string {
	switch {
	case c.Spec.State == lxc.StateAbsent || len(c.Inside) == 0:
		return lxc.StepID(c.Spec.CTID)
	case c.Spec.Finishes():
		return lxc.FinishID(c.Spec.CTID)
	}
	return insideID(c.Spec.CTID, c.Inside[len(c.Inside)-1])
}

// doneIn is doneID of a container by its number.
func doneIn(h *inventory.Host, ctid int) string {
	for i := range h.Containers {
		if c := &h.Containers[i]; c.Spec.CTID == ctid {
			return doneID(c)
		}
	}
	return lxc.StepID(ctid)
}

// withoutPartial drops the steps that finish a container in which the selection leaves out some of
// what is to be made inside.
func withoutPartial(steps []tasks.Step, kept map[string]bool) []tasks.Step {
	return slices.DeleteFunc(steps, func(s tasks.Step) bool {
		partly := s.Kind == lxc.Name && strings.HasSuffix(s.ID, "/finish") && slices.ContainsFunc(s.Needs, func(id string) bool { return !kept[id] })
		if partly {
			delete(kept, s.ID)
		}
		return partly
	})
}
