package inventory

import (
	"strings"
	"testing"
)

func TestAFileThatASectionWritesIsNotManagedTwice(t *testing.T) {
	for _, tc := range []struct{ name, section, path, want string }{
		{"exports", `"nfs": {"exports": {"/srv": {"clients": {"10.0.0.0/24": []}}}}`, "/etc/exports.d/phoenix.exports", "nfs writes"},
		{"exports that are somebody's own", `"nfs": {"exports": {"/srv": {"clients": {"10.0.0.0/24": []}}}}`, "/etc/exports.d/mine.exports", ""},
		{"the same file without the section", `"system": {"ntp": true}`, "/etc/exports.d/phoenix.exports", ""},
		{"shares", `"samba": {"workgroup": "LAB"}`, "/etc/samba/phoenix.conf", "samba writes"},
		{"bridges", `"network": {"bridges": {"vmbr1": {"ports": []}}}`, "/etc/network/interfaces", "network.bridges writes"},
		{"names beside bridges alone", `"network": {"bridges": {"vmbr1": {"ports": []}}}`, "/etc/resolv.conf", ""},
		{"names", `"network": {"dns": {"nameservers": ["10.0.0.1"]}}`, "/etc/resolv.conf", "network.dns writes"},
		{"sudo rules", `"users": {"ann": {"sudo": ["ALL=(ALL) ALL"]}}`, "/etc/sudoers.d/phoenix-ann", "users writes"},
		{"sudo rules of one's own", `"users": {"ann": {"sudo": ["ALL=(ALL) ALL"]}}`, "/etc/sudoers.d/ann", ""},
		{"keys", `"users": {"ann": {"home": "/srv/[a]", "authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKEHxLAE5Dsj9xYQPJSB0F1zpsYaeWzoa+NUvcl/DKIa a"]}}`, "/srv/[a]/.ssh/authorized_keys", "users.ann writes"},
		{"modules", `"kernel": {"modules": ["vfio"]}`, "/etc/modules-load.d/phoenix.conf", "kernel.modules writes"},
		{"parameters", `"kernel": {"sysctl": {"vm.swappiness": 1}}`, "/etc/sysctl.d/90-phoenix.conf", "kernel.sysctl writes"},
		{"parameters beside modules alone", `"kernel": {"modules": ["vfio"]}`, "/etc/sysctl.d/90-phoenix.conf", ""},
		{"options of modules", `"kernel": {"blacklist": ["nouveau"]}`, "/etc/modprobe.d/zz-phoenix.conf", "kernel writes"},
		{"the command line", `"kernel": {"cmdline": ["quiet"]}`, "/etc/default/grub", "kernel.cmdline writes"},
		{"the cache of ZFS", `"zfs": {"arc_max_gb": 4}`, "/etc/modprobe.d/zz-phoenix.conf", "zfs.arc_max_gb writes"},
		{"archives", `"apt": {"repositories": "no-subscription"}`, "/etc/apt/sources.list.d/proxmox.sources", "apt.repositories writes"},
		{"storages", `"storage": {"dd": {"type": "dir", "path": "/d"}}`, "/etc/pve/storage.cfg", "storage writes"},
		{"the firewall", `"firewall": {"host": {}}`, "/etc/pve/nodes/pve1/host.fw", "firewall.host writes"},
		{"the name", `"system": {"hostname": "pve1"}`, "/etc/hostname", "system.hostname writes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, found := load(t, files{
				"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
				"h.json":     `{"version":1,"files":{"` + tc.path + `":{"content":"x"}},` + tc.section + `}`,
			})
			want := "h.json:1:23: files." + tc.path + ": " + tc.want
			if tc.want == "" && len(found) > 0 || tc.want != "" && (len(found) != 1 || !strings.HasPrefix(found[0], want)) {
				t.Errorf("found %q, want %q", found, tc.want)
			}
		})
	}
}

func TestTwoUsersHaveTwoNumbers(t *testing.T) {
	_, found := load(t, files{
		"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
		"h.json":     `{"version":1,"users":{"ann":{"uid":1500},"bob":{"uid":1501},"eve":{"uid":1500}}}`,
	})
	if want := "h.json:1:74: users.eve.uid: 1500 is the number of ann as well (leave uid out of one of them)"; len(found) != 1 || found[0] != want {
		t.Errorf("found %q, want %q", found, want)
	}
}

func TestCharactersThatTurnTheTextAroundAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`"users": {"ann": {"comment": "a\u202eb"}}`:                "users.ann.comment: the control character U+202E is not allowed here",
		`"network": {"bridges": {"vmbr1": {"comment": "\u2066"}}}`: "network.bridges.vmbr1.comment: the control character U+2066",
		`"files": {"/etc/motd": {"content": "a\u200fb"}}`:          "",
	} {
		_, found := load(t, files{
			"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
			"h.json":     `{"version":1,` + text + `}`,
		})
		if got := strings.Join(found, "\n"); (want == "") != (got == "") || !strings.Contains(got, want) || strings.Count(got, "\n") > 0 {
			t.Errorf("%s: found %q, want %q", text, got, want)
		}
	}
}

func TestANameOfAStorageThatIsTooShortIsSaid(t *testing.T) {
	_, found := load(t, files{
		"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
		"h.json":     `{"version":1,"storage":{"d":{"type":"dir","path":"/d"}}}`,
	})
	if len(found) != 1 || !strings.Contains(found[0], "at least two characters") {
		t.Errorf("found %q", found)
	}
}

func TestALongNameMakesNoLongMessage(t *testing.T) {
	_, found := load(t, files{
		"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\n",
		"h.json":     `{"version":1,"users":{"` + strings.Repeat("é", 100_000) + `":{}}}`,
	})
	if got := strings.Join(found, "\n"); len(found) == 0 || len(got) > 3000*len(found) || !strings.Contains(got, "…") {
		t.Errorf("%d messages, %d bytes", len(found), len(got))
	}
}
