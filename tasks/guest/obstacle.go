package guest

import (
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// allocated is a size where the name of a volume would be: Proxmox makes the volume at
// the next start.
var allocated = regexp.MustCompile(`^\d+(\.\d+)?$`)

// ToBeMade tells whether a volume is yet to be made by the next start.
func ToBeMade(v pve.VolumeID) bool { return allocated.MatchString(v.Name) }

// volume finds what keeps a volume from being mounted.
func (s *starter) volume(option string, v pve.VolumeID) {
	st, ok := s.storages.Find(v.Storage)
	nodes := st.Set("nodes")
	switch {
	case !ok:
		s.add(option, "add the storage, or move the volume to another one", "there is no storage %s", v.Storage)
		return
	case st.Bool("disable"):
		s.add(option, "pvesm set "+v.Storage+" --disable 0", "storage %s is disabled", v.Storage)
	case len(nodes) > 0 && !slices.Contains(nodes, s.node):
		s.add(option, "add this node to the nodes of the storage", "storage %s is for %s, not for this node, %s", v.Storage, strings.Join(nodes, ", "), s.node)
	case !subvolume(v.Name) && !st.Allows("rootdir"):
		// Only directories are mounted without being asked for this (mountpoint_mount,
		// pve-container 5.3.5).
		s.add(option, "add rootdir to its content", "storage %s may not have containers: its content is %s", v.Storage, strings.Join(st.Content(), ","))
	}
	if file := VolumeFile(st, v); file != "" && !networked(st) && !s.there(option, file) {
		s.add(option, "restore the container from a backup, or mount what has the volume", "volume %s is not there: no %s", v, file)
	}
}

// subvolume tells whether a volume is a directory of its storage.
func subvolume(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(base, "subvol-") || strings.HasPrefix(base, "basevol-")
}

// networked tells whether Proxmox mounts the storage itself when it is needed.
func networked(st pve.Storage) bool {
	return slices.Contains([]string{"nfs", "cifs", "cephfs", "glusterfs"}, st.Type)
}

// VolumeFile is the file or directory that a volume lies in; empty where no name of a
// file tells, as for LVM, and for a volume that is yet to be made. On btrfs it is the
// directory of the container's volumes, below which two forms are in use.
func VolumeFile(st pve.Storage, v pve.VolumeID) string {
	dir := st.ContentDir("images")
	parts := strings.Split(v.Name, "/")
	if dir == "" || ToBeMade(v) || len(parts) < 2 {
		return ""
	}
	owner := path.Join(dir, parts[len(parts)-2]) // a linked clone's name begins with its base
	if st.Type == "btrfs" {
		return owner
	}
	return path.Join(owner, parts[len(parts)-1])
}

// rawMounts looks for the sources of raw mounts. LXC does without those that are
// optional.
func (s *starter) rawMounts() {
	const option = "lxc.mount.entry"
	for _, o := range s.raw {
		source, needed := MountSource(o)
		if needed && !s.there(option, source) {
			s.add(option, "take the line out, or add optional to its options", "the host has no %s", source)
		}
	}
}

// MountSource is the path of the host that a raw line mounts, and whether the container
// needs it; "" for other lines.
func MountSource(o pve.RawOption) (source string, needed bool) {
	f := strings.Fields(o.Value)
	if o.Key != "lxc.mount.entry" || len(f) == 0 || !strings.HasPrefix(f[0], "/") {
		return "", false
	}
	return f[0], len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), "optional")
}

// hookscript looks for the script that Proxmox runs before the start and that stops it
// by failing.
func (s *starter) hookscript() {
	const option = "hookscript"
	v, ok := pve.ParseVolumeID(s.options[option])
	if !ok {
		return
	}
	st, ok := s.storages.Find(v.Storage)
	if !ok {
		s.add(option, "add the storage, or take the hookscript out", "there is no storage %s", v.Storage)
		return
	}
	file := path.Join(st.ContentDir("snippets"), strings.TrimPrefix(v.Name, "snippets/"))
	if !s.there(option, file) {
		s.add(option, "put the script there, or take the hookscript out", "the host has no %s", file)
		return
	}
	if info, err := s.host.Stat(file); err == nil && info.Mode.IsRegular() && info.Mode&0o111 == 0 {
		s.add(option, "chmod +x "+file, "%s is not executable", file)
	}
}

// idRange is numbers of users or groups, count of them from first.
type idRange struct{ first, count int }

// users looks whether root may give the container the users and groups that it is to
// have; newuidmap and newgidmap refuse others.
func (s *starter) users() {
	wanted := map[string][]idRange{}
	for _, o := range s.raw {
		if f := strings.Fields(o.Value); o.Key == "lxc.idmap" && len(f) == 4 {
			first, err1 := strconv.Atoi(f[2])
			count, err2 := strconv.Atoi(f[3])
			if err1 == nil && err2 == nil {
				wanted[f[0]] = append(wanted[f[0]], idRange{first, count})
			}
		}
	}
	option := "lxc.idmap"
	if on, _ := pve.ParseBool(s.options["unprivileged"]); on && len(wanted) == 0 {
		option = "unprivileged"
		wanted["b"] = []idRange{{100000, 65536}} // Proxmox's own map
	}
	for _, kind := range []struct{ letter, file string }{{"u", "/etc/subuid"}, {"g", "/etc/subgid"}} {
		data, there, err := tasks.ReadIfExists(s.host, kind.file)
		if err != nil || !there {
			continue // what root may give cannot be told
		}
		for _, w := range append(slices.Clone(wanted[kind.letter]), wanted["b"]...) {
			if !covered(w, parseSubIDs(string(data))) {
				s.add(option, "add root:"+strconv.Itoa(w.first)+":"+strconv.Itoa(w.count)+" to "+kind.file,
					"%s does not give root the %d numbers from %d", kind.file, w.count, w.first)
			}
		}
	}
}

// parseSubIDs reads what root may give out of /etc/subuid or /etc/subgid, in the order
// of the numbers.
func parseSubIDs(text string) []idRange {
	var out []idRange
	for _, line := range tasks.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != "root" && f[0] != "0" {
			continue
		}
		first, err1 := strconv.Atoi(f[1])
		count, err2 := strconv.Atoi(f[2])
		if err1 == nil && err2 == nil && first >= 0 && count > 0 {
			out = append(out, idRange{first, count})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].first < out[j].first })
	return out
}

// covered tells whether sorted ranges have all of one.
func covered(want idRange, have []idRange) bool {
	next, end := want.first, want.first+want.count
	for _, r := range have {
		if r.first <= next {
			next = max(next, r.first+r.count)
		}
	}
	return next >= end
}

// profiles has the AppArmor profiles that are loaded, each with its mode behind.
const profiles = "/sys/kernel/security/apparmor/profiles"

// Profile is the AppArmor profile that a container's raw options name; "" for one that
// LXC or Proxmox brings.
func Profile(raw []pve.RawOption) string {
	name := ""
	for _, o := range raw {
		if o.Key == "lxc.apparmor.profile" {
			name = o.Value
		}
	}
	if name == "generated" || name == "unconfined" || name == "unchanged" || strings.HasPrefix(name, "lxc-container-default") {
		return ""
	}
	return name
}

// profile looks whether the container's AppArmor profile is loaded.
func (s *starter) profile() {
	name := Profile(s.raw)
	data, err := s.host.ReadFile(profiles)
	if name == "" || err != nil || len(data) == 0 {
		return // there is none, or what is loaded cannot be told
	}
	for _, line := range tasks.Lines(string(data)) {
		if loaded, _, _ := strings.Cut(line, " ("); loaded == name {
			return
		}
	}
	s.add("lxc.apparmor.profile", "apparmor_parser -r on the file that has it", "the profile %s is not loaded", name)
}
