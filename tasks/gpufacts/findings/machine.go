package findings

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/gpufacts"
)

// driver compares the driver that is loaded with the libraries that are installed, which
// refuse to work with another (NVML_ERROR_LIB_RM_VERSION_MISMATCH). Two versions are told by
// the step that compares them; that none is loaded is told unless it is to load one.
func (f *found) driver() {
	m := f.machine()
	if f.host.Machine == nil || f.rules.Ahead || f.rules.Driver && m.Loaded != "" || !f.has() {
		return
	}
	switch {
	case m.Loaded == m.Library:
	case m.Library == "":
		f.add(gpufacts.SeverityNote, "no libraries", "the driver "+m.Loaded+" is loaded, and its libraries are not where Debian's are", "")
	case m.Loaded == "":
		f.add(gpufacts.SeverityCritical, "driver not loaded", "the driver "+m.Library+" is installed and not loaded"+f.other(),
			"`modprobe nvidia` says why; its module has to be built for the running kernel, and nouveau must not have the cards")
	default:
		f.add(gpufacts.SeverityCritical, "version mismatch",
			fmt.Sprintf("the driver %s is loaded and %s is installed: every program that begins to use a card fails", m.Loaded, m.Library), "reboot the host, which loads the installed one")
	}
}

// other names the driver that has the cards instead.
func (f *found) other() string {
	for _, c := range f.host.Cards {
		if c.Driver != "" && c.Driver != "nvidia" && c.Driver != "vfio-pci" {
			return "; " + c.Driver + " has " + c.Address
		}
	}
	return ""
}

// kernels tells which kernels would come up without the driver.
func (f *found) kernels() {
	m := f.machine()
	if f.rules.Driver || f.rules.Ahead || !f.has() || m.Loaded == "" && m.Library == "" {
		return
	}
	for i, k := range m.Kernels {
		if k.Module || i == 0 && !k.Next {
			continue
		}
		which := "a reboot into " + k.Release
		if k.Next {
			which = "the next reboot, which starts " + k.Release + ","
		}
		f.add(gpufacts.SeverityWarning, "no module", "after "+which+" there is no NVIDIA module",
			fmt.Sprintf("build it: `dkms autoinstall -k %[1]s`, with the package proxmox-headers-%[1]s; or set nvidia.driver and install in the hypervisor's configuration", k.Release))
	}
}

// node is a device node, as stat tells of it.
type node struct {
	path, kind   string
	major, minor int
}

var nodeLine = regexp.MustCompile(`^(/dev/\S+) ([a-z ]+?) ([0-9a-f]{1,8}) ([0-9a-f]{1,8})$`)

// parseNode reads one line of `stat -c '%n %F %t %T'`; its numbers are hexadecimal.
func parseNode(line string) (node, bool) {
	m := nodeLine.FindStringSubmatch(line)
	if m == nil {
		return node{}, false
	}
	major, err := strconv.ParseUint(m[3], 16, 32)
	if err != nil {
		return node{}, false
	}
	minor, err := strconv.ParseUint(m[4], 16, 32)
	return node{m[1], m[2], int(major), int(minor)}, err == nil
}

// cardMajor is the number that the kernel keeps for NVIDIA's cards
// (Documentation/admin-guide/devices.txt), controlMinor the one of /dev/nvidiactl
// (nv-linux.h of the open modules).
const (
	cardMajor    = 195
	controlMinor = 255
)

// majorOf is the number that the driver has under one of the names in /proc/devices; 0 for
// none.
func (f *found) majorOf(names ...string) int {
	for _, line := range f.machine().Devices {
		if w := strings.Fields(line); len(w) == 2 && slices.Contains(names, w[1]) {
			if n, err := strconv.Atoi(w[0]); err == nil {
				return n
			}
		}
	}
	return 0
}

// wanted are the nodes that there should be, with their numbers; a major of 0 is not known.
// Those that a container has must be there.
func (f *found) wanted() (all []node, used map[string]bool) {
	cards, memory := cmp.Or(f.majorOf("nvidia", "nvidia-frontend"), cardMajor), f.majorOf("nvidia-uvm")
	all = []node{
		{path: "/dev/nvidiactl", major: cards, minor: controlMinor},
		{path: "/dev/nvidia-uvm", major: memory}, {path: "/dev/nvidia-uvm-tools", major: memory, minor: 1},
	}
	used = map[string]bool{}
	for _, c := range f.host.Cards {
		minor, err := strconv.Atoi(strings.TrimPrefix(c.Node, "/dev/nvidia"))
		if err != nil {
			continue
		}
		all = append(all, node{path: c.Node, major: cards, minor: minor})
		if len(c.Assigned) > 0 {
			used[c.Node], used["/dev/nvidiactl"], used["/dev/nvidia-uvm"] = true, true, true
		}
	}
	return all, used
}

// nodes compares the device nodes with the numbers that the driver has, and tells of those
// that containers have and nothing makes. Of a node of another number or type, a container
// is given something else than a card.
func (f *found) nodes() {
	m := f.machine()
	if len(m.Nodes) == 0 || f.rules.Nodes && f.rules.NodesAhead {
		return
	}
	there := map[string]node{}
	for _, l := range m.Nodes {
		if n, ok := parseNode(l); ok {
			there[n.path] = n
		}
	}
	const mend = "take it away and have it made anew: `rm %s`, then `nvidia-modprobe -c %d`, with -u for unified memory"
	all, used := f.wanted()
	for _, want := range all {
		switch n, is := there[want.path]; {
		case !is && used[want.path] && !f.rules.Nodes:
			f.add(gpufacts.SeverityCritical, "no device node", want.path+" is not there, and containers that have it do not start", "set nvidia.device_nodes in the hypervisor's configuration, or run `nvidia-modprobe`")
		case !is:
		case n.kind != "character special file":
			f.add(gpufacts.SeverityCritical, "bad device node", fmt.Sprintf("%s is no character device but a %s", n.path, n.kind), fmt.Sprintf(mend, n.path, want.minor%controlMinor))
		case want.major != 0 && (n.major != want.major || n.minor != want.minor):
			f.add(gpufacts.SeverityCritical, "bad device node", fmt.Sprintf("%s has the numbers %d:%d, and the driver has it at %d:%d", n.path, n.major, n.minor, want.major, want.minor),
				fmt.Sprintf(mend, n.path, want.minor%controlMinor))
		}
	}
	if f.rules.Nodes {
		return
	}
	absent := func(p string) bool { _, is := there[p]; return !is } // which has been told
	if left := slices.DeleteFunc(slices.Clone(m.NotAtBoot), absent); len(left) > 0 {
		f.add(gpufacts.SeverityWarning, "not made at boot", "containers have "+strings.Join(left, ", ")+", which nothing makes at boot: they would not start", "set nvidia.device_nodes in the hypervisor's configuration")
	}
}

var libraryFile = regexp.MustCompile(`/(lib(?:nvidia-ml|cuda))\.so\.([0-9]+(?:\.[0-9]+)+)$`)

// guests compares the libraries in containers with the driver that is loaded: no other
// version works with it.
func (f *found) guests() {
	m := f.machine()
	for _, g := range m.Guests {
		who := f.container(g.CTID)
		var have []string
		differs := false
		for _, file := range g.Libraries {
			if x := libraryFile.FindStringSubmatch(file); x != nil {
				if text := x[1] + " " + x[2]; !slices.Contains(have, text) {
					have = append(have, text)
				}
				differs = differs || x[2] != m.Loaded
			}
		}
		switch {
		case g.Why != "":
			f.add(gpufacts.SeverityNote, "user space unknown", who+" could not be asked for the driver's libraries in it: "+g.Why, "")
		case len(have) == 0:
			f.add(gpufacts.SeverityNote, "no user space", who+" has a card and none of the driver's libraries", "the feature nvidia puts them there")
		case differs && m.Loaded != "" && !f.rules.Ahead:
			f.add(gpufacts.SeverityWarning, "other user space", fmt.Sprintf("%s has %s and the host has the driver %s loaded: programs in it cannot use the card", who, strings.Join(have, ", "), m.Loaded),
				"the feature nvidia keeps them the same")
		}
	}
}
