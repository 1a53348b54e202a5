package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/pve"
)

// Next is the configuration that the container has after its next start.
func (g *Guest) Next() map[string]string {
	return g.Config.Head().With(g.Config.Pending()).Values()
}

// Startable looks for what is known to keep a container with these options from
// starting: bridges, directories and devices of the host that are not there, and an MTU
// that is larger than that of its bridge.
func Startable(h tasks.Host, options map[string]string) error {
	if err := BridgesExist(h, bridges(options)); err != nil {
		return err
	}
	if err := MTUsFit(h, options); err != nil {
		return err
	}
	for _, key := range pve.IndexedKeys(options, "mp") {
		p, err := pve.ParsePropertyString(options[key], "volume")
		if err != nil {
			return err
		}
		dir, _ := p.Get("volume")
		if !strings.HasPrefix(dir, "/") {
			continue
		}
		if _, err := h.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look at %s: directory %s is not there on the host", key, dir)
		}
	}
	return devicesExist(h, options)
}

// MadeAtBoot ends an error about device nodes of a card that are not there.
const MadeAtBoot = "; nvidia.device_nodes in the hypervisor's configuration has them made at boot"

// devicesExist looks for the devices of a container, without which it does not start.
func devicesExist(h tasks.Host, options map[string]string) error {
	for _, key := range pve.IndexedKeys(options, "dev") {
		p, err := pve.ParsePropertyString(options[key], "path")
		node, ok := p.Get("path")
		if err != nil || !ok {
			continue // Proxmox says what is wrong with it
		}
		switch _, err := h.Stat(node); {
		case errors.Is(err, fs.ErrNotExist) && gpu.IsNode(node):
			return fmt.Errorf("look at %s: the host has no %s%s", key, node, MadeAtBoot)
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look at %s: the host has no device %s", key, node)
		case err != nil:
			return fmt.Errorf("look at %s: %w", key, err)
		}
	}
	return nil
}

// BridgesExist refuses a bridge that the host does not have. Proxmox finds out too
// late: a hot change to such a bridge takes the interface away and leaves a staged
// value behind with which the container cannot start again (pve-container 5.3.5).
func BridgesExist(h tasks.Host, bridges []string) error {
	if _, err := h.Stat("/sys/class/net"); err != nil {
		return nil // what there is cannot be told
	}
	for _, b := range bridges {
		if b == "" {
			return errors.New("add an interface: bridge is missing")
		}
		_, err := h.Stat(path.Join("/sys/class/net", b))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for bridge %s: the host has none of that name", b)
		}
		if err != nil {
			return fmt.Errorf("look for bridge %s: %w", b, err)
		}
	}
	return nil
}

// MTUsFit refuses an interface with a larger MTU than its bridge. Proxmox finds out
// too late: pct set writes the value first and then fails, and the container cannot
// start again (update_lxc_config, pve-container 5.3.5).
func MTUsFit(h tasks.Host, options map[string]string) error {
	for _, key := range pve.IndexedKeys(options, "net") {
		p, err := pve.ParsePropertyString(options[key], "")
		if err != nil {
			return err
		}
		bridge, _ := p.Get("bridge")
		text, ok := p.Get("mtu")
		if !ok || bridge == "" {
			continue
		}
		data, err := h.ReadFile(path.Join("/sys/class/net", bridge, "mtu"))
		if err != nil {
			continue // what the bridge has cannot be told
		}
		mtu, err1 := strconv.Atoi(text)
		limit, err2 := strconv.Atoi(strings.TrimSpace(string(data)))
		if err1 == nil && err2 == nil && mtu > limit {
			return fmt.Errorf("look at %s: an MTU of %d is larger than that of bridge %s, %d", key, mtu, bridge, limit)
		}
	}
	return nil
}

// bridges lists the bridges of all interfaces.
func bridges(options map[string]string) []string {
	var out []string
	for _, key := range pve.IndexedKeys(options, "net") {
		p, err := pve.ParsePropertyString(options[key], "")
		if bridge, ok := p.Get("bridge"); err == nil && ok {
			out = append(out, bridge)
		}
	}
	return out
}
