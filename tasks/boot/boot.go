// Package boot tells from files alone which kernels a machine has, which one runs,
// which one the next boot starts, and why the machine needs a reboot.
//
// Proxmox VE says nowhere that a reboot is due: /run/reboot-required comes from some
// of Debian's packages, and a new kernel of Proxmox's leaves no trace there. So the
// kernels are compared. The package starts no program, changes nothing and reboots
// nothing. Facts are from proxmox-boot-tool and hold for Proxmox VE 8 and 9. Start
// reading at Needed.
package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"sort"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
)

const (
	osrelease = "/proc/sys/kernel/osrelease"
	bootID    = "/proc/sys/kernel/random/boot_id"
	images    = "/boot"
	modules   = "/lib/modules"
	// nextPin holds for one boot, after which Proxmox removes it; pin holds until it
	// is taken back.
	nextPin = "/etc/kernel/next-boot-pin"
	pin     = "/etc/kernel/proxmox-boot-pin"
	// uuids has a line for each partition that proxmox-boot-tool keeps kernels on.
	uuids    = "/etc/kernel/proxmox-boot-uuids"
	required = "/run/reboot-required"
)

// Running is the release of the kernel that runs: "6.8.12-9-pve".
func Running(h tasks.Host) (string, error) { return word(h, osrelease, "find the running kernel") }

// BootID is a text that another boot of the machine does not have.
func BootID(h tasks.Host) (string, error) { return word(h, bootID, "find the boot id") }

func word(h tasks.Host, path, verb string) (string, error) {
	data, err := h.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	if w := strings.TrimSpace(string(data)); w != "" {
		return w, nil
	}
	return "", fmt.Errorf("%s: %s is empty", verb, path)
}

// Kernels lists the releases of the installed kernels, the newest last. A container
// has none.
func Kernels(h tasks.Host) ([]string, error) {
	names, err := h.ReadDir(images)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list installed kernels: %w", err)
	}
	var out []string
	leftOver := regexp.MustCompile(`\.(dpkg-[a-z]+|old|bak|orig|tmp)$|~$`)
	for _, n := range names {
		release, is := strings.CutPrefix(n, "vmlinuz-")
		if is && release != "" && !leftOver.MatchString(n) {
			out = append(out, release)
		}
	}
	sort.Slice(out, func(i, j int) bool { return dpkg.CompareVersions(out[i], out[j]) < 0 })
	return out, nil
}

// Next is the kernel that the next boot starts, and whether somebody pinned it:
// the pinned one if it is installed, or else the newest. It is empty on a machine
// without kernels.
func Next(h tasks.Host) (release string, pinned bool, err error) {
	kernels, err := Kernels(h)
	if err != nil || len(kernels) == 0 {
		return "", false, err
	}
	for _, file := range []string{nextPin, pin} {
		data, _, err := tasks.ReadIfExists(h, file)
		if err != nil {
			return "", false, err
		}
		line, _, _ := strings.Cut(string(data), "\n")
		if line = strings.TrimSpace(line); slices.Contains(kernels, line) {
			return line, true, nil
		}
	}
	// proxmox-boot-tool hands the firmware only Proxmox's own kernels; GRUB without it
	// starts the newest of all.
	list, _, err := tasks.ReadIfExists(h, uuids)
	if err != nil {
		return "", false, err
	}
	if strings.TrimSpace(string(list)) != "" {
		own := slices.DeleteFunc(slices.Clone(kernels), func(k string) bool { return !strings.HasSuffix(k, "-pve") })
		if len(own) > 0 {
			kernels = own
		}
	}
	return kernels[len(kernels)-1], false, nil
}

// Needed lists why the machine needs a reboot, in words for people; an empty list
// means that it needs none. A machine without kernels of its own is not asked to
// start another one.
func Needed(h tasks.Host) ([]string, error) {
	reasons, err := kernelReasons(h)
	if err != nil {
		return nil, err
	}
	_, there, err := tasks.ReadIfExists(h, required)
	if err != nil || !there {
		return reasons, err
	}
	data, _, err := tasks.ReadIfExists(h, required+".pkgs")
	if err != nil {
		return nil, err
	}
	packages := strings.Fields(string(data))
	slices.Sort(packages)
	if packages = slices.Compact(packages); len(packages) > 0 {
		return append(reasons, required+": "+strings.Join(packages, ", ")), nil
	}
	return append(reasons, required+" is there"), nil
}

func kernelReasons(h tasks.Host) ([]string, error) {
	next, pinned, err := Next(h)
	if err != nil || next == "" {
		return nil, err
	}
	running, err := Running(h)
	if err != nil {
		return nil, err
	}
	var reasons []string
	if next != running {
		verb := map[bool]string{true: "pinned", false: "installed"}[pinned]
		reasons = append(reasons, fmt.Sprintf("kernel %s is %s, %s runs", next, verb, running))
	}
	_, err = h.Stat(modules + "/" + running)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		reasons = append(reasons, fmt.Sprintf("the modules of the running kernel %s are gone, no more of them can be loaded", running))
	case err != nil:
		return nil, fmt.Errorf("find the modules of the running kernel: %w", err)
	}
	return reasons, nil
}
