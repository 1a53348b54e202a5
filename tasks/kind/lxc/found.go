package lxc

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// found is what the machine says about the container.
type found struct {
	exists, running bool
	// start names the present start of a running container.
	start     string
	conf      *pve.Config
	now, next values
	// lock is why Proxmox refuses to touch the container: "backup".
	lock string
	// clones are the containers that share its volumes; only findClones fills it in.
	clones []int
}

// template tells whether the container is a template of Proxmox.
func (f *found) template() bool {
	on, _ := pve.ParseBool(f.now["template"])
	return on
}

func confPath(ctid int) string { return fmt.Sprintf("/etc/pve/lxc/%d.conf", ctid) }

// lockPath is the file that Proxmox locks around each change of a configuration.
func lockPath(ctid int) string { return fmt.Sprintf("/run/lock/lxc/pve-config-%d.lock", ctid) }

// load reads the state. It fails where the CTID belongs to another guest: a virtual
// machine, or a container of another node.
func (t *task) load(h tasks.Host) (*found, error) {
	id := t.spec.CTID
	node, err := pve.Node(h)
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", id, err)
	}
	data, err := h.ReadFile(confPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return &found{}, t.owned(h, node)
	}
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", id, err)
	}
	starts, err := pve.ContainerStarts(h)
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", id, err)
	}
	f := &found{exists: true, start: starts[id], running: starts[id] != "", conf: pve.ParseConfig(data)}
	f.now = f.conf.Head().Values()
	f.next = f.conf.Head().With(f.conf.Pending()).Values()
	keepSizes(f.now, f.next)
	f.lock = f.now["lock"]
	if f.lock == "create" {
		return nil, fmt.Errorf("read container %d: it is half made (lock: create): a pct create or pct clone is still under way, or was killed. "+
			"If none runs, see what is left with pct config %d, then pct unlock %d and pct destroy %d --destroy-unreferenced-disks 1", id, id, id, id)
	}
	if strings.TrimSpace(f.now["rootfs"]) == "" {
		return nil, fmt.Errorf("read container %d: %s has no rootfs, which every container has: the file is damaged; "+
			"put it back from a backup, or write the line again for the volume that pvesm list shows for it", id, confPath(id))
	}
	return f, nil
}

// keepSizes corrects the sizes in next: what is staged for a mount point has the size
// from when it was staged, and at the next start Proxmox measures the volume anew
// (apply_pending_mountpoint, pve-container 5.3.5). So a volume that stays has the size
// that it has now.
func keepSizes(now, next values) {
	for _, key := range indexedKeys(next, "mp") {
		old, err1 := pve.ParsePropertyString(now[key], "volume")
		p, err2 := pve.ParsePropertyString(next[key], "volume")
		if err1 != nil || err2 != nil {
			continue
		}
		had, _ := old.Get("volume")
		size, ok := old.Get("size")
		if has, _ := p.Get("volume"); !ok || has != had {
			continue
		}
		p.Set("size", size)
		if value, err := encode(key, p); err == nil {
			next[key] = value
		}
	}
}

// owned asks the cluster's list of guests whether somebody else has the CTID. It is
// asked only where this node has no configuration of that number: Proxmox's file
// system lets no two guests of a cluster have the same.
func (t *task) owned(h tasks.Host, node string) error {
	id := t.spec.CTID
	data, err := h.ReadFile("/etc/pve/.vmlist")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find who has CTID %d: %w", id, err)
	}
	guests, err := pve.ParseVMList(data)
	if err != nil {
		return fmt.Errorf("find who has CTID %d: %w", id, err)
	}
	g, taken := guests[id]
	switch {
	case !taken:
		return nil
	case g.Type != "lxc":
		return fmt.Errorf("find who has CTID %d: it belongs to a virtual machine on node %s; give the container another CTID", id, g.Node)
	case g.Node != node:
		return fmt.Errorf("find who has CTID %d: it belongs to a container on node %s, and this is node %s; "+
			"place it there, or give this one another CTID", id, g.Node, node)
	}
	return nil
}

// findings lists all that differs of a container that exists, in a stable order.
func (t *task) findings(h tasks.Host, f *found) ([]finding, error) {
	out := t.spec.staged(f.now, f.next)
	raw, err := t.rawFindings(h, f)
	if err != nil {
		return nil, err
	}
	out = append(out, raw...)
	gpus, err := t.gpuFindings(h, f)
	if err != nil {
		return nil, err
	}
	out = append(out, gpus...)
	dirs, err := t.directories(h, f.now, f.conf.Head().Raw())
	if err != nil {
		return nil, err
	}
	out = append(out, dirs...)
	liveDevices := false
	for i := range out {
		x := &out[i]
		device := x.op == opAdd && x.entry.prefix == "dev"
		if device && f.running && !liveDevices {
			liveDevices = addsDevicesLive(h)
		}
		if x.Effect == tasks.EffectRestart && (!f.running || device && liveDevices) {
			x.Effect = tasks.EffectLive
		}
	}
	out = append(out, t.stateFinding(f)...)
	out = append(out, t.snapshotFinding(f)...)
	return t.refuse(h, f, out)
}

// addsDevicesLive tells whether a new device reaches a running container: since
// Proxmox VE 9 (pve-container 6). Where the version cannot be told, a restart is
// announced; what really happened shows in the configuration afterwards.
func addsDevicesLive(h tasks.Host) bool {
	r, err := pve.ReadRelease(h)
	return err == nil && r.Major >= 9
}

// stateFinding tells whether the container runs when it should not, or the reverse.
func (t *task) stateFinding(f *found) []finding {
	have := StateStopped
	if f.running {
		have = StateRunning
	}
	if want := t.spec.state(); have != want {
		return []finding{{Change: tasks.Change{Path: "state", From: have, To: want, Effect: tasks.EffectLive}, op: opState}}
	}
	return nil
}

// rawFindings compares the raw options. They have no pending section; what a running
// container was started with is in the file that Proxmox made for LXC.
func (t *task) rawFindings(h tasks.Host, f *found) ([]finding, error) {
	if t.spec.LXCOptions == nil {
		return nil, nil
	}
	want, err := parseRaw(*t.spec.LXCOptions)
	if err != nil {
		return nil, err
	}
	have := f.conf.Head().Raw()
	c := tasks.Change{Path: "lxc_options", From: joinRaw(have), To: joinRaw(want), Effect: tasks.EffectRestart}
	if !slices.Equal(have, want) {
		return []finding{{Change: c, op: opRaw}}, nil
	}
	begun, known, err := t.startedWith(h, f)
	if err != nil || !known || slices.Equal(visible(begun), visible(want)) {
		return nil, err
	}
	c.From, c.Effect, c.Note = joinRaw(visible(begun)), tasks.EffectPending, "written, and waits for the next start"
	return []finding{{Change: c, op: opStaged}}, nil
}
