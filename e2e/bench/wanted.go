package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"phoenix/e2e/realhost"
)

// contentFormat is the content of the n-th file, for printf and for fmt alike.
const contentFormat = `file %s of the benchmark, some text to read and compare\n`

// packages that every simulated host has installed.
func packages() []string {
	return []string{"pve-manager", "proxmox-ve", "openssh-server", "chrony", "bash"}
}

const timezone = "Etc/UTC"

// filesFor is how many files make the given number of properties: three each,
// beside the packages and the time zone.
func filesFor(properties int) int { return (properties - len(packages()) - 1) / 3 }

func content(n int) string {
	return strings.ReplaceAll(fmt.Sprintf(contentFormat, fmt.Sprint(n)), `\n`, "\n")
}

// configure writes an inventory of the hosts that asks for the given number of
// properties, and returns its path.
func configure(dir string, hosts []*realhost.Host, properties int) (string, error) {
	files := map[string]any{}
	for i := range filesFor(properties) {
		files[fmt.Sprintf("/etc/bench/file%d", i)] = map[string]any{"content": content(i), "mode": "0644", "owner": "root"}
	}
	config, err := json.Marshal(map[string]any{
		"version": 1,
		"files":   files,
		"apt":     map[string]any{"packages": packages()},
		"system":  map[string]any{"timezone": timezone},
	})
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("hypervisor-%d.json", properties)
	if err := os.WriteFile(filepath.Join(dir, name), config, 0o600); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\ndefaults:\n  hypervisor: %s\n  identity_files: [%s]\nhosts:\n", name, filepath.Join(dir, "id_ed25519"))
	for _, h := range hosts {
		fmt.Fprintf(&b, "  %s: {address: %s, port: %d}\n", h.Name, h.Address, h.Port)
	}
	path := filepath.Join(dir, fmt.Sprintf("hosts-%d-%d.yaml", len(hosts), properties))
	return path, os.WriteFile(path, []byte(b.String()), 0o600)
}

// minimalInput is the same wanted state for the minimal program.
func minimalInput(properties int) ([]byte, error) {
	type file struct {
		Path, Content string
		Mode          uint32
		UID           uint32
	}
	var files []file
	for i := range filesFor(properties) {
		files = append(files, file{Path: fmt.Sprintf("/etc/bench/file%d", i), Content: content(i), Mode: 0o644})
	}
	return json.Marshal(map[string]any{"Files": files, "Packages": packages(), "Timezone": timezone})
}
