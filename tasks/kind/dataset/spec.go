package dataset

import (
	"fmt"
	"regexp"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/zfs"
)

// Spec is one ZFS file system.
type Spec struct {
	// Name is POOL/NAME, or POOL/ABOVE/NAME.
	Name string `json:"name"`
	// Mountpoint is an absolute path, none or legacy; empty is not managed.
	Mountpoint string `json:"mountpoint,omitempty"`
	// Properties by name: recordsize, quota. Sizes may have a unit. Others are not
	// managed.
	Properties map[string]string `json:"properties,omitempty"`
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	switch {
	case !strings.Contains(s.Name, "/") && s.Name != "":
		out.Add("name", fmt.Sprintf("%q is a pool, not a dataset in one", s.Name), "the file system of a pool itself is managed with the dataset_properties of the pool")
	case len(s.Name) > 255 || !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:-]*(/[A-Za-z0-9][A-Za-z0-9_.:-]*)+$`).MatchString(s.Name):
		out.Add("name", fmt.Sprintf("%q is no name of a dataset", s.Name), "POOL/NAME of letters, digits and - _ . :")
	}
	if s.Mountpoint != "" && !zfs.MountpointValid(s.Mountpoint) {
		out.Add("mountpoint", fmt.Sprintf("%q is no mount point", s.Mountpoint), "an absolute, clean path, none or legacy")
	}
	return append(out, zfs.DatasetTable().Validate("properties", s.Properties)...)
}
