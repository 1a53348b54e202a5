package sim

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
)

// gpuFaultFile gives cards faults, by the number of their node:
//
//	{"0": "lost", "1": {"temperature": {"gpu_c": 96}}}
//
// A fault is words of gpuFaultWords, or facts that go over those of a healthy card.
const gpuFaultFile = "/.sim/gpus.json"

// gpuFaultWords are the faults that have a name, as facts.
func gpuFaultWords() map[string]string {
	const rows = `{"row_remapping":{"corrected":0,"uncorrected":%d,"pending":%t,"failed":%t}}`
	return map[string]string{
		"lost":           `{"error":{"kind":"lost","text":"nvmlDeviceGetHandleByIndex: GPU is lost"}}`,
		"hang":           `{"error":{"kind":"timeout","text":"the driver did not answer within 8s"}}`,
		"crash":          `{"error":{"kind":"crash","text":"the driver's library ended the probe: SIGSEGV"}}`,
		"ecc":            `{"ecc":{"enabled":true,"pending":true,"volatile":{"corrected":3,"uncorrected":2},"aggregate":{"corrected":5,"uncorrected":2}}}`,
		"ecc-before":     `{"ecc":{"enabled":true,"pending":true,"volatile":{"corrected":0,"uncorrected":0},"aggregate":{"corrected":5,"uncorrected":1}}}`,
		"remap":          fmt.Sprintf(rows, 1, true, false),
		"remap-failed":   fmt.Sprintf(rows, 8, false, true),
		"retire":         `{"retired_pages":{"single_bit":0,"double_bit":1,"pending":true}}`,
		"throttle":       `{"throttle_reasons":["hw_slowdown","hw_thermal_slowdown"],"temperature":{"gpu_c":88,"slowdown_c":90,"shutdown_c":95}}`,
		"power-brake":    `{"throttle_reasons":["hw_slowdown","hw_power_brake_slowdown"]}`,
		"hot":            `{"throttle_reasons":["hw_slowdown","hw_thermal_slowdown"],"temperature":{"gpu_c":92,"slowdown_c":90,"shutdown_c":95}}`,
		"group-not-told": `{"group_errors":[{"group":"power","kind":"other","text":"nvmlDeviceGetPowerUsage: Unknown Error"}]}`,
	}
}

// SetGPUFaults gives cards faults, as in gpuFaultFile; none heals all.
func (m *Machine) SetGPUFaults(faults map[string]any) error {
	data, err := json.Marshal(faults)
	if err != nil {
		return err
	}
	return m.write(gpuFaultFile, data, 0o644)
}

// ailing is a card with the faults that it was given. Of one that has an error, no more is
// known than which it is, and of one that is lost only its index: the probe gets no handle of
// it (cmd/agentlet-nvml, library.card).
func (m *Machine) ailing(g gpufacts.GPU) gpufacts.GPU {
	var all map[string]json.RawMessage
	text := m.text(gpuFaultFile)
	if text == "" {
		return g
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		g.Error = &gpufacts.Fault{Kind: gpufacts.KindOther, Text: gpuFaultFile + ": " + err.Error()}
		return g
	}
	fault := all[strconv.Itoa(*g.Minor)]
	facts := []string{string(fault)}
	var words string
	if json.Unmarshal(fault, &words) == nil {
		facts = nil
		for _, w := range strings.Fields(words) {
			facts = append(facts, gpuFaultWords()[w])
		}
	}
	for _, f := range facts {
		if fault == nil {
			break
		}
		if err := json.Unmarshal([]byte(f), &g); err != nil {
			g.Error = &gpufacts.Fault{Kind: gpufacts.KindOther, Text: fmt.Sprintf("%s: %s: %v", gpuFaultFile, fault, err)}
		}
	}
	if g.Error != nil && g.Error.Kind == gpufacts.KindLost {
		return gpufacts.GPU{Index: g.Index, Error: g.Error} // there is no handle to ask for more
	}
	if g.Error != nil {
		return gpufacts.GPU{Index: g.Index, Minor: g.Minor, UUID: g.UUID, PCIAddress: g.PCIAddress, Error: g.Error}
	}
	return g
}

// statProgram is `stat -c FORMAT FILE…` of coreutils, with %n, %F, %t and %T. The
// machine's device nodes are plain files: what such a file says ("195 7") are its numbers,
// and "fifo" or another word is its type; an empty one has those of its driver.
func statProgram(c *call) int {
	if len(c.argv) < 3 || c.argv[1] != "-c" {
		c.errorf("stat: missing operand\nTry 'stat --help' for more information.\n")
		return 1
	}
	code := 0
	for _, name := range c.argv[3:] {
		if name == "--" {
			continue
		}
		info, err := os.Lstat(c.m.path(c.abs(name)))
		if err != nil {
			c.errorf("stat: cannot statx '%s': No such file or directory\n", name)
			code = 1
			continue
		}
		kind, major, minor := c.m.nodeOf(c.abs(name), info.Mode())
		c.printf("%s\n", strings.NewReplacer("%n", name, "%F", kind, "%t", strconv.FormatInt(int64(major), 16), "%T", strconv.FormatInt(int64(minor), 16)).Replace(c.argv[2]))
	}
	return code
}

// nodeOf is the type of a file and, of a device node, its numbers.
func (m *Machine) nodeOf(p string, mode fs.FileMode) (kind string, major, minor int) {
	switch {
	case mode.IsDir():
		return "directory", 0, 0
	case mode&fs.ModeSymlink != 0:
		return "symbolic link", 0, 0
	case !strings.HasPrefix(p, "/dev/"):
		return "regular file", 0, 0
	}
	const device = "character special file"
	said := strings.TrimSpace(m.text(p))
	if n, _ := fmt.Sscanf(said, "%d %d", &major, &minor); n == 2 {
		return device, major, minor
	}
	if said != "" {
		return said, 0, 0
	}
	switch name := path.Base(p); {
	case name == "nvidiactl":
		return device, 195, 255
	case name == "nvidia-modeset":
		return device, 195, 254
	case name == "nvidia-uvm":
		return device, 510, 0
	case name == "nvidia-uvm-tools":
		return device, 510, 1
	case gpu.IsNode(p):
		minor, _ = strconv.Atoi(strings.TrimPrefix(name, "nvidia"))
		return device, 195, minor
	}
	return device, 1, 3
}

// Device is the number of a simulated device node, for whoever makes it a real one.
func (m *Machine) Device(p string, mode fs.FileMode) (major, minor int) {
	_, major, minor = m.nodeOf(p, mode)
	return major, minor
}

// readlinkProgram is `readlink -f FILE…`: where each leads, also to a last part that is not
// there.
func readlinkProgram(c *call) int {
	code := 0
	for _, name := range c.argv[1:] {
		if strings.HasPrefix(name, "-") {
			continue
		}
		at := c.abs(name)
		for range 40 {
			target, err := os.Readlink(c.m.path(at))
			if err != nil {
				break
			}
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(at), target)
			}
			at = target
		}
		if !c.m.exists(path.Dir(at)) {
			code = 1
			continue
		}
		c.printf("%s\n", at)
	}
	return code
}
