package lxc

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/gpu"
	"phoenix/tasks/pve"
)

// deviceRule is a rule for character devices: "c 195:* rwm".
var deviceRule = regexp.MustCompile(`^c\s+([0-9]+):([0-9]+|\*)\s+[rwm]+$`)

// nvidiaMajor is the number of the driver's character devices; that of unified memory
// is given out anew at each boot.
const nvidiaMajor = "195"

// plainlyGPU tells whether a raw line can only be about NVIDIA cards.
func plainlyGPU(o pve.RawOption) bool {
	return mountsGPU(o) != "" || ruleMajor(o) == nvidiaMajor
}

// mountsGPU is the node that a raw line mounts, where it is one of a card; "" otherwise.
func mountsGPU(o pve.RawOption) string {
	f := strings.Fields(o.Value)
	if o.Key != "lxc.mount.entry" || len(f) == 0 || !gpu.IsNode(f[0]) {
		return ""
	}
	return f[0]
}

// ruleMajor is the number of the devices that a raw line allows; "" for other lines.
func ruleMajor(o pve.RawOption) string {
	m := deviceRule.FindStringSubmatch(o.Value)
	if m == nil || o.Key != "lxc.cgroup2.devices.allow" && o.Key != "lxc.cgroup.devices.allow" {
		return ""
	}
	return m[1]
}

// legacy picks the raw lines by which older tools gave cards. The number of unified
// memory in them is often one of an earlier boot: it is known by being nobody's now,
// beside a mount of its node.
func (p *passed) legacy(options []pve.RawOption) []pve.RawOption {
	if p == nil {
		return nil
	}
	memory := slices.ContainsFunc(options, func(o pve.RawOption) bool { return strings.HasPrefix(mountsGPU(o), "/dev/nvidia-uvm") })
	var out []pve.RawOption
	for _, o := range options {
		major := ruleMajor(o)
		owner, owned := p.majors[major]
		stale := memory && dynamic(major) && !owned
		if plainlyGPU(o) || owner == "nvidia-uvm" || stale {
			out = append(out, o)
		}
	}
	return out
}

// dynamic tells whether Linux gives a number of character devices to whichever driver
// asks (Documentation/admin-guide/devices.txt).
func dynamic(major string) bool {
	n, err := strconv.Atoi(major)
	return err == nil && (n >= 234 && n <= 254 || n >= 384 && n <= 511)
}

// giveWay stops a running container that was started with the raw lines of older tools,
// where new devices would reach it at once: the mounts of those lines are in their
// place. It is started again in the end.
func (a *applier) giveWay(ctx context.Context) error {
	f, found, err := a.read()
	if err != nil || !f.running || indexPath(found, pathGPURaw) < 0 || !addsDevicesLive(a.host) || !a.task.mayRestart(ctx) {
		return err
	}
	if err := a.task.startable(a.host, f); err != nil {
		return fmt.Errorf("restart container %d: it would not start again: %w", a.task.spec.CTID, err)
	}
	a.down = true
	return a.task.shutdown(ctx, a.host)
}
