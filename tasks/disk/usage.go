package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"phoenix/tasks"
)

// users is who on the machine uses devices: by the kernel's name, or by number.
type users struct{ byName, byNumber map[string][]string }

func (u users) add(h tasks.Host, device, use string) error {
	if !strings.HasPrefix(device, "/dev/") {
		return nil
	}
	name, err := Name(h, device)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // /dev/root, a device that was pulled out
	}
	if err == nil {
		u.byName[name] = append(u.byName[name], use)
	}
	return err
}

// usage reads mounts, swap, the members of btrfs and the disks of guests.
func usage(h tasks.Host) (users, error) {
	u := users{map[string][]string{}, map[string][]string{}}
	for _, part := range []func(tasks.Host) error{u.mounts, u.swaps, u.btrfs, u.guests} {
		if err := part(h); err != nil {
			return u, fmt.Errorf("find who uses disks: %w", err)
		}
	}
	return u, nil
}

// mounts reads what is mounted: by number, and by the source, since the number of a
// btrfs is not that of a device.
func (u users) mounts(h tasks.Host) error {
	data, err := h.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, line := range tasks.Lines(string(data)) {
		left, right, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(g) < 2 {
			continue
		}
		use := "is mounted at " + f[4]
		u.byNumber[f[2]] = append(u.byNumber[f[2]], use)
		if strings.HasPrefix(f[2], "0:") {
			if err := u.add(h, g[1], use); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u users) swaps(h tasks.Host) error {
	data, _, err := tasks.ReadIfExists(h, "/proc/swaps")
	if err != nil {
		return err
	}
	for _, line := range tasks.Lines(string(data)) {
		device, _, _ := strings.Cut(line, " ")
		if err := u.add(h, device, "is used as swap"); err != nil {
			return err
		}
	}
	return nil
}

// btrfs lists the devices of mounted file systems, of which a mount names only one.
func (u users) btrfs(h tasks.Host) error {
	systems, err := names(h, "/sys/fs/btrfs")
	if err != nil {
		return err
	}
	for _, id := range systems {
		devices, err := names(h, "/sys/fs/btrfs/"+id+"/devices")
		if err != nil {
			return err
		}
		for _, d := range devices {
			u.byName[d] = append(u.byName[d], "belongs to the btrfs "+id)
		}
	}
	return nil
}

// guests finds disks that are passed through to virtual machines and containers of
// this node. A stopped guest does not have them open, and a running one does not
// have them to itself.
func (u users) guests(h tasks.Host) error {
	device := regexp.MustCompile(`^[a-z0-9]+: (?:[a-z]+=)?(/dev/[^,\s]+)`)
	for _, kind := range []string{"qemu-server", "lxc"} {
		dir := "/etc/pve/local/" + kind
		files, err := names(h, dir)
		if err != nil {
			return err
		}
		for _, f := range files {
			id, isConfig := strings.CutSuffix(f, ".conf")
			if !isConfig {
				continue
			}
			data, _, err := tasks.ReadIfExists(h, dir+"/"+f)
			if err != nil {
				return err
			}
			for _, line := range tasks.Lines(string(data)) {
				if m := device.FindStringSubmatch(line); m != nil {
					if err := u.add(h, m[1], "belongs to guest "+id); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// names lists a directory; none when there is none.
func names(h tasks.Host, dir string) ([]string, error) {
	out, err := h.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return out, err
}

// of says who uses a device: those above, whatever is stacked on it (LVM, md, LUKS,
// multipath, bcache), and its write protection.
func (u users) of(h tasks.Host, name string) ([]string, error) {
	number, err := attribute(h, name, "dev")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, use := range append(u.byName[name], u.byNumber[number]...) {
		out = append(out, name+" "+use)
	}
	holders, err := names(h, sysBlock+name+"/holders")
	if err != nil {
		return nil, err
	}
	for _, holder := range holders {
		as, err := attribute(h, holder, "dm/name")
		if err != nil {
			return nil, err
		}
		out = append(out, strings.TrimSuffix(name+" is held by "+holder+" "+as, " "))
	}
	if ro, err := attribute(h, name, "ro"); err != nil || ro == "1" {
		return append(out, name+" is write-protected"), err
	}
	return out, nil
}
