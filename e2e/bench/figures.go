package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The targets, as ratios or per host.
const (
	targetMinimal  = 1.4  // of minimal, 30 properties
	reachMinimal   = 1.15 // what to reach for
	target300      = 1.2  // of the 30-property time
	targetMemoryKB = 1024 // per host
	targetCPU      = 5 * time.Millisecond
)

// speed compares the walls of a warm check with the two floors.
func (b bench) speed(ctx context.Context) error {
	hosts := b.fleet.Hosts[:min(b.hosts, len(b.fleet.Hosts))]
	bare, minimal, err := b.floors(hosts)
	if err != nil {
		return err
	}
	check30, err := b.check(hosts, 30)
	if err != nil {
		return err
	}
	check300, err := b.check(hosts, 300)
	if err != nil {
		return err
	}
	samples, err := b.turns(ctx, bare, minimal, check30, check300)
	if err != nil {
		return err
	}
	fmt.Printf("\nwarm check of %d hosts, %d rounds, seconds of wall: min, median, max\n", len(hosts), b.rounds)
	for _, p := range []program{bare, minimal, check30, check300} {
		w := sorted(samples[p.name], func(s sample) float64 { return s.wall.Seconds() })
		fmt.Printf("  %-10s %6.3f %6.3f %6.3f\n", p.name, w[0], median(w), w[len(w)-1])
	}
	fmt.Println("\nratios, round by round: min, median, max")
	show := func(what string, r []float64, target float64, note string) {
		fmt.Printf("  %-28s %5.2f %5.2f %5.2f   %s\n", what, r[0], median(r), r[len(r)-1], verdict(median(r), target)+note)
	}
	show("check 30 / minimal", ratios(samples["check 30"], samples["minimal"]), targetMinimal, fmt.Sprintf(" (reach for %.2f)", reachMinimal))
	show("check 300 / check 30", ratios(samples["check 300"], samples["check 30"]), target300, "")
	show("check 30 / bare", ratios(samples["check 30"], samples["bare"]), 0, "")
	show("minimal / bare", ratios(samples["minimal"], samples["bare"]), 0, "")
	return nil
}

// cost is what a large check costs the workstation, per host.
func (b bench) cost(ctx context.Context) error {
	hosts := b.fleet.Hosts
	check, err := b.check(hosts, 30)
	if err != nil {
		return err
	}
	samples, err := b.turns(ctx, check)
	if err != nil {
		return err
	}
	n := len(hosts)
	list := samples[check.name]
	memory := median(sorted(list, func(s sample) int64 { return s.peakKB })) / int64(n)
	cpu := median(sorted(list, func(s sample) time.Duration { return s.cpu })) / time.Duration(n)
	fmt.Printf("\nworkstation, per host of %d\n", n)
	fmt.Printf("  peak memory  %6d KiB   %s\n", memory, verdict(float64(memory), targetMemoryKB))
	fmt.Printf("  processor    %6.2f ms    %s\n", float64(cpu)/1e6, verdict(float64(cpu)/1e6, float64(targetCPU)/1e6))
	return nil
}

// thousand checks the lab's own hosts, all in one process.
func (b bench) thousand(ctx context.Context) error {
	p := program{name: "lab", argv: []string{
		b.phoenix, "lab", "--hosts", fmt.Sprint(b.lab), "--dir", filepath.Join(b.dir, "lab"), "--", b.phoenix, "-q", "check", "-i", "hosts.yaml", "-o", "json=report.json",
	}}
	begin := time.Now()
	_, err := p.start(ctx, b.env())
	fmt.Printf("\nlab of %d hosts in one process: ", b.lab)
	// Fresh hosts differ from the lab's configuration: 2 is the code of differences.
	if err != nil && !exitedWith(err, 2) {
		fmt.Println("MISSED")
		return err
	}
	if _, err := os.Stat(filepath.Join(b.dir, "lab", "report.json")); err != nil {
		return err
	}
	fmt.Printf("check completes, %.1f s with making the hosts\n", time.Since(begin).Seconds())
	return nil
}

func verdict(got, target float64) string {
	switch {
	case target == 0:
		return ""
	case got <= target:
		return fmt.Sprintf("met, target %g", target)
	}
	return fmt.Sprintf("MISSED, target %g", target)
}
