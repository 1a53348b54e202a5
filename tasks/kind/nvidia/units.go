package nvidia

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sort"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/systemd"
)

const (
	nodesUnit       = "phoenix-nvidia-nodes.service"
	persistenceUnit = "nvidia-persistenced.service"
	// byPhoenix is the first line of the units that phoenix writes.
	byPhoenix = "# Written by phoenix."
	// controlMinor is the minor number of /dev/nvidiactl.
	controlMinor = "255"
)

func unitFile(name string) string { return "/etc/systemd/system/" + name }

// nodesText is the unit that makes the device nodes. Without a display, nothing else
// makes them before the first program uses a card, and a container whose devices are not
// there does not start. nvidia-modprobe makes either the nodes of cards or, with -u,
// those of unified memory, or with -m that of nvidia-modeset, which is there only with
// its module.
func nodesText(numbers []int) string {
	minors := ""
	for _, n := range numbers {
		minors += " -c " + strconv.Itoa(n)
	}
	return byPhoenix + `
[Unit]
Description=Device nodes of NVIDIA cards, before guests start
After=systemd-modules-load.service
Before=pve-guests.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/nvidia-modprobe` + minors + ` -c ` + controlMinor + `
ExecStart=/usr/bin/nvidia-modprobe -u -c 0
ExecStart=-/usr/bin/nvidia-modprobe -m

[Install]
WantedBy=multi-user.target
`
}

// persistenceText is the daemon's unit where the driver brought none: NVIDIA's installer
// has only an example of it, in an archive.
const persistenceText = byPhoenix + `
[Unit]
Description=NVIDIA Persistence Daemon
Before=pve-guests.service

[Service]
Type=forking
ExecStart=/usr/bin/nvidia-persistenced --verbose
ExecStopPost=/bin/rm -rf /var/run/nvidia-persistenced

[Install]
WantedBy=multi-user.target
`

// findMinors tells the numbers of the cards' nodes. Those of a loaded driver say them; they
// are given in the order in which it finds the cards.
func (m *machine) findMinors(h tasks.Host) error {
	bound, err := gpu.BoundCards(h)
	for _, b := range bound {
		m.minors = append(m.minors, b.Minor)
	}
	for i := 0; len(bound) == 0 && i < len(m.cards); i++ {
		m.minors = append(m.minors, i)
	}
	return err
}

// unitText is the unit as it should be. What it makes already it goes on making: a card
// that fell off the bus is back after the boot, and its container does not start without
// the node. A node too many, as of a card that was taken out for good, is in nobody's way.
func (m *machine) unitText() string {
	all := append([]int(nil), m.minors...)
	if was := m.nodesUnit.text; strings.HasPrefix(was, byPhoenix) {
		_, line, _ := strings.Cut(was, "ExecStart=/usr/bin/nvidia-modprobe -c ")
		line, _, _ = strings.Cut(line, " -c "+controlMinor+"\n")
		for _, word := range strings.Split(line, " -c ") {
			if n, err := strconv.Atoi(word); err == nil && n >= 0 && !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	sort.Ints(all)
	return nodesText(all)
}

const nodesThere = "made at boot, before guests"

func (m *machine) nodesState() string {
	var wrong []string
	switch {
	case m.nodesUnit.text == "":
		wrong = append(wrong, "no unit")
	case m.nodesUnit.text != m.unitText():
		wrong = append(wrong, "another unit")
	}
	if m.nodesUnit.text != "" && !m.nodesUnit.Enabled() {
		wrong = append(wrong, "not at boot")
	}
	if len(m.missing) > 0 {
		wrong = append(wrong, "no "+strings.Join(m.missing, " "))
	}
	if len(wrong) == 0 {
		return nodesThere
	}
	return strings.Join(wrong, ", ")
}

// missingNodes are the nodes that the loaded driver should have.
func missingNodes(h tasks.Host, m *machine) ([]string, error) {
	if m.loaded.version == "" {
		return nil, nil
	}
	nodes := []string{"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"}
	for _, n := range m.minors {
		nodes = append(nodes, "/dev/nvidia"+strconv.Itoa(n))
	}
	var out []string
	for _, n := range nodes {
		_, err := h.Stat(n)
		if errors.Is(err, fs.ErrNotExist) {
			out = append(out, n)
		} else if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// talks tells whether the daemon can run: its library refuses a driver of another
// version, as one that waits for a reboot.
func (m *machine) talks() bool { return m.loaded.version != "" && m.loaded.version == m.library }

func (m *machine) persistenceState() string {
	running := m.persistence.Running()
	if !m.talks() {
		running = m.persistence.Enabled() // it will be, after the reboot
	}
	return persistenceWord(m.persistence.Enabled(), running)
}

func persistenceWord(enabled, running bool) string {
	return map[bool]string{true: "at boot", false: "not at boot"}[enabled] + ", " + map[bool]string{true: "running", false: "stopped"}[running]
}

// applyUnits writes, enables and starts. The nodes are made anew when the driver has
// come to be loaded.
func (t *task) applyUnits(ctx context.Context, h tasks.Host, d tasks.Diff) error {
	m, err := t.look(ctx, h)
	if err != nil {
		return err
	}
	if t.nodes() && (d.Has("device_nodes") || len(m.missing) > 0) {
		if err := m.makeNodes(ctx, h); err != nil {
			return err
		}
	}
	if t.spec.Persistence == nil || m.persistenceState() == persistenceWord(*t.spec.Persistence, *t.spec.Persistence) {
		return nil
	}
	return m.setPersistence(ctx, h, *t.spec.Persistence)
}

func (m *machine) makeNodes(ctx context.Context, h tasks.Host) error {
	text := m.unitText()
	if m.nodesUnit.text != text {
		if err := writeUnit(ctx, h, nodesUnit, text); err != nil {
			return err
		}
	}
	if !m.nodesUnit.Enabled() {
		if err := systemctl(ctx, h, "enable", nodesUnit); err != nil {
			return err
		}
	}
	if m.loaded.version == "" {
		return nil // nvidia-modprobe would find no driver
	}
	return systemctl(ctx, h, "restart", nodesUnit)
}

func (m *machine) setPersistence(ctx context.Context, h tasks.Host, on bool) error {
	u := m.persistence.Unit
	if !u.Exists() && !on {
		return nil
	}
	was, ok, err := tasks.ReadIfExists(h, unitFile(persistenceUnit))
	if err != nil {
		return err
	}
	if ours := ok && strings.HasPrefix(string(was), byPhoenix); !u.Exists() || ours && string(was) != persistenceText {
		if err := writeUnit(ctx, h, persistenceUnit, persistenceText); err != nil {
			return err
		}
	}
	active := &on
	if on && !m.talks() {
		active = nil
	}
	return systemd.Set(ctx, h, u, &on, active)
}

func writeUnit(ctx context.Context, h tasks.Host, name, text string) error {
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: unitFile(name), Data: []byte(text)}); err != nil {
		return err
	}
	return systemctl(ctx, h, "daemon-reload")
}

func systemctl(ctx context.Context, h tasks.Host, args ...string) error {
	_, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: append([]string{"systemctl"}, args...)})
	return err
}
