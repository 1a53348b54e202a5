package bootcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"phoenix/tasks"
	"phoenix/tasks/boot"
	"phoenix/tasks/guest"
	"phoenix/tasks/ifupdown"
	"phoenix/tasks/modprobe"
	"phoenix/tasks/pve"
)

// machine is what files say of the next boot.
type machine struct {
	host     tasks.Host
	storages pve.StorageCfg
	// mounted is what is mounted now, fstab what is listed to be.
	mounted, fstab []mount
	units          units
	// modules are loaded at boot because they are listed; parts says which are a part of
	// the kernel.
	modules map[string]bool
	parts   modprobe.Modules
	options modprobe.Config
	// kernel is the one that the next boot starts; empty where there is none.
	kernel string
	// network is as the next boot finds it; noNetwork is why it cannot be told.
	network   *ifupdown.Config
	noNetwork string
	// delay is how long Proxmox waits before the first guest, in seconds.
	delay int
	// off is why Proxmox starts no guest at all.
	off string
	// makers reads, once, what may make nodes at boot; nodes has what came of those that
	// were looked at.
	makers func() []working
	nodes  map[string]Finding
}

// look reads everything once.
func look(h tasks.Host) (*machine, error) {
	m := &machine{host: h, nodes: make(map[string]Finding)}
	m.makers = sync.OnceValue(m.readMakers)
	var err error
	if m.storages, err = pve.ReadStorageCfg(h); err != nil {
		return nil, err
	}
	mounted, err := h.ReadFile("/proc/mounts")
	if err != nil {
		return nil, fmt.Errorf("find what is mounted: %w", err)
	}
	fstab, _, err := tasks.ReadIfExists(h, "/etc/fstab")
	if err != nil {
		return nil, err
	}
	m.mounted, m.fstab = parseMounts(string(mounted)), parseMounts(string(fstab))
	if m.units, err = readUnits(h); err != nil {
		return nil, err
	}
	if m.modules, err = modprobe.AtBoot(h); err != nil {
		return nil, err
	}
	if m.parts, err = modprobe.Present(h); err != nil {
		return nil, err
	}
	if m.options, err = modprobe.Read(h); err != nil {
		return nil, err
	}
	if m.kernel, _, err = boot.Next(h); err != nil {
		return nil, err
	}
	if m.network, err = ifupdown.ReadNext(h); err != nil {
		m.noNetwork = err.Error()
	}
	if m.delay, err = onbootDelay(h); err != nil {
		return nil, err
	}
	switch {
	case m.units.masked(guestsUnit):
		m.off = guestsUnit + " is masked: no guest starts at boot"
	case !m.units.enabled[guestsUnit]:
		m.off = guestsUnit + " is not enabled: no guest starts at boot"
	}
	return m, nil
}

// onbootDelay is startall-onboot-delay of the node's own options.
func onbootDelay(h tasks.Host) (int, error) {
	data, _, err := tasks.ReadIfExists(h, pve.LocalLink+"/config")
	if err != nil {
		return 0, err
	}
	for _, line := range tasks.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "startall-onboot-delay:"); ok {
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && n > 0 {
				return n, nil
			}
		}
	}
	return 0, nil
}

func (m *machine) exists(name string) bool {
	_, err := m.host.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// text is a file's content; empty where it cannot be read.
func (m *machine) text(name string) string {
	data, err := m.host.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(data)
}

// mountPoints looks at the storages and directories that a container is made of.
func (m *machine) mountPoints(s *start, missing map[string]bool) {
	for _, key := range append([]string{"rootfs"}, pve.IndexedKeys(s.options, "mp")...) {
		p, err := pve.ParsePropertyString(s.options[key], "volume")
		if err != nil || missing[key] {
			continue
		}
		source, _ := p.Get("volume")
		if v, ok := pve.ParseVolumeID(source); ok {
			st, _ := m.storages.Find(v.Storage)
			m.storage(s, key, st, v)
		} else if strings.HasPrefix(source, "/dev/") {
			m.device(s, key, source)
		} else if strings.HasPrefix(source, "/") {
			m.directory(s, key, source)
		}
	}
	for _, o := range s.raw {
		if source, needed := guest.MountSource(o); needed && !strings.HasPrefix(source, "/dev/") && !missing[o.Key] {
			m.directory(s, o.Key, source)
		}
	}
	m.features(s)
}

// directory looks whether a directory of the host is there after a boot: Proxmox wants
// it to be, and does not look whether anything is mounted on it.
func (m *machine) directory(s *start, option, source string) {
	on := m.mountOf(source)
	why, mend, unknown := m.lost(on, source)
	switch {
	case why == "":
		if late := m.covered(source, on); late != "" {
			s.add(EffectUnknown, option, fmt.Sprintf("%s is below %s, which is mounted at boot and is not now: what is there then cannot be told", source, late), "mount "+late)
		}
	case unknown:
		s.add(EffectUnknown, option, fmt.Sprintf("%s %s", source, why), mend)
	case source == on.at:
		s.add(EffectDisturbs, option, fmt.Sprintf("it starts with an empty %s: %s", source, why), mend)
	default:
		s.add(EffectStops, option, fmt.Sprintf("directory %s is on %s: %s", source, on.at, why), mend)
	}
}

// storage looks whether a storage, and the volume on it, are there after a boot. One
// whose volume the container uses now is there now.
func (m *machine) storage(s *start, option string, st pve.Storage, v pve.VolumeID) {
	switch dir := st.Path(); {
	case slices.Contains([]string{"dir", "btrfs"}, st.Type):
		m.directoryStorage(s, option, st)
	case st.Type == "zfspool":
		m.pool(s, option, st)
	case s.guest.Running(): // the others are not mounted or imported by the host itself
	case st.Type == "lvm" || st.Type == "lvmthin":
		m.group(s, option, st, v)
	case dir == "" || m.mountOf(dir).at != dir:
		s.add(EffectUnknown, option, fmt.Sprintf("whether storage %s (%s) can be reached cannot be told from files", st.ID, st.Type), "look at pvesm status --storage "+st.ID)
	}
}

// directoryStorage: the directory has to be there, and with is_mountpoint a file system
// has to be mounted.
func (m *machine) directoryStorage(s *start, option string, st pve.Storage) {
	dir := st.Path()
	if at, _ := st.Get("is_mountpoint"); strings.HasPrefix(at, "/") {
		dir = at
	}
	on := m.mountOf(dir)
	if st.Bool("is_mountpoint") && on.at != dir {
		s.add(EffectStops, option, fmt.Sprintf("storage %s is to be mounted at %s, and is not", st.ID, dir), "mount "+dir)
		return
	}
	if why, mend, unknown := m.lost(on, dir); unknown {
		s.add(EffectUnknown, option, fmt.Sprintf("storage %s: %s %s", st.ID, dir, why), mend)
	} else if why != "" {
		s.add(EffectStops, option, fmt.Sprintf("storage %s is on %s: %s", st.ID, on.at, why), mend)
	}
}

// kstat has a directory for each imported pool.
const kstat = "/proc/spl/kstat/zfs"

// pool: Proxmox imports the pool of an enabled storage by itself, and tries it every few
// seconds. One that is not there now has nothing to be imported from.
func (m *machine) pool(s *start, option string, st pve.Storage) {
	dataset, _ := st.Get("pool")
	name, _, _ := strings.Cut(dataset, "/")
	switch {
	case m.exists(kstat + "/" + name):
	case !m.exists(kstat):
		s.add(EffectUnknown, option, fmt.Sprintf("whether pool %s of storage %s is there cannot be told: ZFS is not loaded", name, st.ID), "modprobe zfs")
	default:
		s.add(EffectStops, option, fmt.Sprintf("pool %s of storage %s is not imported, and Proxmox has not been able to", name, st.ID), "zpool import "+name)
	}
}

// group: volumes of LVM that are not in use have no node; LVM's own copy of what a group
// has names them.
func (m *machine) group(s *start, option string, st pve.Storage, v pve.VolumeID) {
	vg, _ := st.Get("vgname")
	copied := m.text("/etc/lvm/backup/" + vg)
	switch {
	case copied == "" && !m.exists("/dev/"+vg):
		s.add(EffectUnknown, option, fmt.Sprintf("no file tells of volume group %s of storage %s", vg, st.ID), "look at vgs "+vg)
	case m.exists("/dev/"+vg+"/"+v.Name) || strings.Contains(copied, v.Name+" {"):
	case guest.ToBeMade(v):
	default:
		s.add(EffectUnknown, option, fmt.Sprintf("no file tells of volume %s in group %s", v.Name, vg), "look at lvs "+vg)
	}
}
