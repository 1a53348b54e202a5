package pve

import (
	"regexp"
	"slices"
	"strings"
)

// snapshotName is what Proxmox takes for the name of a snapshot (pve-configid,
// pve-container 5.3.5).
var snapshotName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{1,39}$`)

// IsSnapshotName tells whether a container can have a snapshot of that name. Some names
// have a meaning of their own.
func IsSnapshotName(name string) bool {
	reserved := []string{"current", "vzdump", "pending"}
	return snapshotName.MatchString(name) && !slices.Contains(reserved, strings.ToLower(name))
}
