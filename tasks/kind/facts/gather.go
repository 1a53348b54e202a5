package facts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/pve"
)

// gatherer reads one thing after another and remembers what it could not read.
type gatherer struct {
	h tasks.Host
	f Facts
}

func (g *gatherer) all() Facts {
	g.f.Hostname = g.line("/proc/sys/kernel/hostname")
	g.f.Kernel = g.line("/proc/sys/kernel/osrelease")
	for _, part := range []struct {
		what string
		find func() error
	}{
		{"node", g.node}, {"packages", g.packages}, {"release", g.release}, {"cpu", g.cpu}, {"memory", g.memory},
		{"uptime", g.uptime}, {"cluster", g.cluster}, {"storages", g.storages}, {"containers", g.containers}, {"gpus", g.gpus},
	} {
		if err := part.find(); err != nil {
			g.f.Unreadable = append(g.f.Unreadable, part.what+": "+err.Error())
		}
	}
	return g.f
}

func (g *gatherer) line(path string) string {
	data, err := g.h.ReadFile(path)
	if err != nil {
		g.f.Unreadable = append(g.f.Unreadable, fmt.Sprintf("%s: %v", path, err))
	}
	return strings.TrimSpace(string(data))
}

func (g *gatherer) node() (err error) {
	g.f.Node, err = pve.Node(g.h)
	return err
}

func (g *gatherer) packages() error {
	status, err := dpkg.Read(g.h)
	if err != nil {
		return err
	}
	if p, ok := status.Find("pve-manager"); ok && p.Installed() {
		g.f.PVEVersion = p.Version
	}
	return nil
}

func (g *gatherer) release() error {
	return g.each("/etc/os-release", "=", func(key, value string) {
		if key == "VERSION_CODENAME" {
			g.f.Codename = strings.Trim(value, `"'`)
		}
	})
}

func (g *gatherer) cpu() error {
	return g.each("/proc/cpuinfo", ":", func(key, value string) {
		switch key {
		case "processor":
			g.f.Cores++
		case "model name":
			g.f.CPUModel = value
		}
	})
}

func (g *gatherer) memory() error {
	return g.each("/proc/meminfo", ":", func(key, value string) {
		kib, _ := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
		switch key {
		case "MemTotal":
			g.f.MemoryMB = kib >> 10
		case "MemAvailable":
			g.f.MemoryAvailableMB = kib >> 10
		}
	})
}

// each reads a file of KEY, separator, value lines.
func (g *gatherer) each(path, sep string, use func(key, value string)) error {
	data, err := g.h.ReadFile(path)
	if err != nil {
		return err
	}
	for _, line := range tasks.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, sep); ok {
			use(strings.TrimSpace(key), strings.TrimSpace(value))
		}
	}
	return nil
}

func (g *gatherer) uptime() error {
	data, err := g.h.ReadFile("/proc/uptime")
	if err != nil {
		return err
	}
	seconds, _, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	s, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return fmt.Errorf("read /proc/uptime: %q is no number", seconds)
	}
	g.f.UptimeS = int64(s)
	return nil
}

// cluster reads pmxcfs's list of members; a host that is alone has no cluster in
// it (pve-cluster 8.1).
func (g *gatherer) cluster() error {
	data, err := g.h.ReadFile("/etc/pve/.members")
	if err != nil {
		return err
	}
	var m struct {
		Cluster *struct {
			Name    string `json:"name"`
			Nodes   int    `json:"nodes"`
			Quorate int    `json:"quorate"`
		} `json:"cluster"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("read /etc/pve/.members: %w", err)
	}
	if m.Cluster != nil {
		g.f.Cluster = &Cluster{Name: m.Cluster.Name, Nodes: m.Cluster.Nodes, Quorate: m.Cluster.Quorate == 1}
	}
	return nil
}

func (g *gatherer) storages() error {
	cfg, err := pve.ReadStorageCfg(g.h)
	if err != nil {
		return err
	}
	for _, s := range cfg {
		g.f.Storages = append(g.f.Storages, Storage{
			ID: s.ID, Type: s.Type, Path: s.Path(), Content: s.Content(), Disabled: s.Bool("disable"),
		})
	}
	return nil
}

func (g *gatherer) containers() error {
	const dir = "/etc/pve/lxc"
	names, err := g.h.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	active, err := pve.ActiveContainers(g.h)
	if err != nil {
		return err
	}
	for _, n := range names {
		id, err := strconv.Atoi(strings.TrimSuffix(n, ".conf"))
		if err != nil || !strings.HasSuffix(n, ".conf") {
			continue
		}
		data, err := g.h.ReadFile(path.Join(dir, n))
		if err != nil {
			return err
		}
		name, _ := pve.ParseConfig(data).Head().Get("hostname")
		g.f.Containers = append(g.f.Containers, Container{CTID: id, Name: name, Running: active[id]})
	}
	return nil
}

// gpus looks for NVIDIA's display devices; their audio functions share the vendor.
func (g *gatherer) gpus() error {
	const dir = "/sys/bus/pci/devices"
	names, err := g.h.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no PCI bus
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		vendor, err := g.attr(dir, n, "vendor")
		if err != nil {
			return err
		}
		class, err := g.attr(dir, n, "class")
		if err != nil {
			return err
		}
		if vendor != "10de" || !strings.HasPrefix(class, "03") {
			continue
		}
		device, err := g.attr(dir, n, "device")
		if err != nil {
			return err
		}
		gpu := GPU{Address: n, PCIID: vendor + ":" + device}
		if fi, err := g.h.Stat(path.Join(dir, n, "driver")); err == nil {
			gpu.Driver = path.Base(fi.Target)
		}
		g.f.GPUs = append(g.f.GPUs, gpu)
	}
	return nil
}

// attr reads one number of a PCI device, without its 0x.
func (g *gatherer) attr(dir, device, name string) (string, error) {
	data, err := g.h.ReadFile(path.Join(dir, device, name))
	return strings.TrimPrefix(strings.TrimSpace(string(data)), "0x"), err
}
