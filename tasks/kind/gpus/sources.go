package gpus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
)

// The probe gives up by itself before it is ended, so that what it knows by then is not
// lost.
const (
	deadline      = 20 * time.Second
	probeDeadline = "15s"
)

// folders are where the probe can lie: those of the helper (transport/deploy).
func folders() []string {
	return []string{"/var/lib/phoenix", "/run/phoenix", "/root/.cache/phoenix"}
}

// nvml asks the driver's library, through the probe.
func (g *gatherer) nvml(ctx context.Context) *gpufacts.Fault {
	if g.probe == "" {
		return &gpufacts.Fault{Kind: gpufacts.KindNoProbe, Text: "this phoenix has no GPU probe for the architecture of the host"}
	}
	name := "agentlet-nvml-" + g.probe
	for _, dir := range folders() {
		file := path.Join(dir, name)
		if _, err := g.h.Stat(file); err != nil {
			continue // the next folder, or the upload, will show what is wrong
		}
		out, fault := g.ask(ctx, file)
		if fault == nil {
			var err error
			if fault, err = g.document(out.Stdout); err != nil {
				fault = &gpufacts.Fault{Kind: gpufacts.KindOther, Text: strings.TrimSpace(fmt.Sprintf("%s ended with status %d: %v %s", file, out.Code, err, firstLine(out.Stderr)))}
			}
		}
		if fault != nil && fault.Kind == gpufacts.KindOther {
			g.f.ProbeMissing = g.spoiled(file)
		}
		return fault
	}
	g.f.ProbeMissing = true
	return &gpufacts.Fault{Kind: gpufacts.KindProbeMissing, Text: "there is no " + name + " in " + strings.Join(folders(), ", ")}
}

// spoiled tells whether a file that did not answer as the probe does is not the probe: cut
// short by a full disk, or replaced. It is looked at only then, for it has megabytes.
func (g *gatherer) spoiled(file string) bool {
	data, err := g.h.ReadFile(file)
	sum := sha256.Sum256(data)
	return err == nil && hex.EncodeToString(sum[:]) != g.probe
}

// run starts a program that asks the driver.
func (g *gatherer) run(ctx context.Context, argv ...string) (tasks.Output, *gpufacts.Fault) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	out, err := g.h.Run(ctx, tasks.Cmd{Argv: argv, ReadOnly: true})
	if err == nil {
		return out, nil
	}
	return out, faultOf(err, argv[0])
}

// faultOf is why a program gave nothing.
func faultOf(err error, program string) *gpufacts.Fault {
	kind := gpufacts.KindOther
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		kind = gpufacts.KindTimeout
	case errors.Is(err, fs.ErrPermission):
		kind = gpufacts.KindPermission
	case errors.Is(err, fs.ErrNotExist) && !path.IsAbs(program):
		kind = gpufacts.KindLibraryMissing // the two come together
	}
	return &gpufacts.Fault{Kind: kind, Text: err.Error()}
}

// firstLine is the first line of what a program said, for a message.
func firstLine(text []byte) string {
	if lines := tasks.Lines(string(text)); len(lines) > 0 {
		return printable(lines[0])
	}
	return ""
}

// maxXML is the most of nvidia-smi's output that goes into a message: with what it grows
// there, and all else, it stays below the 4 MiB that a step may tell.
const maxXML = 512 << 10

// smi keeps what nvidia-smi says; why is why the probe gave nothing. It asks the same
// driver, so where that hung it is not asked to hang once more: nobody can end a process
// that waits in the kernel.
func (g *gatherer) smi(ctx context.Context, why string) *gpufacts.Fault {
	if why == gpufacts.KindTimeout {
		return &gpufacts.Fault{Kind: why, Text: "not asked: it asks the driver, which does not answer"}
	}
	out, fault := g.run(ctx, "nvidia-smi", "-q", "-x")
	if fault != nil {
		return fault
	}
	const first, last = "<nvidia_smi_log>", "</nvidia_smi_log>"
	text := string(out.Stdout)
	if !strings.Contains(text, first) || !strings.HasSuffix(strings.TrimSpace(text), last) {
		said := out.Stdout
		if len(said) == 0 {
			said = out.Stderr
		}
		return &gpufacts.Fault{Kind: smiFault(out.Code), Text: fmt.Sprintf("nvidia-smi -q -x ended with status %d: %s", out.Code, firstLine(said))}
	}
	text = g.shortened(text)
	if len(text) > maxXML {
		return &gpufacts.Fault{Kind: gpufacts.KindOther, Text: fmt.Sprintf("nvidia-smi -q -x says %d bytes, more than the %d that are read", len(text), maxXML)}
	}
	g.f.SMI = text
	return nil
}

// smiFault is what an exit status of nvidia-smi says: it is the number of NVML's error
// (nvidia-smi(1), RETURN VALUE; nvml.h, nvmlReturn_t).
func smiFault(code int) string {
	switch code {
	case 4:
		return gpufacts.KindPermission
	case 9:
		return gpufacts.KindDriverNotLoaded
	case 12:
		return gpufacts.KindLibraryMissing
	case 18:
		return gpufacts.KindVersionMismatch
	}
	return gpufacts.KindOther
}

// shortened leaves out the indentation and two sorts of lines of the XML, and notes the
// processes: the hundreds of clocks that a card supports, and the names of processes.
// nvidia-smi writes a process's whole command line there, as it is: it can hold
// secrets, and it can break the XML. Who owns a process is asked of the kernel.
func (g *gatherer) shortened(text string) string {
	var out strings.Builder
	for _, line := range tasks.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "<process_name>") || strings.HasPrefix(line, "<supported_graphics_clock>") {
			continue
		}
		if word, is := strings.CutPrefix(line, "<pid>"); is {
			word, _, _ = strings.Cut(word, "<")
			pid, _ := strconv.Atoi(word)
			g.uses(pid)
		}
		out.WriteString(line)
		out.WriteByte('\n')
	}
	return out.String()
}

// kernel tells what the kernel knows of the cards: the driver's list of those that it
// has, or else the PCI bus.
func (g *gatherer) kernel() {
	d := &g.f
	version, _, err := gpu.Loaded(g.h)
	if err != nil {
		g.unreadable(err)
	}
	d.DriverVersion = version
	d.Source = gpufacts.SourceProc
	for i, b := range g.bound {
		c := &line{Index: i, Minor: &g.bound[i].Minor, UUID: b.UUID, PCIAddress: b.Address, PCIID: g.pciID(b.Address)}
		g.information(c)
		d.add(c)
	}
	if len(g.bound) > 0 {
		return
	}
	fault := &gpufacts.Fault{Kind: gpufacts.KindDriverNotLoaded, Text: "NVIDIA's driver is not loaded"}
	if version != "" {
		fault = &gpufacts.Fault{Kind: gpufacts.KindOther, Text: "NVIDIA's driver is loaded and has no card"}
	}
	g.missed(gpufacts.SourceProc, fault)
	d.Source = gpufacts.SourceSysfs
	for i, c := range g.cards {
		d.add(&line{Index: i, PCIAddress: c.Address, PCIID: g.pciID(c.Address)})
	}
}

func (g *gatherer) pciID(address string) string {
	for _, c := range g.cards {
		if c.Address == address {
			return fmt.Sprintf("10de:%04x", c.Device)
		}
	}
	return ""
}

// information adds what the driver's own file says of a card beside its node.
func (g *gatherer) information(c *line) {
	data, err := g.h.ReadFile("/proc/driver/nvidia/gpus/" + c.PCIAddress + "/information")
	if err != nil {
		g.unreadable(err)
	}
	for _, l := range tasks.Lines(string(data)) {
		key, value, _ := strings.Cut(l, ":")
		switch value = printable(value); key {
		case "Model":
			c.Name = value
		case "Video BIOS":
			if !strings.Contains(value, "?") { // no program has used the card yet
				c.VBIOSVersion = value
			}
		}
	}
}
