package gpu

import (
	"strings"

	"phoenix/tasks/pve"
)

// Given are the device nodes that a container has: by its devN entries, and, as before
// Proxmox VE 8.1, by raw mounts.
func Given(head *pve.Section) []string {
	var out []string
	for _, value := range head.Indexed("dev") {
		if p, err := pve.ParsePropertyString(value, "path"); err == nil {
			node, _ := p.Get("path")
			out = append(out, node)
		}
	}
	for _, raw := range head.Raw() {
		if node, _, _ := strings.Cut(raw.Value, " "); raw.Key == "lxc.mount.entry" {
			out = append(out, node)
		}
	}
	return out
}
