package gpu

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// Capabilities is where the driver says what of a divided card can be given away, each in
// a file that names its device node.
const Capabilities = "/proc/driver/nvidia/capabilities"

// AccessFiles are the capabilities that a program needs for one MIG instance: those of
// its GPU instance and of its compute instance. The card goes by the number of its node.
func AccessFiles(minor, instance, compute int) []string {
	dir := fmt.Sprintf("%s/gpu%d/mig/gi%d/", Capabilities, minor, instance)
	return []string{dir + "access", dir + "ci" + strconv.Itoa(compute) + "/access"}
}

// CapabilityNode is the device node of one capability, which need not be there yet.
func CapabilityNode(h tasks.Host, file string) (string, error) {
	data, err := h.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read capability: %w", err)
	}
	for _, line := range tasks.Lines(string(data)) {
		value, is := strings.CutPrefix(line, "DeviceFileMinor:")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); is && err == nil && n >= 0 {
			return "/dev/nvidia-caps/nvidia-cap" + strconv.Itoa(n), nil
		}
	}
	return "", fmt.Errorf("read capability: %s tells no DeviceFileMinor", file)
}

var capabilityNode = regexp.MustCompile(`^/dev/nvidia-caps/nvidia-cap[0-9]+$`)

// IsCapability tells whether a path is the node of a capability.
func IsCapability(p string) bool { return capabilityNode.MatchString(p) }
