package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
)

// groups has a control group for each running container, named by its CTID; what runs
// inside is below ns (update_lxc_config, pve-container 5.3.5).
const groups = "/sys/fs/cgroup/lxc"

// ErrNoProcess says that the kernel does not show the container's first process: it is
// only just starting, or the host still has cgroup v1.
var ErrNoProcess = errors.New("its first process is not below " + groups)

// FirstProcess is the host's number of the process that is 1 inside. systemd keeps it
// in init.scope, other programs in no group or in one of another name.
func (g *Guest) FirstProcess(h tasks.Host) (int, error) {
	inside := path.Join(groups, strconv.Itoa(g.CTID), "ns")
	for _, group := range []string{"init.scope", "."} {
		if pid, err := firstIn(h, path.Join(inside, group)); err != nil || pid != 0 {
			return pid, err
		}
	}
	names, err := h.ReadDir(inside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("look for a first process: %w", err)
	}
	for _, name := range names {
		if pid, err := firstIn(h, path.Join(inside, name)); err == nil && pid != 0 { // most are no groups
			return pid, nil
		}
	}
	return 0, ErrNoProcess
}

// firstIn is the lowest process of a control group if it is number 1 where it lives,
// and 0 otherwise.
func firstIn(h tasks.Host, group string) (int, error) {
	pid, err := lowest(h, path.Join(group, "cgroup.procs"))
	if err != nil || pid == 0 {
		return 0, err
	}
	first, err := isFirst(h, pid)
	if err != nil || !first {
		return 0, err
	}
	return pid, nil
}

// lowest is the lowest process of a control group, 0 where there is none.
func lowest(h tasks.Host, file string) (int, error) {
	data, _, err := tasks.ReadIfExists(h, file)
	if err != nil {
		return 0, err
	}
	var pids []int
	for _, word := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 0 { // 0 is a process that cannot be seen from here
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		return 0, nil
	}
	return slices.Min(pids), nil
}

// isFirst tells whether a process is number 1 where it lives. One that has ended in
// the meantime is not.
func isFirst(h tasks.Host, pid int) (bool, error) {
	data, _, err := tasks.ReadIfExists(h, fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false, err
	}
	for _, line := range tasks.Lines(string(data)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			seen := strings.Fields(numbers)
			return len(seen) > 1 && seen[len(seen)-1] == "1", nil
		}
	}
	return false, nil
}

// ticks is how the kernel counts in /proc/PID/stat, each second, on every architecture
// that Proxmox runs on.
const ticks = 100

// Uptime is how long a process has run. It counts no time that the host slept.
func Uptime(h tasks.Host, pid int) (time.Duration, error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	stat, err := h.ReadFile(file)
	if err != nil {
		return 0, err
	}
	now, err := h.ReadFile("/proc/uptime")
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; after it come the state, which is
	// field 3, and so on to the time of the start, which is field 22.
	const state, start = 3, 22
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) <= start-state {
		return 0, fmt.Errorf("read %s: it has no time of the start", file)
	}
	began, err := strconv.ParseFloat(fields[start-state], 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", file, err)
	}
	host, _, _ := strings.Cut(strings.TrimSpace(string(now)), " ")
	up, err := strconv.ParseFloat(host, 64)
	if err != nil {
		return 0, fmt.Errorf("read /proc/uptime: %w", err)
	}
	return time.Duration(max(0, up-began/ticks) * float64(time.Second)), nil
}

// Memory is what a running container uses, in bytes, as Proxmox counts it: without the
// page cache, which the kernel gives back when it is needed (get_memory_stat,
// pve-common 8.3.8).
func (g *Guest) Memory(h tasks.Host) (int64, error) {
	group := path.Join(groups, strconv.Itoa(g.CTID))
	current, err := h.ReadFile(path.Join(group, "memory.current"))
	if err != nil {
		return 0, err
	}
	used, err := strconv.ParseInt(strings.TrimSpace(string(current)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read memory.current of container %d: %w", g.CTID, err)
	}
	stat, err := h.ReadFile(path.Join(group, "memory.stat"))
	if err != nil {
		return 0, err
	}
	for _, line := range tasks.Lines(string(stat)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "file" {
			cache, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read memory.stat of container %d: %w", g.CTID, err)
			}
			return max(0, used-cache), nil
		}
	}
	return used, nil
}

// MemoryLimit is what the configuration lets it use, in bytes.
func (g *Guest) MemoryLimit() int64 {
	mib, err := strconv.ParseInt(g.option("memory"), 10, 64)
	if err != nil {
		mib = 512 // Proxmox's default
	}
	return mib << 20
}
