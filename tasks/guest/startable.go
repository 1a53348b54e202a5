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

// Obstacle is something that keeps a container from starting.
type Obstacle struct {
	// Option of the container that it is about: "mp0", "lxc.idmap".
	Option string
	// Err says what it is.
	Err error
	// Mend says how to mend it; it may be empty.
	Mend string
	// Unknown says that it could not be told whether there is one.
	Unknown bool
}

// Why is what it is, and the way out.
func (o Obstacle) Why() error {
	if o.Mend == "" {
		return o.Err
	}
	return fmt.Errorf("%w: %s", o.Err, o.Mend)
}

// Startable is the first of the obstacles; nil where none is known.
func Startable(h tasks.Host, options map[string]string, raw []pve.RawOption) error {
	list, err := Obstacles(h, options, raw)
	if err != nil || len(list) == 0 {
		return err
	}
	return list[0].Why()
}

// Obstacles looks for everything that is known to keep a container with these options
// from starting now: bridges, directories, storages, volumes, devices and scripts of the
// host that are not there, an MTU that is larger than that of its bridge, users that it
// may not have, a profile that is not loaded.
func Obstacles(h tasks.Host, options map[string]string, raw []pve.RawOption) ([]Obstacle, error) {
	cfg, err := pve.ReadStorageCfg(h)
	if err != nil {
		return nil, err
	}
	node, err := pve.Node(h)
	if err != nil {
		return nil, err
	}
	s := starter{host: h, options: options, raw: raw, storages: cfg, node: node}
	s.interfaces()
	s.mounts()
	s.devices()
	s.rawMounts()
	s.hookscript()
	s.users()
	s.profile()
	return s.found, nil
}

// starter looks for the obstacles of one container.
type starter struct {
	host     tasks.Host
	options  map[string]string
	raw      []pve.RawOption
	storages pve.StorageCfg
	node     string
	found    []Obstacle
}

// add notes an obstacle.
func (s *starter) add(option, mend, format string, args ...any) {
	s.found = append(s.found, Obstacle{Option: option, Mend: mend, Err: fmt.Errorf("look at "+option+": "+format, args...)})
}

// there tells whether a path of the host is there, and notes where that cannot be told.
func (s *starter) there(option, name string) bool {
	_, err := s.host.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.found = append(s.found, Obstacle{Option: option, Unknown: true, Err: fmt.Errorf("look at %s: %w", option, err)})
	}
	return !errors.Is(err, fs.ErrNotExist)
}

func (s *starter) interfaces() {
	for _, key := range pve.IndexedKeys(s.options, "net") {
		one := map[string]string{key: s.options[key]}
		if err := BridgesExist(s.host, bridges(one)); err != nil {
			s.found = append(s.found, Obstacle{Option: key, Err: err, Mend: "make the bridge, or give the interface another one"})
		} else if err := MTUsFit(s.host, one); err != nil {
			s.found = append(s.found, Obstacle{Option: key, Err: err, Mend: "lower the mtu of the interface, or raise that of the bridge"})
		}
	}
}

func (s *starter) mounts() {
	for _, key := range append([]string{"rootfs"}, pve.IndexedKeys(s.options, "mp")...) {
		p, err := pve.ParsePropertyString(s.options[key], "volume")
		if err != nil {
			s.add(key, "", "%w", err)
			continue
		}
		source, _ := p.Get("volume")
		switch volume, ok := pve.ParseVolumeID(source); {
		case ok:
			s.volume(key, volume)
		case strings.HasPrefix(source, "/") && !s.there(key, source):
			s.add(key, "make the directory, or mount what has it", "directory %s is not there on the host", source)
		}
	}
}

// MadeAtBoot ends an error about device nodes of a card that are not there.
const MadeAtBoot = "; nvidia.device_nodes in the hypervisor's configuration has them made at boot"

// devices looks for the devices of a container, without which it does not start.
func (s *starter) devices() {
	for _, key := range pve.IndexedKeys(s.options, "dev") {
		p, err := pve.ParsePropertyString(s.options[key], "path")
		node, ok := p.Get("path")
		switch {
		case err != nil || !ok: // Proxmox says what is wrong with it
		case s.there(key, node):
		case gpu.IsNode(node):
			s.add(key, "", "the host has no %s%s", node, MadeAtBoot)
		default:
			s.add(key, "load the driver of the device, or take the option out", "the host has no device %s", node)
		}
	}
	features, err := pve.ParsePropertyString(s.options["features"], "")
	fuse, _ := features.Get("fuse")
	if on, _ := pve.ParseBool(fuse); err == nil && on && !s.there("features", "/dev/fuse") {
		s.add("features", "load the module fuse", "fuse=1 needs /dev/fuse, which the host does not have")
	}
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
