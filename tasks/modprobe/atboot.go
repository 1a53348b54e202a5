package modprobe

import (
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dropin"
)

// AtBoot lists the modules that systemd-modules-load loads, by their canonical names.
// Debian's /etc/modules is a link in that folder.
func AtBoot(h tasks.Host) (map[string]bool, error) {
	files, err := dropin.Read(h, ".conf", dropin.Folders("modules-load.d")...)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool)
	for _, f := range files {
		for _, line := range tasks.Lines(string(f.Data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != ';' {
				out[Canonical(line)] = true
			}
		}
	}
	return out, nil
}
