package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"phoenix/e2e/realhost"
)

const (
	// manyContainers is what a large host has.
	manyContainers   = 100
	targetContainers = 50 // milliseconds on the host
	// pctConfig is the processor time of one `pct config`, nearly all of it Perl's
	// start, as measured on Proxmox VE 8.4 on a quiet machine.
	pctConfig = 700 * time.Millisecond
)

// containers measures the check of one host that has many containers, which it makes
// first.
func (b bench) containers(ctx context.Context) error {
	report := filepath.Join(b.dir, "containers-report.json")
	inventory, err := b.crowd(b.fleet.Hosts[0])
	if err != nil {
		return err
	}
	verb := func(verb string) program {
		return program{name: verb, argv: []string{b.phoenix, verb, "-q", "-i", inventory, "--known-hosts", b.fleet.KnownHosts, "-o", "json=" + report}}
	}
	check := verb("check")
	if _, err := verb("run").start(ctx, b.env()); err != nil {
		return err
	}
	var took []int64
	for range b.rounds {
		if _, err := check.start(ctx, b.env()); err != nil {
			return err
		}
		ms, err := onTheHost(report)
		if err != nil {
			return err
		}
		took = append(took, ms)
	}
	slices.Sort(took)
	fmt.Printf("\none host with %d containers, milliseconds from the job to its end: min, median, max\n", manyContainers)
	fmt.Printf("  check      %6d %6d %6d   %s\n", took[0], median(took), took[len(took)-1], verdict(float64(median(took)), targetContainers))
	fmt.Printf("  pct config %6d of processor time for each once, as measured on Proxmox VE 8.4: %.0f times as long\n",
		manyContainers*pctConfig.Milliseconds(), float64(manyContainers*pctConfig.Milliseconds())/float64(max(median(took), 1)))
	return nil
}

// crowd writes an inventory of one host with many containers.
func (b bench) crowd(h *realhost.Host) (string, error) {
	configs := map[string]any{}
	for i := range manyContainers {
		configs[fmt.Sprint(100+i)] = map[string]any{
			"name":           fmt.Sprintf("ct%d", i),
			"tags":           []string{"many"},
			"network_config": map[string]any{"name": "eth0", "bridge": "vmbr0", "ip": fmt.Sprintf("10.99.98.%d/24", 10+i)},
			"pct_options":    map[string]any{"nesting": true},
			"start_at_boot":  true,
			"boot_order":     i,
		}
	}
	data, err := json.Marshal(map[string]any{
		"version": 1,
		"defaults": map[string]any{
			"template": "debian-12-standard", "storage_pool": "local-lvm", "storage_size_gb": 4, "memory_mb": 512, "swap_mb": 0, "cores": 1,
		},
		"lxc_configs": configs,
	})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "containers.json"), data, 0o600); err != nil {
		return "", err
	}
	text := fmt.Sprintf("version: 1\nhosts:\n  %s: {address: %s, port: %d, user: root, lxc: containers.json, identity_files: [%s]}\n",
		h.Name, h.Address, h.Port, b.fleet.IdentityFile)
	path := filepath.Join(b.dir, "hosts-containers.yaml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// onTheHost is how long the job of the one host in a report took, from when the
// connection was there.
func onTheHost(report string) (int64, error) {
	data, err := os.ReadFile(report)
	if err != nil {
		return 0, err
	}
	var r struct {
		Hosts []struct {
			DurationMS int64 `json:"duration_ms"`
			ConnectMS  int64 `json:"connect_ms"`
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return 0, fmt.Errorf("read %s: %w", report, err)
	}
	if len(r.Hosts) != 1 {
		return 0, fmt.Errorf("read %s: it has %d hosts", report, len(r.Hosts))
	}
	return r.Hosts[0].DurationMS - r.Hosts[0].ConnectMS, nil
}
