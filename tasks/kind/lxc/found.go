package lxc

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/guest"
	"phoenix/tasks/pve"
)

// found is what the machine says about the container.
type found struct {
	exists, running bool
	// node is the other node of the cluster that has it, and here this one; both are
	// empty for a container of this node.
	node, here string
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

// contents is what a container loses that is destroyed.
func (f *found) contents() string {
	switch n := len(f.conf.Snapshots()); n {
	case 0:
		return "volumes"
	case 1:
		return "volumes and its snapshot"
	default:
		return fmt.Sprintf("volumes and its %d snapshots", n)
	}
}

// lost is the note of a difference that destroys the container.
func (f *found) lost() string { return "its " + f.contents() + " are destroyed with it" }

func confPath(ctid int) string { return fmt.Sprintf("/etc/pve/lxc/%d.conf", ctid) }

// lockPath is the file that Proxmox locks around each change of a configuration.
func lockPath(ctid int) string { return fmt.Sprintf("/run/lock/lxc/pve-config-%d.lock", ctid) }

// read reads the state. It fails where the CTID belongs to a virtual machine.
func (t *task) read(h tasks.Host) (*found, error) {
	id := t.spec.CTID
	node, err := pve.Node(h)
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", id, err)
	}
	data, err := h.ReadFile(confPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return t.elsewhere(h, node)
	}
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", id, err)
	}
	start, err := pve.ContainerStart(h, id)
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", id, err)
	}
	f := &found{exists: true, start: start, running: start != ""}
	f.parse(data)
	if f.lock == "create" {
		return nil, fmt.Errorf("read container %d: it is half made (lock: create): a pct create or pct clone is still under way, or was killed. "+
			"If none runs, see what is left with pct config %d, then pct unlock %d and pct destroy %d --destroy-unreferenced-disks 1", id, id, id, id)
	}
	if line := damaged(f.now); line != "" && f.lock == "destroyed" { // all that pct destroy leaves of it while it works
		return nil, fmt.Errorf("read container %d: it is being destroyed (lock: destroyed): %s", id, guest.LockAdvice(id, f.lock, f.conf))
	} else if line != "" {
		return nil, fmt.Errorf("read container %d: %s has %s, and not the volume that belongs there: the file is damaged; "+
			"put it back from a backup, or write the line again for the volume that pvesm list shows for it", id, confPath(id), line)
	}
	return f, nil
}

// damaged is the line of a volume that is cut off or nonsense, "no rootfs" where that is
// missing; "" when there is none.
func damaged(v values) string {
	if strings.TrimSpace(v["rootfs"]) == "" {
		return "no rootfs"
	}
	for _, key := range append([]string{"rootfs"}, indexedKeys(v, "mp")...) {
		if _, ok := mounted(v[key]); !ok {
			return key + ": " + v[key]
		}
	}
	return ""
}

// mounted reads what a mount is of: a volume, or a path of the host; false where the
// line says neither.
func mounted(line string) (pve.PropertyString, bool) {
	p, err := pve.ParsePropertyString(line, "volume")
	if err != nil {
		return p, false
	}
	volume, _ := p.Get("volume")
	_, allocated := pve.ParseVolumeID(volume)
	return p, allocated || strings.HasPrefix(volume, "/")
}

// parse reads the configuration.
func (f *found) parse(data []byte) {
	f.conf = pve.ParseConfig(data)
	f.now = f.conf.Head().Values()
	f.next = f.now
	if staged := f.conf.Pending(); staged != nil {
		f.next = f.conf.Head().With(staged).Values()
		keepSizes(f.now, f.next)
	}
	f.lock = f.now["lock"]
}

// keepSizes corrects the sizes in next: what is staged for a mount point has the size
// from when it was staged, and at the next start Proxmox measures the volume anew
// (apply_pending_mountpoint, pve-container 5.3.5). So a volume that stays has the size
// that it has now.
func keepSizes(now, next values) {
	for _, key := range append(indexedKeys(next, "mp"), "rootfs") {
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
	options, err := t.spec.wantRaw(f.conf.Head().Raw(), chosen(raw))
	if err != nil {
		return nil, err
	}
	dirs, err := t.directories(h, f.now, options)
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
	out = append(out, t.unfinishedFinding(f)...)
	out = append(out, t.receiptFinding(f)...)
	out = append(out, t.staleReceipt(f)...)
	out = append(out, t.sealed(f)...)
	return t.refuse(h, f, t.strayFindings(f, out))
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
