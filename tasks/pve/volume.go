package pve

import (
	"regexp"
	"slices"
	"strconv"
)

// Feature is what the volumes of containers on a storage may be able to do.
type Feature string

// The features. A linked clone is one of a template's volume; the others are of a
// volume that is in use.
const (
	FeatureSnapshot Feature = "snapshot"
	FeatureTemplate Feature = "template"
	FeatureLink     Feature = "linked clone"
)

// Can tells whether a volume of a container on the storage has a feature
// (volume_has_feature of the storage plugins, pve-storage 8.3.8; a linked clone on a
// storage of files would be a qcow2 image, which a container cannot use). The plugin
// of a type that is not known here judges for itself: that is true.
func (s Storage) Can(f Feature) bool {
	switch s.Type {
	case "lvm", "iscsi", "iscsidirect":
		return false
	case "dir", "nfs", "cifs", "glusterfs":
		return f == FeatureTemplate
	}
	return true
}

var (
	linkedName = regexp.MustCompile(`^(?:\d+/)?base(?:vol)?-(\d+)-[^/]+/`)
	linkedID   = regexp.MustCompile(`:(?:\d+/)?base(?:vol)?-(\d+)-[^/,\s]+/`)
)

// LinkedTo is the CTID whose volume this one is a linked clone of. The names of LVM
// and of btrfs do not say it: false, as for a volume that is none.
func (v VolumeID) LinkedTo() (ctid int, ok bool) {
	m := linkedName.FindStringSubmatch(v.Name)
	if m == nil {
		return 0, false
	}
	ctid, err := strconv.Atoi(m[1])
	return ctid, err == nil
}

// LinkedTo lists the CTIDs whose volumes the volumes of a configuration are linked
// clones of, in all its sections.
func (c *Config) LinkedTo() []int {
	var out []int
	for _, m := range linkedID.FindAllSubmatch(c.Bytes(), -1) {
		if id, err := strconv.Atoi(string(m[1])); err == nil {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
