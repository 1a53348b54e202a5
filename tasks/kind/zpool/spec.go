package zpool

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/disk"
	"phoenix/tasks/zfs"
)

// Spec is one ZFS pool of one group of disks.
type Spec struct {
	// Name of the pool.
	Name string `json:"name"`
	// Topology is single, mirror, raidz1, raidz2 or raidz3. It is fixed once the pool
	// exists.
	Topology string `json:"topology"`
	// Disks are paths below /dev/disk/by-id, in any order. They are fixed once the
	// pool exists.
	Disks []string `json:"disks"`
	// Ashift is the sector size as a power of two; 0 is not managed, and 12 for a new
	// pool. It is fixed once the pool exists.
	Ashift int `json:"ashift,omitempty"`
	// Properties of the pool, by name: autotrim. Others are not managed.
	Properties map[string]string `json:"properties,omitempty"`
	// DatasetProperties are those of the pool's own file system, from which all others
	// inherit, by name: compression, mountpoint. Others are not managed.
	DatasetProperties map[string]string `json:"dataset_properties,omitempty"`
}

// leastDisks is how many disks a topology needs at least: what Proxmox asks for
// (pve-storage, PVE::API2::Disks::ZFS), which is one more than ZFS itself for raidz.
func leastDisks(topology string) int {
	return map[string]int{"single": 1, "mirror": 2, "raidz1": 3, "raidz2": 4, "raidz3": 5}[topology]
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	reserved := regexp.MustCompile(`^(mirror|raidz|draid|spare|log|c[0-9].*)`)
	switch {
	case !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:-]{0,254}$`).MatchString(s.Name):
		out.Add("name", fmt.Sprintf("%q is no name of a pool", s.Name), "a letter, then letters, digits and - _ . :")
	case reserved.MatchString(s.Name):
		out.Add("name", fmt.Sprintf("%q cannot be the name of a pool", s.Name), "names that begin with mirror, raidz, draid, spare, log or c and a digit are ZFS's own")
	}
	least := leastDisks(s.Topology)
	switch {
	case least == 0:
		out.Add("topology", fmt.Sprintf("%q is no topology", s.Topology), "one of single, mirror, raidz1, raidz2, raidz3")
	case s.Topology == "single" && len(s.Disks) > 1:
		out.Add("disks", fmt.Sprintf("single is one disk, not %d", len(s.Disks)), "several disks without redundancy lose everything with the first one that fails; use mirror or raidz1, or one pool for each")
	case len(s.Disks) < least:
		out.Add("disks", fmt.Sprintf("%s needs at least %d disks, not %d", s.Topology, least, len(s.Disks)), "")
	}
	if s.Ashift != 0 && (s.Ashift < 9 || s.Ashift > 16) {
		out.Add("ashift", fmt.Sprintf("%d is no ashift", s.Ashift), "9 to 16; 12 for sectors of 4096 bytes")
	}
	out = append(out, s.diskProblems()...)
	out = append(out, zfs.PoolTable().Validate("properties", s.Properties)...)
	return append(out, zfs.RootTable().Validate("dataset_properties", s.DatasetProperties)...)
}

func (s *Spec) diskProblems() []tasks.Problem {
	var out tasks.Problems
	for i, d := range s.Disks {
		p := tasks.Problem{Path: fmt.Sprintf("disks.%d", i)}
		name, byID := strings.CutPrefix(d, disk.ByID)
		switch {
		case !byID:
			p.Summary, p.Hint = fmt.Sprintf("%q is not below %s", d, disk.ByID), "names such as /dev/sdb change with the order in which disks are found; see ls -l "+disk.ByID
		case !regexp.MustCompile(`^[A-Za-z0-9_.:@+=#-]+$`).MatchString(name):
			p.Summary = fmt.Sprintf("%q is no name of a disk", d)
		case slices.Contains(s.Disks[:i], d):
			p.Summary = fmt.Sprintf("%s is there twice", d)
		default:
			continue
		}
		out = append(out, p)
	}
	if m, ok := s.DatasetProperties["mountpoint"]; ok && !zfs.MountpointValid(m) {
		out.Add("dataset_properties.mountpoint", fmt.Sprintf("%q is no mount point", m), "an absolute, clean path, none or legacy")
	}
	return out
}
