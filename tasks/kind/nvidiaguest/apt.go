package nvidiaguest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptget"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/kind/nvidia"
)

// choices are the packages that bring nvidia-smi and CUDA's library without a kernel
// module: those of NVIDIA's archive for Debian from 560 on, of Debian (and NVIDIA's before
// that), and of Ubuntu, whose names have the branch in them; NVIDIA's archive for Ubuntu
// took these over.
func choices(driver string) [][]string {
	branch, _, _ := strings.Cut(driver, ".")
	return [][]string{
		{"nvidia-driver-cuda", "libcuda1"},
		{"nvidia-smi", "libcuda1"},
		{"nvidia-utils-" + branch, "libnvidia-compute-" + branch},
		{"nvidia-utils-" + branch + "-server", "libnvidia-compute-" + branch + "-server"},
	}
}

// aptInstall installs the exact version from the container's archives.
func (s *state) aptInstall(ctx context.Context, h tasks.Host) error {
	if err := nvidia.FetchLists(ctx, h); err != nil {
		return err
	}
	offered, err := nvidia.Offered(ctx, h, slices.Concat(choices(s.loaded)...))
	if err != nil {
		return err
	}
	for _, choice := range choices(s.loaded) {
		var packages []string
		for _, name := range choice {
			if v := nvidia.Exact(offered[name], s.loaded); v != "" {
				packages = append(packages, name+"="+v)
			}
		}
		if len(packages) == len(choice) {
			return s.installPackages(ctx, h, choice, packages)
		}
	}
	return s.notOffered(offered)
}

// installPackages installs them, anew where all are there and files of theirs are gone.
func (s *state) installPackages(ctx context.Context, h tasks.Host, names, packages []string) error {
	status, err := dpkg.Read(h)
	if err != nil {
		return err
	}
	there := nvidia.Installed(status, s.loaded)
	if slices.Contains(there, names[0]) && slices.Contains(there, names[1]) {
		packages = slices.Insert(there, 0, "--reinstall")
	}
	plan, err := aptget.Simulate(ctx, h, append([]string{"install", "--no-install-recommends", "--allow-downgrades"}, packages...)...)
	if err != nil {
		return err
	}
	for _, p := range plan.Install {
		if strings.HasSuffix(p.Name, "-dkms") || strings.HasPrefix(p.Name, "linux-headers-") {
			return fmt.Errorf("install %s: it would bring %s, and a container has no kernel of its own (set install to runfile)", strings.Join(packages, ", "), p.Name)
		}
	}
	return nvidia.Install(ctx, h, packages...)
}

// notOffered says what the archives have instead.
func (s *state) notOffered(offered map[string][]string) error {
	var have []string
	for name, versions := range offered {
		for _, v := range versions {
			have = append(have, name+" "+v)
		}
	}
	slices.Sort(have)
	what := "no archive of the container has any"
	if len(have) > 0 {
		what = "the archives of the container have " + strings.Join(have, ", ")
	}
	return fmt.Errorf("install NVIDIA's user space %s by apt: %s (set install to runfile, or give the host a version that they have)", s.loaded, what)
}
