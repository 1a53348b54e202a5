package nvidiaguest

import (
	"fmt"
	"slices"

	"phoenix/tasks"
	"phoenix/tasks/kind/nvidia"
)

// Spec is NVIDIA's user space in one container. Its version is none of the settings: it
// is that of the driver which the host has loaded.
type Spec struct {
	// Install is how it comes: "apt" or "runfile"; empty takes the way of the host.
	Install string `json:"install,omitempty"`
	// Archive is where apt has the packages from: "nvidia" (also when empty) adds NVIDIA's
	// archive for the distribution, "configured" takes the archives that are there.
	Archive string `json:"archive,omitempty"`
	// Runfile is NVIDIA's installer, for hosts that have not fetched the one of their own
	// driver. It goes into the host's cache.
	Runfile *nvidia.Runfile `json:"runfile,omitempty"`
}

// The choices of an archive; empty is ArchiveNVIDIA.
const (
	ArchiveNVIDIA     = "nvidia"
	ArchiveConfigured = "configured"
)

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if !slices.Contains([]string{"", nvidia.InstallAPT, nvidia.InstallRunfile}, s.Install) {
		out.Add("install", fmt.Sprintf("%q is no way to install", s.Install), "apt or runfile; without it, as on the host")
	}
	if !slices.Contains([]string{"", ArchiveNVIDIA, ArchiveConfigured}, s.Archive) {
		out.Add("archive", fmt.Sprintf("%q is no choice", s.Archive), "nvidia, or configured for the archives that the container has")
	}
	if s.Archive != "" && s.Install != nvidia.InstallAPT {
		out.Add("archive", "is of no use without install apt", `set "install": "apt", or leave archive out`)
	}
	if s.Runfile != nil && s.Install != nvidia.InstallRunfile {
		out.Add("runfile", "is of no use without install runfile", `set "install": "runfile", or leave runfile out`)
	}
	if s.Runfile != nil {
		// Whatever the version, the file is described as on the host.
		file := nvidia.Spec{Driver: "570.86.15", Install: nvidia.InstallRunfile, Runfile: s.Runfile}
		out = append(out, file.Validate()...)
	}
	return out
}
