package smixml

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/gpufacts"
)

func (c *card) facts(index int) gpufacts.GPU {
	g := gpufacts.GPU{
		Index: index, Minor: count(c.Minor), UUID: known(c.UUID), PCIAddress: address(c.ID), PCIID: pciID(c.DeviceID),
		Serial: known(c.Serial), Name: known(c.Name), Architecture: known(c.Architecture), VBIOSVersion: known(c.VBIOS),
		Memory: c.Memory.facts(), Power: c.power(), Clocks: c.clocks(), ECC: c.ecc(), MIG: c.mig(),
		RetiredPages: c.Retired.facts(), RowRemapping: c.Remapped.facts(), ThrottleReasons: c.throttle(), Processes: c.processes(),
		ComputeMode:      strings.ToLower(known(c.ComputeMode)),
		PerformanceState: count(strings.TrimPrefix(known(c.State), "P")),
		PersistenceMode:  yes(c.Persistence),
	}
	if gpu, mem := amount(c.GPUUtil, "%", 1), amount(c.MemoryUtil, "%", 1); gpu != nil && mem != nil {
		g.Utilization = &gpufacts.Utilization{GPU: *gpu, Memory: *mem}
	}
	if t := (gpufacts.Temperature{GPU: amount(c.Temperature, "C", 1), Slowdown: amount(c.Slowdown, "C", 1), Shutdown: amount(c.Shutdown, "C", 1)}); t != (gpufacts.Temperature{}) {
		g.Temperature = &t
	}
	if f := amount(c.Fan, "%", 1); f != nil {
		g.FansPercent = []int{*f}
	}
	return g
}

// amount is a number with its unit, times what makes it ours.
func amount(text, unit string, times float64) *int {
	word, is := strings.CutSuffix(known(text), " "+unit)
	v, err := strconv.ParseFloat(word, 64)
	if !is || err != nil || math.IsNaN(v) || math.Abs(v) > 1e9 {
		return nil
	}
	n := int(math.Round(v * times))
	return &n
}

// count is a whole number from 0 up.
func count(text string) *int {
	n, err := strconv.ParseUint(known(text), 10, 31)
	if err != nil {
		return nil
	}
	v := int(n)
	return &v
}

func yes(text string) *bool {
	var on bool
	switch known(text) {
	case "Enabled", "Yes", "Active":
		on = true
	case "Disabled", "No", "Not Active":
	default:
		return nil
	}
	return &on
}

// bytes is a number of MiB. A machine's card has less than a pebibyte.
func bytes(text string) *uint64 {
	word, is := strings.CutSuffix(known(text), " MiB")
	n, err := strconv.ParseUint(word, 10, 30)
	if !is || err != nil {
		return nil
	}
	n <<= 20
	return &n
}

// address is a PCI address as sysfs writes it; empty for what is none.
func address(text string) string {
	domain, rest, _ := strings.Cut(strings.ToLower(known(text)), ":")
	n, err := strconv.ParseUint(domain, 16, 32)
	bus, slot, _ := strings.Cut(rest, ":")
	device, function, _ := strings.Cut(slot, ".")
	for _, part := range []string{bus, device} {
		if _, bad := strconv.ParseUint(part, 16, 8); bad != nil || len(part) != 2 {
			return ""
		}
	}
	if err != nil || len(function) != 1 || function < "0" || function > "7" {
		return ""
	}
	domain = strconv.FormatUint(n, 16)
	return strings.Repeat("0", max(0, 4-len(domain))) + domain + ":" + rest
}

// pciID takes "0x268410DE", the device before the vendor, apart.
func pciID(text string) string {
	text = strings.TrimPrefix(strings.ToLower(known(text)), "0x")
	if _, err := strconv.ParseUint(text, 16, 32); err != nil || len(text) != 8 {
		return ""
	}
	return text[4:] + ":" + text[:4]
}

func (m memory) facts() *gpufacts.Memory {
	total, used, free := bytes(m.Total), bytes(m.Used), bytes(m.Free)
	if total == nil || used == nil || free == nil {
		return nil
	}
	return &gpufacts.Memory{Total: *total, Used: *used, Free: *free, Reserved: bytes(m.Reserved)}
}

func first(texts ...string) string {
	for _, t := range texts {
		if known(t) != "" {
			return t
		}
	}
	return ""
}

func (c *card) power() *gpufacts.Power {
	now, old := c.Power, c.OldPower
	watts := func(texts ...string) *int { return amount(first(texts...), "W", 1000) }
	p := gpufacts.Power{
		Draw:    watts(now.Draw, now.Instant, now.Average, old.Draw),
		Limit:   watts(now.Limit, old.Enforced),
		Default: watts(now.Default, old.Default), Min: watts(now.Min, old.Min), Max: watts(now.Max, old.Max),
	}
	if p == (gpufacts.Power{}) {
		return nil
	}
	return &p
}

func (c *card) clocks() *gpufacts.Clocks {
	mhz := func(text string) *int { return amount(text, "MHz", 1) }
	k := gpufacts.Clocks{
		Graphics: mhz(c.Clocks.Graphics), SM: mhz(c.Clocks.SM), Memory: mhz(c.Clocks.Memory),
		MaxGraphics: mhz(c.MaxClocks.Graphics), MaxSM: mhz(c.MaxClocks.SM), MaxMemory: mhz(c.MaxClocks.Memory),
	}
	if k == (gpufacts.Clocks{}) {
		return nil
	}
	return &k
}

// throttle are the reasons by the names that gpufacts has for them.
func (c *card) throttle() []string {
	var out []string
	for _, f := range slices.Concat(c.Events.Each, c.Throttle.Each) {
		name := strings.TrimPrefix(strings.TrimPrefix(f.XMLName.Local, "clocks_event_reason_"), "clocks_throttle_reason_")
		if name == "display_clocks_setting" {
			name = "display_clock_setting"
		}
		active := yes(f.Text)
		if name == f.XMLName.Local || len(name) > 64 || active == nil {
			continue
		}
		if out == nil {
			out = []string{}
		}
		if *active {
			out = append(out, name)
		}
	}
	return out
}

func (c *card) ecc() *gpufacts.ECC {
	now := yes(c.ECC)
	if now == nil {
		return nil
	}
	return &gpufacts.ECC{Enabled: *now, Pending: yes(c.ECCPending), Volatile: c.Volatile.facts(), Aggregate: c.Aggregate.facts()}
}

func (e eccErrors) facts() *gpufacts.ECCErrors {
	f := gpufacts.ECCErrors{Corrected: sum(e.SRAM, e.DRAM), Uncorrected: sum(e.LostSRAM, e.LostParity, e.LostSECDED, e.LostDRAM)}
	if f.Corrected == nil && f.Uncorrected == nil {
		f = gpufacts.ECCErrors{Corrected: sum(e.OldSingle), Uncorrected: sum(e.OldMultiple)}
	}
	if f == (gpufacts.ECCErrors{}) {
		return nil
	}
	return &f
}

// sum adds what is known; nil when nothing is.
func sum(texts ...string) *uint64 {
	var total *uint64
	for _, t := range texts {
		n, err := strconv.ParseUint(known(t), 10, 48)
		if err != nil {
			continue
		}
		if total == nil {
			total = new(uint64)
		}
		*total += n
	}
	return total
}

func (c *card) mig() *gpufacts.MIG {
	now := yes(c.MIGNow)
	if now == nil {
		return nil
	}
	m := &gpufacts.MIG{Enabled: *now, Pending: yes(c.MIGPending)}
	if *now {
		m.Instances = []gpufacts.MIGInstance{}
	}
	for _, d := range c.MIGDevices {
		m.Instances = append(m.Instances, gpufacts.MIGInstance{
			GPUInstance: count(d.GPUInstance), ComputeInstance: count(d.ComputeInstance), UUID: known(d.UUID), Memory: d.Memory.facts(),
		})
	}
	return m
}

func (r retired) facts() *gpufacts.RetiredPages {
	f := gpufacts.RetiredPages{SingleBit: count(r.Single), DoubleBit: count(r.Double), Pending: yes(r.Pending)}
	if f == (gpufacts.RetiredPages{}) {
		return nil
	}
	return &f
}

func (r remapped) facts() *gpufacts.RowRemapping {
	corrected, uncorrected := count(r.Corrected), count(r.Uncorrected)
	if corrected == nil || uncorrected == nil {
		return nil
	}
	return &gpufacts.RowRemapping{Corrected: *corrected, Uncorrected: *uncorrected, Pending: yes(r.Pending), Failed: yes(r.Failed)}
}

// processes in the order of their numbers. One that both computes and draws may be told
// of twice.
func (c *card) processes() []gpufacts.Process {
	if c.Processes == nil {
		return nil
	}
	out := []gpufacts.Process{}
	for _, p := range c.Processes.Each {
		pid := count(p.PID)
		if pid == nil || *pid == 0 || *pid > lastPID {
			continue
		}
		f := gpufacts.Process{PID: *pid, Type: use(p.Type), Memory: bytes(p.Memory), GPUInstance: count(p.GPUInstance), ComputeInstance: count(p.ComputeInstance)}
		if !slices.ContainsFunc(out, func(o gpufacts.Process) bool { return o.PID == f.PID && o.Type == f.Type }) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b gpufacts.Process) int { return a.PID - b.PID })
	return out
}

// use names what nvidia-smi abbreviates: "C", "G", "C+G", "M+C".
func use(text string) string {
	var out []string
	for _, u := range []struct{ letter, name string }{{"C", "compute"}, {"G", "graphics"}, {"M", "mps"}} {
		if slices.Contains(strings.Split(known(text), "+"), u.letter) {
			out = append(out, u.name)
		}
	}
	return strings.Join(out, "+")
}
