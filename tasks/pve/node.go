package pve

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"phoenix/tasks"
)

// LocalLink is the symbolic link to the node's own folder. It exists only while
// Proxmox's cluster file system is mounted, and its mode tells whether it can be
// written.
const LocalLink = "/etc/pve/local"

// Node is the name of the node that h is. It fails when Proxmox's cluster file
// system is not mounted: then /etc/pve is an ordinary empty directory, and what is
// written there would be lost under the mount.
func Node(h tasks.Host) (string, error) {
	info, err := h.Stat(LocalLink)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("find this node's name: %w", err)
	}
	if err != nil || info.Mode&fs.ModeSymlink == 0 {
		return "", fmt.Errorf("find this node's name: %s is not a link: the cluster file system is not mounted "+
			"(is this a Proxmox VE host? see systemctl status pve-cluster)", LocalLink)
	}
	name := path.Base(info.Target)
	if name == "." || name == "/" {
		return "", fmt.Errorf("find this node's name: %s points to %q", LocalLink, info.Target)
	}
	return name, nil
}

// Writable fails when the cluster file system cannot be written: not mounted, or the
// node is not part of a quorum. Proxmox shows the second by taking the owner's write
// bit off the link (pve-cluster 8.1.3); asking for access means nothing for root.
func Writable(h tasks.Host) error {
	if _, err := Node(h); err != nil {
		return err
	}
	info, err := h.Stat(LocalLink)
	if err != nil {
		return fmt.Errorf("see whether /etc/pve can be written: %w", err)
	}
	if info.Mode.Perm()&0o200 == 0 {
		return errors.New("see whether /etc/pve can be written: the node has no quorum, so it is read-only (see pvecm status)")
	}
	return nil
}

// Guest is a virtual machine or a container of the cluster.
type Guest struct {
	// Node has the guest.
	Node string `json:"node"`
	// Type is "lxc" or "qemu".
	Type string `json:"type"`
	// Version rises with each write of the guest's configuration.
	Version int `json:"version"`
}

type vmlist struct {
	IDs map[string]Guest `json:"ids"`
}

// ParseVMList reads /etc/pve/.vmlist: all guests of the cluster by number.
func ParseVMList(data []byte) (map[int]Guest, error) {
	var list vmlist
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read /etc/pve/.vmlist: %w", err)
	}
	out := make(map[int]Guest, len(list.IDs))
	for id, g := range list.IDs {
		n, err := strconv.Atoi(id)
		if err != nil || g.Type == "" {
			return nil, fmt.Errorf("read /etc/pve/.vmlist: %q is no guest with a number and a type", id)
		}
		out[n] = g
	}
	return out, nil
}

// ActiveContainers lists the containers that run now. It reads the kernel's table
// of sockets, in which each running container's monitor has one called
// @/var/lib/lxc/CTID/command; this is what Proxmox itself does.
func ActiveContainers(h tasks.Host) (map[int]bool, error) {
	starts, err := ContainerStarts(h)
	if err != nil {
		return nil, err
	}
	out := make(map[int]bool, len(starts))
	for id := range starts {
		out[id] = true
	}
	return out, nil
}

// ContainerStarts names the present start of each container that runs: the number of
// its monitor's socket, which another start does not have.
func ContainerStarts(h tasks.Host) (map[int]string, error) { return starts(h, monitors) }

// ContainerStart is the present start of one container; empty when it does not run.
func ContainerStart(h tasks.Host, ctid int) (string, error) {
	all, err := starts(h, fmt.Sprintf("%s%d/", monitors, ctid))
	return all[ctid], err
}

// monitors is how the names of the monitors' sockets begin.
const monitors = "@/var/lib/lxc/"

func starts(h tasks.Host, mark string) (map[int]string, error) {
	data, err := tasks.ReadTable(h, "/proc/net/unix")
	if err != nil {
		return nil, fmt.Errorf("find running containers: %w", err)
	}
	return parseUnixSockets(data, mark), nil
}

// parseUnixSockets looks only at lines with the mark: on a large host there are a
// thousand others.
func parseUnixSockets(data []byte, mark string) map[int]string {
	out := make(map[int]string)
	for _, line := range tasks.Lines(string(data)) {
		if !strings.Contains(line, mark) {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		id, ok := strings.CutPrefix(fields[7], monitors)
		id, ok2 := strings.CutSuffix(id, "/command")
		if n, err := strconv.Atoi(id); ok && ok2 && err == nil {
			const listening = "00010000"
			if _, had := out[n]; !had || fields[3] == listening {
				out[n] = fields[6]
			}
		}
	}
	return out
}

// Release is the version of Proxmox VE: 8.4 is {8, 4}.
type Release struct{ Major, Minor int }

// ReadRelease reads the version of the installed pve-manager from dpkg's status,
// the same that pveversion prints after starting Perl.
func ReadRelease(h tasks.Host) (Release, error) {
	data, err := tasks.ReadTable(h, "/var/lib/dpkg/status")
	if err != nil {
		return Release{}, fmt.Errorf("find Proxmox VE's version: %w", err)
	}
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, 1<<20)
	in := false
	for s.Scan() {
		l := s.Text()
		if name, ok := strings.CutPrefix(l, "Package: "); ok {
			in = name == "pve-manager"
		}
		if v, ok := strings.CutPrefix(l, "Version: "); ok && in {
			return parseRelease(v)
		}
	}
	if err := s.Err(); err != nil {
		return Release{}, fmt.Errorf("find Proxmox VE's version: %w", err)
	}
	return Release{}, errors.New("find Proxmox VE's version: pve-manager is not installed")
}

func parseRelease(v string) (Release, error) {
	if m := regexp.MustCompile(`^([0-9]+)\.([0-9]+)`).FindStringSubmatch(v); m != nil {
		major, err1 := strconv.Atoi(m[1])
		minor, err2 := strconv.Atoi(m[2])
		if err1 == nil && err2 == nil {
			return Release{Major: major, Minor: minor}, nil
		}
	}
	return Release{}, fmt.Errorf("find Proxmox VE's version: pve-manager has version %q", v)
}
