package sim

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// vmListFile is where pmxcfs lists all guests of the cluster.
const vmListFile = "/etc/pve/.vmlist"

type vmEntry struct {
	Node    string `json:"node"`
	Type    string `json:"type"`
	Version int    `json:"version"`
}

type vmList struct {
	Version int                `json:"version"`
	IDs     map[string]vmEntry `json:"ids"`
}

// writeVMList writes the list anew from the configurations of all nodes. A guest
// keeps its version unless changed names it.
func (m *Machine) writeVMList(changed ...int) error {
	var old vmList
	if err := json.Unmarshal([]byte(m.text(vmListFile)), &old); err != nil {
		old = vmList{Version: 1}
	}
	old.Version++
	var lines []string
	for _, id := range m.guests() {
		e := m.guest(id)
		e.Version = old.Version
		if was, ok := old.IDs[strconv.Itoa(id)]; ok && was.Node == e.Node && was.Type == e.Type && !slices.Contains(changed, id) {
			e.Version = was.Version
		}
		lines = append(lines, fmt.Sprintf(`"%d": { "node": "%s", "type": "%s", "version": %d }`, id, e.Node, e.Type, e.Version))
	}
	text := fmt.Sprintf("{\n\"version\": %d,\n\"ids\": {\n%s}\n\n}\n", old.Version, strings.Join(lines, ",\n"))
	return m.write(vmListFile, []byte(text), 0o640)
}

// guestFiles lists the configurations of all guests of the cluster.
func (m *Machine) guestFiles() []string {
	var files []string
	for _, kind := range []string{"lxc", "qemu-server"} {
		found, err := filepath.Glob(m.path("/etc/pve/nodes") + "/*/" + kind + "/*.conf")
		if err == nil {
			files = append(files, found...)
		}
	}
	return files
}

// guests lists the numbers of all guests of the cluster in order.
func (m *Machine) guests() []int {
	var ids []int
	for _, f := range m.guestFiles() {
		if id, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(f), ".conf")); err == nil && id >= 100 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// guest says where a guest of the cluster is; its Node is empty when there is none.
func (m *Machine) guest(id int) vmEntry {
	for _, f := range m.guestFiles() {
		if filepath.Base(f) != fmt.Sprintf("%d.conf", id) {
			continue
		}
		kind := filepath.Base(filepath.Dir(f))
		node := filepath.Base(filepath.Dir(filepath.Dir(f)))
		if kind == "qemu-server" {
			kind = "qemu"
		}
		return vmEntry{Node: node, Type: kind}
	}
	return vmEntry{}
}

// unixSockets is where the kernel lists its sockets. LXC's monitor of a running
// container has one there, which is how Proxmox knows what runs.
const unixSockets = "/proc/net/unix"

func socketOf(id int) string { return fmt.Sprintf(" @/var/lib/lxc/%d/command", id) }

// running reports whether a container runs.
func (m *Machine) running(id int) bool {
	for line := range strings.SplitSeq(m.text(unixSockets), "\n") {
		if strings.HasSuffix(line, socketOf(id)) {
			return true
		}
	}
	return false
}

// setRunning adds the container's socket to the kernel's list, or takes it away.
func (m *Machine) setRunning(id int, run bool) error {
	switch {
	case m.Containers != nil && run:
		return m.Containers.Start(id)
	case m.Containers != nil:
		return m.Containers.Stop(id, 0, true)
	}
	return m.exclusive(func() error {
		text := m.text(unixSockets)
		if text == "" {
			text = "Num       RefCount Protocol Flags    Type St Inode Path\n"
		}
		lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(line string) bool {
			return strings.HasSuffix(strings.TrimSpace(line), socketOf(id))
		})
		if run {
			lines = append(lines, fmt.Sprintf("0000000000000000: 00000002 00000000 00010000 0001 01 %d%s\n", 10000+m.intN(50000), socketOf(id)))
		}
		if err := m.write(unixSockets, []byte(strings.Join(lines, "")), 0o444); err != nil {
			return err
		}
		return m.setProcess(id, run)
	})
}
