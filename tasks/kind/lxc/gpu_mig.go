package lxc

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
)

// capabilityMode is the one that the driver itself gives the nodes of instances: whoever
// may open one may use it.
const capabilityMode = "0444"

var migUUID = regexp.MustCompile(`^MIG-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// canonMIG is the one form of the UUID of a MIG instance; "" for what is none. Drivers
// before 470 named instances otherwise, and by numbers that change.
func canonMIG(word string) string {
	if id, is := strings.CutPrefix(strings.ToLower(word), "mig-"); is && migUUID.MatchString("MIG-"+id) {
		return "MIG-" + id
	}
	return ""
}

// Instances are the MIG instances that are named, by UUID.
func (a Assignment) Instances() (out []string) {
	for _, word := range a {
		if id := canonMIG(word); id != "" {
			out = append(out, id)
		}
	}
	return out
}

// device is a MIG instance as nvidia-smi counts: of a card, by its UUID, at an index.
type device struct {
	card, index string
	gi, ci      int
}

// listed reads `nvidia-smi -L`: "GPU 0: … (UUID: GPU-…)" and below it "  MIG 1g.5gb  Device
// 0: (UUID: MIG-…)".
func listed(text string) map[string]device {
	out := make(map[string]device)
	card := ""
	for _, line := range tasks.Lines(text) {
		f := strings.Fields(strings.NewReplacer(":", " ", ")", " ").Replace(line))
		switch {
		case len(f) > 1 && f[0] == "GPU":
			card, _ = gpu.CardName(f[len(f)-1])
		case len(f) == 6 && f[0] == "MIG" && canonMIG(f[5]) != "":
			out[canonMIG(f[5])] = device{card: card, index: f[3]}
		}
	}
	return out
}

// numbered reads from `nvidia-smi -q -x` what no other listing tells: which numbers the
// instance at an index has, by "ADDRESS INDEX". What follows the instances of a card has
// the command lines of processes, which are anybody's to choose: a card that is told of
// twice is believed in neither.
func numbered(text string) (map[string]device, error) {
	out := make(map[string]device)
	var seen []string
	address, at := "", ""
	for _, line := range tasks.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "<"), ">")
		value, _, _ = strings.Cut(value, "<")
		id, is := strings.CutPrefix(key, "gpu id=")
		if is {
			address, _ = gpu.CardName(strings.Trim(id, `"`))
			if slices.Contains(seen, address) {
				return nil, errors.New("nvidia-smi -q -x tells of card " + address + " twice")
			}
			seen = append(seen, address)
			continue
		}
		d := out[at]
		n, err := strconv.Atoi(value)
		switch {
		case key == "/mig_devices":
			address, at = "", ""
		case address == "" || err != nil:
			continue
		case key == "index":
			at = address + " " + value
			out[at] = device{gi: -1, ci: -1}
		case key == "gpu_instance_id" && at != "":
			d.gi = n
			out[at] = d
		case key == "compute_instance_id" && at != "":
			d.ci = n
			out[at] = d
		}
	}
	return out, nil
}

// divided tells whether the driver has an instance of a card.
func divided(h tasks.Host, b gpu.Bound) bool {
	names, err := h.ReadDir(gpu.Capabilities + "/gpu" + strconv.Itoa(b.Minor) + "/mig")
	return err == nil && len(names) > 0 // nvidia-smi says why, where it is something else
}

// smi asks nvidia-smi. What it says of some cards counts although it fails over another.
func smi(ctx context.Context, h tasks.Host, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	c := tasks.Cmd{Argv: append([]string{"nvidia-smi"}, args...), ReadOnly: true}
	out, err := h.Run(ctx, c)
	return string(out.Stdout), tasks.Failed(c, out, err)
}

// listInstances looks for the wanted ones, card after card, until it has all: a card that
// is broken costs only its own. The last question is for a program that does not list one
// card alone.
func listInstances(ctx context.Context, h tasks.Host, want []string, cards []gpu.Bound) (list map[string]device, err error) {
	list = make(map[string]device)
	lacks := func(id string) bool { return list[id].card == "" }
	ask := func(args ...string) {
		if ctx.Err() != nil || !slices.ContainsFunc(want, lacks) {
			return
		}
		text, failed := smi(ctx, h, args...)
		if failed != nil && err == nil {
			err = failed
		}
		for id, d := range listed(text) {
			list[id] = d
		}
	}
	for _, b := range cards {
		if divided(h, b) {
			ask("-L", "-i", b.Address)
		}
	}
	ask("-L")
	return list, err
}

// divide takes the instances that are wanted: of each the node of its card, and the two
// capabilities without which a program sees nothing of it.
func (p *passed) divide(ctx context.Context, h tasks.Host, s *Spec, cards []gpu.Bound) (missing string, err error) {
	want := s.GPUAssignment.Instances()
	if p.parts = len(want) > 0; !p.parts {
		return "", nil
	}
	list, failed := listInstances(ctx, h, want, cards)
	if cards, err = gpu.BoundCards(h); err != nil || ctx.Err() != nil { // now with all UUIDs
		return "", errors.Join(err, ctx.Err())
	}
	numbers := make(map[string]device)
	asked := ""
	var nodes []gpuNode
	for _, id := range want {
		d := list[id]
		i := slices.IndexFunc(cards, func(b gpu.Bound) bool { return d.card != "" && b.UUID == d.card })
		if i < 0 && failed != nil {
			return "whether this host has MIG instance " + id + " cannot be told: " + failed.Error(), nil
		}
		if i < 0 {
			return "this host has no MIG instance " + id + "; `nvidia-smi -L` lists those that it has" + s.chooseAnew(), nil
		}
		if at := cards[i].Address; asked != at {
			asked = at
			text, err := smi(ctx, h, "-q", "-x", "-i", at)
			if err == nil {
				numbers, err = numbered(text)
			}
			if err != nil {
				return err.Error(), nil
			}
		}
		n, ok := numbers[cards[i].Address+" "+d.index]
		if !ok || n.gi < 0 || n.ci < 0 {
			return "nvidia-smi -q -x does not tell the numbers of MIG instance " + id, nil
		}
		p.give(gpuNode{path: cards[i].Node(), note: card(i, cards[i])})
		for _, file := range gpu.AccessFiles(cards[i].Minor, n.gi, n.ci) {
			node, err := gpu.CapabilityNode(h, file)
			if errors.Is(err, fs.ErrNotExist) {
				return err.Error(), nil
			}
			if err != nil {
				return "", err
			}
			nodes = append(nodes, gpuNode{path: node, note: id, mode: capabilityMode})
		}
	}
	for _, n := range nodes {
		p.give(n)
	}
	return "", nil
}

// give adds a node once: instances share that of their card, and of their GPU instance.
func (p *passed) give(n gpuNode) {
	for i := range p.nodes {
		if p.nodes[i].path == n.path {
			return
		}
	}
	p.nodes = append(p.nodes, n)
}

// managed tells whether a node of a container is the assignment's to keep or take.
// Capabilities that `devices` names are that key's. The first two are no instance's: they
// allow to divide cards, and to see all of them, which only who has a part must not have.
func (p *passed) managed(node string) bool {
	if !gpu.IsCapability(node) || slices.Contains(p.others, node) {
		return gpu.IsNode(node)
	}
	return p.parts || node != "/dev/nvidia-caps/nvidia-cap1" && node != "/dev/nvidia-caps/nvidia-cap2"
}
