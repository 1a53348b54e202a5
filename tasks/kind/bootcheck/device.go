package bootcheck

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dropin"
	"phoenix/tasks/gpu"
	"phoenix/tasks/guest"
	"phoenix/tasks/modprobe"
	"phoenix/tasks/pve"
)

// devices looks which of a container's devices nothing makes at boot. Those that are not
// there now have been told.
func (m *machine) devices(s *start, missing map[string]bool) {
	for _, key := range pve.IndexedKeys(s.options, "dev") {
		p, err := pve.ParsePropertyString(s.options[key], "path")
		if node, ok := p.Get("path"); err == nil && ok && !missing[key] {
			m.device(s, key, node)
		}
	}
	for _, o := range s.raw {
		source, needed := guest.MountSource(o)
		if needed && strings.HasPrefix(source, "/dev/") && m.exists(source) {
			m.device(s, o.Key, source)
		}
	}
}

// device adds what a boot does to a node. Many containers have the same ones.
func (m *machine) device(s *start, option, node string) {
	f, known := m.nodes[node]
	if !known {
		f = m.fate(node)
		m.nodes[node] = f
	}
	if f.What != "" {
		s.add(f.Effect, option, f.What, f.Mend)
	}
}

// fate is why a node is not there after a boot, for whatever option; nothing when it is.
func (m *machine) fate(node string) Finding {
	if isNVIDIA(node) {
		return m.cardNode(node)
	}
	if m.made(node) {
		return Finding{}
	}
	what := node + " exists now, and nothing makes it at boot"
	mend := "have it made by a unit that is ordered before " + guestsUnit
	if module := moduleOf(node); module != "" {
		what += ": the module " + module + " is not loaded then"
		mend = "add " + module + " to kernel.modules, or to a file of /etc/modules-load.d"
	}
	return Finding{Effect: EffectStops, What: what, Mend: mend}
}

// kernelNodes begin the names of what the kernel itself, or udev with the driver of a
// device that it has found, makes at each boot.
var kernelNodes = regexp.MustCompile(`^/dev/(null|zero|full|u?random|tty|console|ptmx|kmsg|mem|port|fuse|kvm|kfd|hpet|hwrng|loop|cuse|rtc|watchdog|tpm|` +
	`dri/|snd/|bus/usb/|usb/|serial/|input/|disk/|mapper/|dm-|sd[a-z]|sr\d|sg\d|nvme|vd[a-z]|mmcblk|md|zvol/|video\d|media\d|v4l/|hidraw|apex_|cpu|` +
	`net/tun$|vhost-|uinput$|uhid$|vfio/vfio$|ppp$|btrfs-control$|zfs$|dvb/|ttyUSB|ttyACM|accel/)`)

// moduleOf is the module that makes a node for no device, so that nothing loads it by
// itself; "" for other nodes.
func moduleOf(node string) string {
	name := strings.TrimPrefix(node, "/dev/")
	for prefix, module := range map[string]string{
		"i2c-": "i2c-dev", "nbd": "nbd", "zram": "zram", "ashmem": "ashmem_linux", "binder": "binder_linux", "hwbinder": "binder_linux",
		"vndbinder": "binder_linux", "drbd": "drbd", "ntsync": "ntsync", "udmabuf": "udmabuf", "ipmi": "ipmi_devintf",
	} {
		if strings.HasPrefix(name, prefix) {
			return module
		}
	}
	return ""
}

// made tells whether a boot makes a node: the kernel, udev, a module that is listed to
// be loaded, systemd-tmpfiles, or a unit that is up before the guests.
func (m *machine) made(node string) bool {
	if module := moduleOf(node); module != "" {
		return m.modules[modprobe.Canonical(module)] || m.parts.Builtin(module) || m.maker(func(text string) answer { return told(strings.Contains(text, node)) }).is == certain
	}
	if kernelNodes.MatchString(node) || m.hardware(node) || m.static(node) {
		return true
	}
	files, err := dropin.Read(m.host, ".conf", dropin.Folders("tmpfiles.d")...)
	if err == nil && slices.ContainsFunc(files, func(f dropin.File) bool { return makesPath(string(f.Data), node) }) {
		return true
	}
	return m.maker(func(text string) answer { return told(strings.Contains(text, node)) }).is == certain
}

// hardware tells whether the kernel shows a device with hardware behind it for a node:
// then udev loads its driver at boot.
func (m *machine) hardware(node string) bool {
	classes, err := m.host.ReadDir("/sys/class")
	if err != nil {
		return false
	}
	name := strings.ReplaceAll(strings.TrimPrefix(node, "/dev/"), "/", "!")
	return slices.ContainsFunc(classes, func(class string) bool { return m.exists(path.Join("/sys/class", class, name, "device")) })
}

// static tells whether kmod lists the node as one that is made at boot and loads its
// module when it is first used.
func (m *machine) static(node string) bool {
	name := strings.TrimPrefix(node, "/dev/")
	for _, line := range tasks.Lines(m.text("/lib/modules/" + m.kernel + "/modules.devname")) {
		if f := strings.Fields(line); len(f) == 3 && f[1] == name {
			return true
		}
	}
	return false
}

func isNVIDIA(node string) bool {
	return gpu.IsNode(node) || strings.HasPrefix(node, "/dev/nvidia-caps/") || strings.HasPrefix(node, "/dev/nvidia-caps-imex")
}

// cardNode: no driver of the kernel makes the nodes of NVIDIA's cards, programs do; and
// they can only where the driver is ready for the kernel that is started next.
func (m *machine) cardNode(node string) Finding {
	const mend = "set nvidia.device_nodes in the hypervisor's configuration, which has them made before guests start"
	if file, err := gpu.ModuleFile(m.host, m.kernel); m.kernel != "" && err == nil && file == "" {
		return Finding{
			Effect: EffectStops, What: fmt.Sprintf("the driver of %s is not built for kernel %s, which the next boot starts", node, m.kernel),
			Mend: "install the driver for that kernel, or pin the one that runs",
		}
	}
	switch by := m.maker(func(text string) answer { return makesCard(text, node) }); {
	case by.is == never:
		return Finding{Effect: EffectStops, What: node + " exists now, and nothing makes it at boot", Mend: mend}
	case by.is == perhaps:
		return Finding{Effect: EffectUnknown, What: fmt.Sprintf("whether %s makes %s at boot cannot be told", by.name, node), Mend: mend}
	case by.late:
		return Finding{Effect: EffectUnknown, What: fmt.Sprintf("%s makes %s at boot, and is not ordered before %s: it may come too late", by.name, node, guestsUnit), Mend: mend}
	}
	return Finding{}
}

// answer is how sure it is that something makes a node.
type answer int

const (
	never answer = iota
	perhaps
	certain
)

func told(is bool) answer {
	if is {
		return certain
	}
	return never
}

// producer is what makes a node at boot.
type producer struct {
	name string
	is   answer
	// late says that it need not have done so when guests start.
	late bool
}

// maker finds the best producer of a node among the units that are enabled and the
// rules of udev.
func (m *machine) maker(makes func(text string) answer) producer {
	var best producer
	for _, w := range m.makers() {
		is := makes(w.text)
		if is == never || is < best.is {
			continue
		}
		p := producer{name: w.name, is: is, late: w.unit && !m.units.beforeGuests(w.name)}
		if is > best.is || best.late && !p.late {
			best = p
		}
	}
	return best
}

// working is a unit, or a file of udev's rules, with what it does at boot.
type working struct {
	name, text string
	unit       bool
}

// readMakers reads all that may make a node.
func (m *machine) readMakers() []working {
	var out []working
	for _, unit := range tasks.Keys(m.units.enabled) {
		if strings.HasSuffix(unit, ".service") {
			out = append(out, working{name: unit, text: strings.Join(commands(m.units.text(unit)), "\n"), unit: true})
		}
	}
	rules, err := dropin.Read(m.host, ".rules", "/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
	if err != nil {
		return out
	}
	for _, f := range rules {
		out = append(out, working{name: f.Path, text: uncommented(string(f.Data))})
	}
	return out
}

// commands are what a unit starts.
func commands(text string) []string {
	var out []string
	for _, line := range tasks.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && (key == "ExecStart" || key == "ExecStartPre" || key == "ExecStartPost") {
			out = append(out, value)
		}
	}
	return out
}

func uncommented(text string) string {
	var b strings.Builder
	for _, line := range tasks.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// makesCard tells whether commands make a node of a card. nvidia-modprobe makes those of
// the cards that -c names or, with -u, those of unified memory, or with -m that of
// nvidia-modeset. NVML, which the other programs use, makes those of all cards; of
// unified memory it is told by some versions only.
func makesCard(text, node string) answer {
	best := told(strings.Contains(text, node+" ") || strings.HasSuffix(strings.TrimSpace(text), node))
	memory := strings.HasPrefix(node, "/dev/nvidia-uvm")
	for _, line := range tasks.Lines(text) {
		if _, args, ok := strings.Cut(line, "nvidia-modprobe"); ok {
			best = max(best, told(modprobeMakes(strings.Fields(args), node)))
		}
		if strings.Contains(line, "nvidia-smi") || strings.Contains(line, "nvidia-persistenced") {
			if gpu.IsNode(node) && !memory && node != gpu.ModesetNode {
				best = certain
			} else {
				best = max(best, perhaps)
			}
		}
	}
	return best
}

// modprobeMakes reads the arguments of nvidia-modprobe, in which "-c0 -u" and "-uc 0"
// are the same.
func modprobeMakes(args []string, node string) bool {
	has := func(letter string) bool {
		return slices.ContainsFunc(args, func(a string) bool {
			return strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, letter)
		})
	}
	memory := has("u") || slices.Contains(args, "--unified-memory")
	modeset := has("m") || slices.Contains(args, "--modeset")
	switch {
	case strings.HasPrefix(node, "/dev/nvidia-uvm"):
		return memory
	case node == gpu.ModesetNode:
		return modeset
	case strings.HasPrefix(node, "/dev/nvidia-caps"):
		return has("f")
	case memory || modeset:
		return false
	}
	minor := strings.TrimPrefix(node, "/dev/nvidia")
	if minor == "ctl" {
		return true // it is made with any of them
	}
	if _, err := strconv.Atoi(minor); err != nil {
		return false
	}
	named := false
	for i, a := range args {
		n, here := strings.CutPrefix(strings.Trim(a, `"',`), "-c")
		if here && n == "" && i+1 < len(args) {
			n = strings.Trim(args[i+1], `"',`)
		}
		n = strings.TrimPrefix(n, "=")
		if named = named || here; here && n == minor {
			return true
		}
	}
	return !named && minor == "0"
}
