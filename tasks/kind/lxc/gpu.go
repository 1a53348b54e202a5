package lxc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

const (
	pathGPU    = "gpu_assignment"
	pathGPURaw = pathGPU + ".lxc_options"
)

// gpuMode lets every user of the container use the card, as the driver's own nodes do.
// Proxmox's default is 0660 for root.
const gpuMode = "0666"

// passed is what a container's GPU assignment comes to on this host.
type passed struct {
	nodes []gpuNode
	// missing is why it cannot be told or made, as where the driver is not loaded;
	// nothing is changed then.
	missing string
	// ahead says that a step before this one may bring what is missing.
	ahead bool
	// majors are the drivers of character devices by their number.
	majors map[string]string
	// others are the devices that the key devices gives.
	others []string
	// parts tells that MIG instances are given.
	parts bool
	// moved are indexes that mean another card by now.
	moved []finding
}

// gpuNode is a device node; an empty mode is gpuMode.
type gpuNode struct{ path, note, mode string }

// findGPUs looks for the cards that the spec names. It is asked once for each check and
// each apply, before anything is compared.
func (t *task) findGPUs(ctx context.Context, h tasks.Host) error {
	a, unmet := t.spec.GPUAssignment, t.spec.GPULedger.unmet()
	if a == nil && unmet == "" {
		return nil
	}
	p := &passed{missing: unmet}
	for _, d := range t.spec.Devices {
		p.others = append(p.others, d.Path)
	}
	t.spec.passed = p
	data, err := tasks.ReadTable(h, "/proc/devices")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("find GPUs: %w", err)
	}
	p.majors = characterMajors(string(data))
	if a.None() || unmet != "" {
		return nil
	}
	cards, err := t.boundCards(ctx, h)
	if err != nil {
		return fmt.Errorf("find GPUs: %w", err)
	}
	if len(cards) == 0 {
		p.missing, p.ahead = "NVIDIA's driver is not loaded, or has no card", gpu.DriverAhead(ctx)
		return nil
	}
	if p.missing = p.choose(&t.spec, cards); p.missing != "" {
		return nil
	}
	p.moved = t.spec.movedIndexes(cards)
	if p.missing, err = p.divide(ctx, h, &t.spec, cards); err == nil && p.missing == "" {
		err = p.look(h)
	}
	p.ahead = p.missing != "" && gpu.DriverAhead(ctx)
	return err
}

// created is why a new container cannot get its cards. No container is made without what
// it is for.
func (p *passed) created(s *Spec) error {
	switch {
	case p == nil || p.missing == "":
		return nil
	case p.ahead:
		return &tasks.UnknownError{Why: fmt.Sprintf("whether container %d can have GPU %s shows once the steps before it have run: %s", s.CTID, s.wantedGPUs(), p.missing)}
	}
	return fmt.Errorf("give container %d GPU %s: %s", s.CTID, s.wantedGPUs(), p.missing)
}

// characterMajors reads the first part of /proc/devices.
func characterMajors(text string) map[string]string {
	text, _, _ = strings.Cut(text, "Block devices:")
	out := make(map[string]string)
	for _, line := range tasks.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 {
			out[f[0]] = f[1]
		}
	}
	return out
}

// choose takes the wanted cards; it returns why one cannot be had.
func (p *passed) choose(s *Spec, cards []gpu.Bound) (missing string) {
	taken := make([]bool, len(cards))
	for _, name := range s.GPUAssignment.Cards() {
		i := s.cardOf(name, cards)
		if i < 0 {
			return s.goneCard(name, cards)
		}
		taken[i] = true
	}
	for i, b := range cards {
		if taken[i] || s.GPUAssignment.All() {
			p.nodes = append(p.nodes, gpuNode{path: b.Node(), note: card(i, b)})
		}
	}
	return ""
}

func card(i int, b gpu.Bound) string {
	return fmt.Sprintf("GPU %d, %s, %s", i, b.Address, orElse(b.UUID, "UUID not known before a program uses it"))
}

func describe(cards []gpu.Bound) string {
	words := make([]string, len(cards))
	for i, b := range cards {
		words[i] = card(i, b)
	}
	return strings.Join(words, "; ")
}

// look adds the nodes that go with the cards and sees that all are there.
func (p *passed) look(h tasks.Host) error {
	for _, c := range gpu.ControlNodes() {
		p.nodes = append(p.nodes, gpuNode{path: c})
	}
	var gone []string
	for _, n := range p.nodes {
		there, err := exists(h, n.path)
		if err != nil {
			return fmt.Errorf("find GPUs: %w", err)
		}
		if !there {
			gone = append(gone, n.path)
		}
	}
	if len(gone) > 0 {
		p.missing = "the host has no " + strings.Join(gone, ", ") + guest.MadeAtBoot
		return nil
	}
	there, err := exists(h, gpu.ModesetNode)
	if there {
		p.nodes = append(p.nodes, gpuNode{path: gpu.ModesetNode})
	}
	return err
}

func exists(h tasks.Host, p string) (bool, error) {
	_, err := h.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// entries are the device entries that the container is to have.
func (p *passed) entries() []entry {
	if p == nil || p.missing != "" {
		return nil
	}
	var out []entry
	for _, n := range p.nodes {
		var root int
		var deny bool
		d := Device{Path: n.path, Mode: orElse(n.mode, gpuMode), UID: &root, GID: &root, DenyWrite: &deny}
		e := d.entryAt(pathGPU + "." + n.path)
		e.note = n.note
		out = append(out, e)
	}
	return out
}

// surplus lists the device entries of cards that the container is not to have, and
// second ones of those it is to have.
func (p *passed) surplus(v values) []finding {
	if p == nil || p.missing != "" {
		return nil
	}
	var out []finding
	var seen []string
	for _, key := range indexedKeys(v, "dev") {
		node := devicePath(v[key])
		if !p.managed(node) {
			continue
		}
		wanted := slices.ContainsFunc(p.nodes, func(n gpuNode) bool { return n.path == node })
		at := pathGPU + "." + node
		if slices.Contains(seen, node) {
			at, wanted = at+" ("+key+")", false
		}
		seen = append(seen, node)
		if !wanted {
			out = append(out, finding{Change: tasks.Change{Path: at, From: v[key], Effect: tasks.EffectRestart}, key: key})
		}
	}
	return out
}

// devicePath is the node of a device entry; "" where it cannot be read.
func devicePath(value string) string {
	def, _ := shape("dev")
	p, err := pve.ParsePropertyString(value, def)
	if err != nil {
		return ""
	}
	node, _ := p.Get(def)
	return node
}

// gpuFindings tells of cards that cannot be given, and of what else differs beside the
// device entries.
func (t *task) gpuFindings(h tasks.Host, f *found) ([]finding, error) {
	p := t.spec.passed
	if p == nil {
		return nil, nil
	}
	if p.missing != "" {
		var have []string
		for _, key := range indexedKeys(f.now, "dev") {
			if node := devicePath(f.now[key]); gpu.IsNode(node) {
				have = append(have, node)
			}
		}
		c := tasks.Change{Path: pathGPU, From: strings.Join(have, " "), To: t.spec.wantedGPUs(), Effect: tasks.EffectRestart, Note: tasks.NoteCannot + p.missing}
		if p.ahead {
			c.Note = p.missing
		}
		return []finding{{Change: c, op: opGPU}}, nil
	}
	others, err := t.oldFindings(h, f)
	return append(others, p.moved...), err
}

// oldFindings tells of the raw lines by which older tools gave cards.
func (t *task) oldFindings(h tasks.Host, f *found) ([]finding, error) {
	p := t.spec.passed
	if t.spec.LXCOptions != nil {
		return nil, nil // that list replaces all raw lines
	}
	c := tasks.Change{Path: pathGPURaw, From: joinRaw(p.legacy(f.conf.Head().Raw())), Effect: tasks.EffectRestart}
	if c.From != "" {
		if len(p.nodes) > 0 {
			c.Note = "device entries take the place of these lines"
		}
		return []finding{{Change: c, op: opRaw}}, nil
	}
	begun, known, err := t.startedWith(h, f)
	if err != nil || !known || len(p.legacy(begun)) == 0 {
		return nil, err
	}
	c.From, c.Effect, c.Note = joinRaw(p.legacy(begun)), tasks.EffectPending, noteStaged
	return []finding{{Change: c, op: opStaged}}, nil
}

// withoutGPUs fails where cards cannot be given, after all else was changed: a container
// is not started without what it is for.
func (a *applier) withoutGPUs(context.Context) error {
	_, found, err := a.read()
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(found, func(x finding) bool { return x.op == opGPU }); i >= 0 {
		return fmt.Errorf("give container %d GPU %s: %s", a.task.spec.CTID, found[i].To, a.task.spec.passed.missing)
	}
	return nil
}
