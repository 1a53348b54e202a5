package inventory

import (
	"fmt"
	"path"
	"strings"

	"phoenix/inventory/document"
	"phoenix/tasks/aptsources"
	"phoenix/tasks/ifupdown"
	"phoenix/tasks/kind/dns"
	"phoenix/tasks/modprobe"
)

// owned are the files that a section writes, as patterns of path.Match.
type owned struct {
	section  string
	patterns []string
}

// foreignFiles refuses files that another section writes: each run would undo the
// other's half.
func (l *loader) foreignFiles(files *document.Node, v *Hypervisor) {
	owners := append(v.machineFiles(), v.serverFiles()...)
	for _, m := range objects(files) {
		for _, o := range owners {
			if o.has(m.Key) {
				l.found.Add(document.At(m.KeyPos, m.Value.Path, o.section+" writes this file as well", "say it there, or leave one of them out"))
				break
			}
		}
	}
}

func (o owned) has(name string) bool {
	for _, p := range o.patterns {
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}

// machineFiles are those of the machine itself: its name, archives, kernel and network.
func (v *Hypervisor) machineFiles() []owned {
	var out []owned
	add := func(wanted bool, section string, patterns ...string) {
		if wanted {
			out = append(out, owned{section, patterns})
		}
	}
	if s := v.System; s != nil {
		add(s.Hostname != "", "system.hostname", "/etc/hostname")
		add(s.Timezone != "", "system.timezone", "/etc/timezone", "/etc/localtime")
		add(s.Locale != "", "system.locale", "/etc/locale.gen", "/etc/default/locale", "/etc/locale.conf")
	}
	if r := v.Repositories; r != nil {
		add(r.Repositories != "", "apt.repositories", aptsources.Dir+"/proxmox.sources", aptsources.Dir+"/pve-enterprise.*")
		add(r.Ceph != "", "apt.ceph", aptsources.Dir+"/ceph.*")
		for _, name := range sortedKeys(r.ExtraSources) {
			add(true, "apt.extra_sources."+name, aptsources.Dir+"/"+name+".sources")
		}
	}
	if k := v.Kernel; k != nil {
		add(len(k.Modules) > 0, "kernel.modules", "/etc/modules-load.d/phoenix.conf")
		add(len(k.Sysctl) > 0, "kernel.sysctl", "/etc/sysctl.d/90-phoenix.conf")
		add(len(k.ModuleOptions)+len(k.Blacklist) > 0, "kernel", modprobe.Own)
		add(len(k.Cmdline)+len(k.CmdlineAbsent) > 0, "kernel.cmdline", "/etc/default/grub", "/etc/kernel/cmdline")
	}
	add(v.NVIDIA != nil && v.NVIDIA.Driver != "", "nvidia.driver", modprobe.Own, "/etc/apt/preferences.d/phoenix-nvidia.pref", "/etc/systemd/system/phoenix-nvidia-*.service")
	add(v.Network != nil, "network.bridges", ifupdown.Main, ifupdown.Pending)
	add(v.DNS != nil, "network.dns", dns.Path)
	add(v.Arc != nil, "zfs.arc_max_gb", modprobe.Own)
	return out
}

// serverFiles are those of what the machine serves, and of whom.
func (v *Hypervisor) serverFiles() []owned {
	var out []owned
	add := func(wanted bool, section string, patterns ...string) {
		if wanted {
			out = append(out, owned{section, patterns})
		}
	}
	add(len(v.Storages) > 0, "storage", "/etc/pve/storage.cfg")
	add(v.NFS != nil, "nfs", "/etc/exports.d/phoenix.exports")
	add(v.Samba != nil, "samba", "/etc/samba/phoenix.conf", "/etc/samba/smb.conf")
	if f := v.Firewall; f != nil {
		add(f.Cluster != nil, "firewall.cluster", "/etc/pve/firewall/cluster.fw")
		add(f.Host != nil, "firewall.host", "/etc/pve/nodes/*/host.fw", "/etc/pve/local/host.fw")
	}
	add(len(v.PVEUsers) > 0, "users", "/etc/pve/user.cfg")
	add(len(v.Users) > 0, "users", "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/sudoers.d/phoenix-*")
	for _, u := range v.Users {
		home := u.Home
		switch {
		case home == "" && u.Name == "root":
			home = "/root"
		case home == "":
			home = "/home/" + u.Name
		}
		literal := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(home)
		add(len(u.AuthorizedKeys) > 0, "users."+u.Name, literal+"/.ssh/authorized_keys")
		add(len(u.AuthorizedKeys) > 0 && u.Name == "root", "users.root", "/etc/pve/priv/authorized_keys")
	}
	return out
}

// numbersOnce refuses one number for two users, who would be one to the kernel.
func (l *loader) numbersOnce(users *document.Node, v *Hypervisor) {
	first := make(map[int]string)
	for _, u := range v.Users {
		if u.UID == nil {
			continue
		}
		if other, taken := first[*u.UID]; taken {
			n, _ := users.Find([]string{u.Name, "uid"})
			l.found.Add(n.Fault(fmt.Sprintf("%d is the number of %s as well", *u.UID, other), "leave uid out of one of them"))
			continue
		}
		first[*u.UID] = u.Name
	}
}
