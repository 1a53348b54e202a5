package plan

import (
	"fmt"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/pve"
	"phoenix/tasks/taskstest"
)

// hand is a change that a person makes, with Proxmox's own program, and the property
// that a check must report then.
type hand struct {
	path string
	make func(t *testing.T, h tasks.Host)
}

// hands are the changes that can be made of a container of the spec, one for each
// property that it has.
func hands(s *lxc.Spec) []hand {
	var out []hand
	pct := func(managed bool, path, format string, args ...any) {
		if managed {
			out = append(out, hand{path, func(t *testing.T, h tasks.Host) { sh(t, h, s.CTID, fmt.Sprintf(format, args...)) }})
		}
	}
	pct(true, "name", "set --hostname by-hand")
	pct(s.Description != nil, "description", "set --description by-hand")
	pct(s.Tags != nil, "tags", "set --tags by-hand")
	pct(s.MemoryMB != 0, "memory_mb", "set --memory 99")
	pct(s.SwapMB != nil, "swap_mb", "set --swap 99")
	pct(s.Cores != 0, "cores", "set --cores 2")
	pct(s.CPULimit != nil, "cpu_limit", "set --cpulimit 1.5")
	pct(s.CPUUnits != nil, "cpu_units", "set --cpuunits 77")
	pct(s.Nameserver != "", "nameserver", "set --nameserver 4.4.4.4")
	pct(s.Searchdomain != "", "searchdomain", "set --searchdomain by.hand")
	pct(s.Timezone != "", "timezone", "set --timezone Asia/Tokyo")
	pct(s.Console != nil, "console", "set --console %s", other(s.Console))
	pct(s.ConsoleMode != "", "console_mode", "set --cmode console")
	pct(s.TTYCount != nil, "tty_count", "set --tty %d", (deref(s.TTYCount)+1)%7)
	pct(s.StartAtBoot != nil, "start_at_boot", "set --onboot %s", other(s.StartAtBoot))
	pct(s.TemplateSnapshotName != "", "template_snapshot_name", "delsnapshot %s", s.TemplateSnapshotName)
	if s.LXCOptions != nil {
		out = append(out, hand{"lxc_options", func(t *testing.T, h tasks.Host) {
			file := confFile(s.CTID)
			taskstest.Put(t, h, file, "lxc.prlimit.core: 0\n"+taskstest.Get(t, h, file))
		}})
	}
	out = append(out, handsOnParts(s)...)
	pct(s.State == lxc.StateRunning, "state", "stop") // last: what waits for a start goes on waiting
	pct(s.State == lxc.StateStopped, "state", "start")
	return out
}

func confFile(ctid int) string { return fmt.Sprintf("/etc/pve/lxc/%d.conf", ctid) }

// handsOnParts change one part of an option and leave the others as they are.
func handsOnParts(s *lxc.Spec) []hand {
	var out []hand
	part := func(managed bool, path, prefix, known, sub, value string) {
		if managed {
			out = append(out, hand{path, func(t *testing.T, h tasks.Host) { changePart(t, h, s.CTID, prefix, known, sub, value) }})
		}
	}
	part(s.BootOrder != nil, "boot_order", "startup", "", "order", "1")
	part(s.BootDelayS != nil, "boot_delay_s", "startup", "", "up", "99")
	part(s.ShutdownTimeoutS != nil, "shutdown_timeout_s", "startup", "", "down", "99")
	if f := s.PctOptions; f != nil {
		part(f.Nesting != nil, "pct_options.nesting", "features", "", "nesting", other(f.Nesting))
		part(f.Keyctl != nil, "pct_options.keyctl", "features", "", "keyctl", other(f.Keyctl))
		part(f.Fuse != nil, "pct_options.fuse", "features", "", "fuse", other(f.Fuse))
	}
	for _, n := range s.NetworkConfig {
		at, known := "network_config."+n.Name+".", "name="+n.Name
		part(strings.Contains(n.IP, "/"), at+"ip", "net", known, "ip", "10.99.98.222/24")
		part(n.IP == "dhcp", at+"ip", "net", known, "ip", "manual")
		part(n.IP6 != "", at+"ip6", "net", known, "ip6", "dhcp")
		part(n.GW != "", at+"gw", "net", known, "gw", "10.99.98.2")
		part(n.MACAddress != "", at+"mac_address", "net", known, "hwaddr", "BC:24:11:FF:FF:FE")
		part(n.VLAN != 0, at+"vlan", "net", known, "tag", "99")
		part(n.MTU != 0, at+"mtu", "net", known, "mtu", "1300")
		part(n.RateMBs != 0, at+"rate_mbs", "net", known, "rate", "3")
		part(n.Firewall != nil, at+"firewall", "net", known, "firewall", other(n.Firewall))
	}
	for _, m := range s.MountPoints {
		at, known := "mount_points."+m.ContainerPath+".", "mp="+m.ContainerPath
		part(m.ReadOnly != nil, at+"read_only", "mp", known, "ro", other(m.ReadOnly))
		part(true, at+"host_path", "mp", known, "volume", "/srv")
	}
	for _, v := range s.Volumes {
		part(v.Backup != nil, "volumes."+v.ContainerPath+".backup", "mp", "mp="+v.ContainerPath, "backup", other(v.Backup))
	}
	for _, d := range s.Devices {
		part(true, "devices."+d.Path+".mode", "dev", d.Path, "mode", "0644")
		part(true, "devices."+d.Path+".gid", "dev", d.Path, "gid", "44")
	}
	if a := s.GPUAssignment; len(a) > 0 && !a.None() {
		part(true, "gpu_assignment./dev/nvidiactl.mode", "dev", "/dev/nvidiactl", "mode", "0600")
	}
	return out
}

// changePart sets one part of the option that has the known part in it.
func changePart(t *testing.T, h tasks.Host, ctid int, prefix, known, sub, value string) {
	t.Helper()
	conf := pve.ParseConfig([]byte(taskstest.Get(t, h, confFile(ctid))))
	def := map[string]string{"mp": "volume", "dev": "path", "startup": "order"}[prefix]
	key, text := prefix, ""
	for k, v := range conf.Head().With(conf.Pending()).Values() {
		if known == "" && k == prefix || known != "" && strings.HasPrefix(k, prefix) && strings.Contains(","+v+",", ","+known+",") {
			key, text = k, v
		}
	}
	p, err := pve.ParsePropertyString(text, def)
	if err != nil {
		t.Fatal(err)
	}
	p.Set(sub, value)
	fresh, err := p.Encode(def)
	if err != nil {
		t.Fatal(err)
	}
	sh(t, h, ctid, fmt.Sprintf("set --%s %s", key, fresh))
}

// sh runs "VERB ARGUMENTS" of pct on a container.
func sh(t *testing.T, h tasks.Host, ctid int, line string) {
	t.Helper()
	words := strings.Fields(line)
	argv := append([]string{"pct", words[0], fmt.Sprint(ctid)}, words[1:]...)
	out, err := h.Run(t.Context(), tasks.Cmd{Argv: argv})
	if err != nil || out.Code != 0 {
		t.Fatalf("%q: %v %d %s", argv, err, out.Code, out.Stderr)
	}
}

func other(b *bool) string {
	if b != nil && *b {
		return "0"
	}
	return "1"
}

func deref(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
