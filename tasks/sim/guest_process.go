package sim

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// pidFile stands for what the process table says of a container's first process.
func pidFile(id int) string { return fmt.Sprintf("/run/lxc/%d.pid", id) }

// groupOf is the control group of a running container.
func groupOf(id int) string { return fmt.Sprintf("/sys/fs/cgroup/lxc/%d", id) }

// A running container has been up for a while, and uses and caches some memory.
const (
	guestUptime = 13
	guestMemory = 14475264
	guestCache  = 9437184
)

// setProcess shows the first process of a container as the kernel does, with the
// memory and the network that it is in, or takes it away.
func (m *Machine) setProcess(id int, run bool) error {
	old := strings.TrimSpace(m.text(pidFile(id)))
	for _, gone := range []string{pidFile(id), groupOf(id)} {
		if err := os.RemoveAll(m.path(gone)); err != nil {
			return err
		}
	}
	if _, err := strconv.Atoi(old); err == nil {
		if err := os.RemoveAll(m.path("/proc/" + old)); err != nil {
			return err
		}
	}
	if err := m.setGPUProcess(id, run); err != nil || !run {
		return err
	}
	pid := 2000 + m.intN(60000)
	for m.exists(fmt.Sprintf("/proc/%d", pid)) {
		pid++
	}
	up, _, _ := strings.Cut(m.text("/proc/uptime"), " ")
	seconds, err := strconv.ParseFloat(up, 64)
	if err != nil {
		return err
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	files := map[string]string{
		pidFile(id):                                 fmt.Sprintf("%d\n", pid),
		proc + "stat":                               fmt.Sprintf("%d (systemd) S %d 1 1 0 -1 4194560 7038 0 71 0 11 16 0 0 20 0 1 0 %d 171937792 2853\n", pid, pid-1, int64(100*(seconds-guestUptime))),
		proc + "status":                             fmt.Sprintf("Name:\tsystemd\nState:\tS (sleeping)\nPid:\t%d\nPPid:\t%d\nNSpid:\t%d\t1\n", pid, pid-1, pid),
		groupOf(id) + "/memory.current":             fmt.Sprintf("%d\n", guestMemory+guestCache),
		groupOf(id) + "/memory.stat":                fmt.Sprintf("anon %d\nfile %d\nkernel 0\n", guestMemory, guestCache),
		groupOf(id) + "/ns/cgroup.procs":            "",
		groupOf(id) + "/ns/init.scope/cgroup.procs": fmt.Sprintf("%d\n", pid),
	}
	m.guestNetwork(id, proc+"net/", files)
	return m.writeAll(files)
}

// guestNetwork adds what the kernel shows of a container's network. Whoever asks by
// DHCP gets an address.
func (m *Machine) guestNetwork(id int, dir string, files map[string]string) {
	data, err := m.read(m.confPath(id))
	if err != nil {
		return
	}
	cfg, _ := parseConfig(id, data)
	routes := "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	trie := "Main:\n  +-- 0.0.0.0/0 3 0 5\nLocal:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
	inet6 := fmt.Sprintf("%032x 01 80 10 80       lo\n", 1)
	for _, key := range cfg.numbered("net") {
		nic, fault := netSchema().split(cfg.keys[key])
		if fault != "" || normalBoolean(nic["link_down"]) == "1" {
			continue
		}
		if p, err := netip.ParsePrefix(leased(id, key, nic["ip"])); err == nil {
			mask := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), p.Bits()).Masked().Addr()
			routes += fmt.Sprintf("%s\t%s\t00000000\t0001\t0\t0\t0\t%s\t0\t0\t0\n", nic["name"], backwards(p.Masked().Addr()), backwards(mask))
			trie += fmt.Sprintf("     |-- %s\n        /32 host LOCAL\n", p.Addr())
		}
		if p, err := netip.ParsePrefix(nic["ip6"]); err == nil {
			inet6 += fmt.Sprintf("%x 02 %02x 00 80 %8s\n", p.Addr().As16(), p.Bits(), nic["name"])
		}
	}
	files[dir+"route"], files[dir+"fib_trie"], files[dir+"if_inet6"] = routes, trie, inet6
}
