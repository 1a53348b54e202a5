package gpus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/boot"
	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/guest"
	"phoenix/tasks/kind/bootcheck"
)

// StepID is the step of the family, of which a machine has one.
const StepID = Name + ":host"

// inspect adds what a check judges beside the cards. Nothing is judged here.
func (g *gatherer) inspect(ctx context.Context) {
	m := &gpufacts.Machine{}
	g.f.Machine = m
	var err error
	m.Loaded, _, err = gpu.Loaded(g.h)
	g.doubt(err)
	m.Library, err = gpu.Library(g.h)
	g.doubt(err)
	g.doubt(g.kernels(m))
	for i := range g.bound {
		at := g.bound[i].Address
		if !slices.ContainsFunc(g.cards, func(c gpu.Card) bool { return c.Address == at }) {
			m.Gone = append(m.Gone, at)
		}
	}
	if m.Loaded != "" {
		g.nodes(ctx, m)
	}
	for _, ctid := range g.spec.Guests {
		g.guest(ctx, m, ctid)
	}
}

// left tells whether the driver has cards, of which none may be on the bus any more.
func left(h tasks.Host) bool {
	bound, err := gpu.BoundCards(h)
	return err != nil || len(bound) > 0
}

func (g *gatherer) doubt(err error) {
	if err != nil {
		g.unreadable(err)
	}
}

// kernels tells which kernels the driver lies ready for.
func (g *gatherer) kernels(m *gpufacts.Machine) error {
	all, err := gpu.Kernels(g.h)
	if err != nil {
		return err
	}
	next, _, err := boot.Next(g.h)
	if err != nil {
		return err
	}
	for _, k := range all {
		file, err := gpu.ModuleFile(g.h, k)
		if err != nil {
			return err
		}
		m.Kernels = append(m.Kernels, gpufacts.Kernel{Release: k, Next: k == next, Module: file != ""})
	}
	return nil
}

// statTime bounds a program that only looks at names.
const statTime = 5 * time.Second

// nodes tells of the device nodes that are there, and which of those that containers have
// a boot does not make.
func (g *gatherer) nodes(ctx context.Context, m *gpufacts.Machine) {
	data, err := g.h.ReadFile("/proc/devices")
	g.doubt(err)
	for _, l := range tasks.Lines(string(data)) {
		if l = strings.TrimSpace(l); strings.Contains(l, " nvidia") {
			m.Devices = append(m.Devices, l)
		}
	}
	all := gpu.ControlNodes()
	used := []string{"/dev/nvidiactl", "/dev/nvidia-uvm"}
	for i := range g.f.Cards {
		c := &g.f.Cards[i]
		if c.Node != "" {
			all = append(all, c.Node)
		}
		if c.Node != "" && len(c.Assigned) > 0 {
			used = append(used, c.Node)
		}
	}
	bound, cancel := context.WithTimeout(ctx, statTime)
	defer cancel()
	argv := append([]string{"stat", "-c", "%n %F %t %T", "--"}, all...)
	out, err := g.h.Run(bound, tasks.Cmd{Argv: argv, ReadOnly: true})
	g.doubt(err) // of those that are not there, it says so and ends with status 1
	m.Nodes = texts(out.Stdout)
	if len(used) == 2 {
		return // nobody needs them when guests start
	}
	missing, err := bootcheck.NotMade(g.h, used)
	g.doubt(err)
	m.NotAtBoot = missing
}

// most lines that are handed on of what a program says.
const mostLines = 100

// texts are the lines of what a program says.
func texts(said []byte) []string {
	var out []string
	for _, l := range tasks.Lines(string(said)) {
		if l = printable(l); l != "" && len(out) < mostLines {
			out = append(out, l)
		}
	}
	return out
}

// guest asks a running container which libraries of the driver it has. A process inside
// follows its links: from outside, they could lead anywhere. What comes of it is the
// container's own word, and bounded.
func (g *gatherer) guest(ctx context.Context, m *gpufacts.Machine, ctid int) {
	found, err := guest.Read(g.h, ctid)
	if errors.Is(err, guest.ErrNone) || err == nil && !found.Running() {
		return
	}
	said := gpufacts.Guest{CTID: ctid}
	if err == nil {
		var out tasks.Output
		bound, cancel := context.WithTimeout(ctx, statTime)
		argv := append(guest.Attach(ctid), "readlink", "-f")
		for _, dir := range []string{gpu.Libraries, "/usr/lib64", "/usr/lib"} {
			argv = append(argv, dir+"/libnvidia-ml.so.1", dir+"/libcuda.so.1")
		}
		out, err = g.h.Run(bound, tasks.Cmd{Argv: argv, ReadOnly: true})
		cancel()
		for _, l := range texts(out.Stdout) {
			if _, version, is := strings.Cut(l, ".so."); is && version != "1" {
				said.Libraries = append(said.Libraries, l)
			}
		}
		// A folder that is not there has readlink end with status 1 as well; it tells of
		// the others then.
		if err == nil && out.Code != 0 && len(out.Stdout) == 0 {
			said.Why = firstLine(out.Stderr)
		}
	}
	if err != nil {
		said.Why = printable(err.Error())
	}
	m.Guests = append(m.Guests, said)
}
