package findings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks/gpufacts"
)

// OfCard lists what is wrong with one card, by what the driver says of it, the worst first.
func OfCard(g *gpufacts.GPU) []gpufacts.Finding {
	c := card{g: g}
	c.state()
	c.memory()
	c.errors()
	c.heat()
	for _, e := range g.GroupErrors {
		c.add(gpufacts.SeverityNote, "facts missing", fmt.Sprintf("not all facts of %s are known: %s: %s", e.Group, e.Kind, e.Text), "")
	}
	return sorted(c.list)
}

type card struct {
	g    *gpufacts.GPU
	list []gpufacts.Finding
}

func (c *card) add(s gpufacts.Severity, word, text, mend string) {
	c.list = append(c.list, gpufacts.Finding{Severity: s, GPU: cmp.Or(c.g.UUID, c.g.PCIAddress), Word: word, Text: about(c.g) + ": " + text, Mend: mend})
}

// logs is where the driver says what happened to a card.
const logs = "`dmesg | grep -e Xid -e NVRM` on the host says what happened"

// state is whether the card answers at all. One that has fallen off the bus (Xid 79) comes
// back with a reboot, or with the power off; one that does so again is to be looked at:
// its seat, its power and its heat (docs.nvidia.com/deploy/xid-errors, Xid 79).
func (c *card) state() {
	e := c.g.Error
	if e == nil {
		return
	}
	switch e.Kind {
	case gpufacts.KindLost:
		c.add(gpufacts.SeverityCritical, e.Kind, "it has fallen off the bus: "+e.Text,
			"reboot the host, or switch it off and on; look at the card's seat, power and heat; "+logs)
	case gpufacts.KindTimeout:
		c.add(gpufacts.SeverityCritical, e.Kind, "the driver hung over it: "+e.Text, "reboot the host; "+logs)
	case gpufacts.KindCrash:
		c.add(gpufacts.SeverityCritical, e.Kind, "the driver's library crashed over it: "+e.Text, "reboot the host, or switch it off and on; "+logs)
	default:
		c.add(gpufacts.SeverityCritical, e.Kind, "the driver does not tell of it: "+e.Text, "reboot the host; "+logs)
	}
}

// reset is how a card gets another start.
const reset = "stop what uses the card, then reset it with `nvidia-smi --gpu-reset -i %s`, or reboot the host"

// at is how nvidia-smi is told the card.
func (c *card) at() string { return cmp.Or(c.g.PCIAddress, c.g.UUID, fmt.Sprint(c.g.Index)) }

// memory is wear that the card replaces by itself. What is pending waits for a reset, and
// programs can go on until then; a row that could not be replaced is NVIDIA's criterion
// for an exchange, which its field diagnostic confirms
// (docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt, "RMA Policy" and "Error Recovery and
// Response Flags"). On cards before Ampere, pages are retired, which takes effect when the
// driver is loaded anew (docs.nvidia.com/deploy/dynamic-page-retirement, "Visibility").
func (c *card) memory() {
	at := c.at()
	if r := c.g.RowRemapping; r != nil {
		if r.Failed != nil && *r.Failed {
			c.add(gpufacts.SeverityCritical, "row remapping failed", "a row of its memory is bad and could not be replaced",
				"use the card no more; NVIDIA's field diagnostic confirms that it is to be exchanged")
		}
		if r.Pending != nil && *r.Pending {
			c.add(gpufacts.SeverityWarning, "row remapping pending", "rows of its memory are to be replaced, which waits for a reset", fmt.Sprintf(reset, at))
		}
	}
	if r := c.g.RetiredPages; r != nil && r.Pending != nil && *r.Pending {
		c.add(gpufacts.SeverityWarning, "page retirement pending", "pages of its memory are to be used no more, which waits for the driver to be loaded anew", fmt.Sprintf(reset, at))
	}
}

// manyCorrected is from how many errors on that were corrected a card is worth a look. They
// cost nothing, and NVIDIA has no threshold for them: a healthy card has a handful over
// its life.
const manyCorrected = 1000

// errors are those of memory that is checked. One that could not be corrected has ended the
// program that met it (Xid 48, docs.nvidia.com/deploy/xid-errors); those since the driver
// was loaded are fresh.
func (c *card) errors() {
	e := c.g.ECC
	if e == nil {
		return
	}
	fresh, ever := counts(e.Volatile), counts(e.Aggregate)
	switch {
	case fresh.uncorrected > 0:
		c.add(gpufacts.SeverityCritical, Counted(fresh.uncorrected, "ECC error"), Counted(fresh.uncorrected, "error")+" of its memory could not be corrected since the driver was loaded",
			fmt.Sprintf(reset, c.at())+"; if they come back, run NVIDIA's field diagnostic")
	case ever.uncorrected > 0:
		c.add(gpufacts.SeverityWarning, "ECC errors before", Counted(ever.uncorrected, "error")+" of its memory could not be corrected over its life, none of them since the driver was loaded", "watch whether they grow; if they do, run NVIDIA's field diagnostic")
	}
	if n := max(fresh.corrected, ever.corrected); n >= manyCorrected {
		c.add(gpufacts.SeverityWarning, "corrected ECC errors", Counted(n, "error")+" of its memory were corrected", "watch whether they grow: the memory wears out")
	}
	if e.Pending != nil && e.Enabled != *e.Pending {
		c.add(gpufacts.SeverityNote, "ECC mode pending", fmt.Sprintf("ECC is %s and will be %s after a reset", onOff(e.Enabled), onOff(*e.Pending)), "")
	}
}

type errorCounts struct{ corrected, uncorrected uint64 }

func counts(e *gpufacts.ECCErrors) (out errorCounts) {
	if e != nil && e.Corrected != nil {
		out.corrected = *e.Corrected
	}
	if e != nil && e.Uncorrected != nil {
		out.uncorrected = *e.Uncorrected
	}
	return out
}

// heat is what makes a card slower than it is, or stops it. What the hardware does of it
// at least halves the clocks (nvml.h, nvmlClocksEventReasons); the last of the reasons is
// no reason of its own: it comes with the two others, and for a moment with a change of
// clocks.
func (c *card) heat() {
	has := func(reason string) bool { return slices.Contains(c.g.ThrottleReasons, reason) }
	at := ""
	if t := c.g.Temperature; t != nil && t.GPU != nil {
		at = fmt.Sprintf(" at %d C", *t.GPU)
		switch {
		case t.Slowdown != nil && *t.Slowdown > 0 && *t.GPU >= *t.Slowdown:
			c.add(gpufacts.SeverityCritical, "too hot", fmt.Sprintf("it is %d C hot, and slows itself down from %d C on%s", *t.GPU, *t.Slowdown, shutdown(t)), airflow)
		case t.Shutdown != nil && *t.Shutdown > 0 && *t.GPU >= *t.Shutdown:
			c.add(gpufacts.SeverityCritical, "too hot", fmt.Sprintf("it is %d C hot, and switches itself off at %d C", *t.GPU, *t.Shutdown), airflow)
		}
	}
	switch {
	case has("hw_thermal_slowdown"):
		c.add(gpufacts.SeverityWarning, "thermal slowdown", "the hardware has at least halved its clocks"+at+", since it is too hot", airflow)
	case has("sw_thermal_slowdown"):
		c.add(gpufacts.SeverityWarning, "thermal slowdown", "the driver has lowered its clocks"+at+", since it is hot", airflow)
	}
	switch {
	case has("hw_power_brake_slowdown"):
		c.add(gpufacts.SeverityWarning, "power brake", "the machine's power supply has it halve its clocks", "look at the power supply and its cables")
	case has("hw_slowdown") && !has("hw_thermal_slowdown"):
		c.add(gpufacts.SeverityWarning, "hardware slowdown", "the hardware has at least halved its clocks: too hot, or too little power", "ask again: for a moment it is so with each change of clocks")
	}
}

const airflow = "look at its fans, the dust and the air that it gets"

func shutdown(t *gpufacts.Temperature) string {
	if t.Shutdown == nil || *t.Shutdown <= 0 {
		return ""
	}
	return fmt.Sprintf("; at %d C it switches itself off", *t.Shutdown)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// Counted is "1 error", "2 errors", "2 processes".
func Counted(n uint64, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "s"):
		what += "es"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
