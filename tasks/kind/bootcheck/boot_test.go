package bootcheck_test

import (
	"testing"

	"phoenix/tasks/sim"
)

// Directories of the host that a container has, on what a boot mounts and what not.
func TestDirectoryFaults(t *testing.T) {
	bind := func(source string) func(*rig) {
		return func(r *rig) { r.dir(source); r.line("mp0: " + source + ",mp=/data\n") }
	}
	on := func(device, at, kind, source string, more ...func(*rig)) func(*rig) {
		return func(r *rig) {
			r.mounted(device, at, kind)
			for _, f := range more {
				f(r)
			}
			bind(source)(r)
		}
	}
	fstab := func(line string) func(*rig) {
		return func(r *rig) { r.edit("/etc/fstab", "proc /proc", line+"\nproc /proc") }
	}
	unit := func(name string) func(*rig) {
		return func(r *rig) { r.put("/etc/systemd/system/"+name, "[Mount]\n") }
	}
	enabled := func(name, target string) func(*rig) { return func(r *rig) { r.enable(name, target, "") } }
	file := func(name, text string) func(*rig) { return func(r *rig) { r.put(name, text) } }
	try(t, sim.LayoutLVM, 0, []fault{
		{"a directory that is not there", func(r *rig) { r.line("mp0: /srv/none,mp=/data\n") }, "900.mp0 stops: directory /srv/none is not there on the host", "make the directory"},
		{"a directory of the system's own disk", bind("/srv/data"), "", ""},
		{"nothing mounts its file system", on("/dev/sdb1", "/mnt/big", "ext4", "/mnt/big/data"), "900.mp0 stops: directory /mnt/big/data is on /mnt/big: nothing mounts /mnt/big at boot", "add it to /etc/fstab"},
		{"a directory whose name begins like a mount's", on("/dev/sdb1", "/mnt/big", "ext4", "/mnt/bigger"), "", ""},
		{"nothing mounts the directory itself", on("/dev/sdb1", "/mnt/big", "ext4", "/mnt/big"), "900.mp0 disturbs: it starts with an empty /mnt/big: nothing mounts", "add it to /etc/fstab"},
		{"fstab mounts it", on("/dev/sdb1", "/mnt/big", "ext4", "/mnt/big/data", fstab("UUID=1 /mnt/big ext4 defaults,nofail 0 2")), "", ""},
		{"fstab mounts it, with a blank in its name", on("/dev/sdb1", "/mnt/big\\040one", "ext4", "/srv", fstab("UUID=1 /mnt/big\\040one ext4 defaults 0 2"), bind("/mnt/big one/data")), "", ""},
		{"fstab has it with noauto", on("/dev/sdb1", "/mnt/big", "ext4", "/mnt/big/data", fstab("UUID=1 /mnt/big/ ext4 noauto,ro 0 2")),
			"900.mp0 stops: directory /mnt/big/data is on /mnt/big: /etc/fstab has /mnt/big with noauto", "take noauto out"},
		{"fstab mounts it when it is used", on("/dev/sdb1", "/mnt/big", "ext4", "/mnt/big/data", fstab("UUID=1 /mnt/big ext4 noauto,x-systemd.automount 0 2")), "", ""},
		{"a comment in fstab mounts nothing", on("/dev/sdb1", "/mnt/big", "ext4", "/mnt/big/data", fstab("#UUID=1 /mnt/big ext4 defaults 0 2")), "900.mp0 stops", "fstab"},
		{"fstab mounts something over it", func(r *rig) { bind("/mnt/big/data")(r); fstab("UUID=1 /mnt/big ext4 defaults 0 2")(r) },
			"900.mp0 unknown: /mnt/big/data is below /mnt/big, which is mounted at boot and is not now", "mount /mnt/big"},
		{"a share in fstab", on("10.0.0.9:/x", "/mnt/nas", "nfs4", "/mnt/nas/data", fstab("10.0.0.9:/x /mnt/nas nfs _netdev 0 0")), "", ""},
		{"a share that was mounted by hand", on("10.0.0.9:/x", "/mnt/nas", "nfs4", "/mnt/nas/data"), "900.mp0 stops: directory /mnt/nas/data is on /mnt/nas", "fstab"},
		{"a share that is a storage", on("10.0.0.9:/x", "/mnt/pve/nas", "nfs4", "/mnt/pve/nas/data", func(r *rig) { r.storageCfg("nfs: nas\n\tserver 10.0.0.9\n\texport /x\n\n") }), "", ""},
		{"a share that is a disabled storage", on("10.0.0.9:/x", "/mnt/pve/nas", "nfs4", "/mnt/pve/nas/data", func(r *rig) { r.storageCfg("nfs: nas\n\tdisable\n\tserver 10.0.0.9\n\texport /x\n\n") }), "900.mp0 stops", "fstab"},
		{"a unit mounts it", on("/dev/sdb1", "/mnt/big-one", "ext4", "/mnt/big-one/data", unit(`mnt-big\x2done.mount`), enabled(`mnt-big\x2done.mount`, "multi-user.target")), "", ""},
		{"a unit that is not enabled", on("/dev/sdb1", "/mnt/big-one", "ext4", "/mnt/big-one/data", unit(`mnt-big\x2done.mount`)),
			`900.mp0 stops: directory /mnt/big-one/data is on /mnt/big-one: the unit mnt-big\x2done.mount is not enabled`, `systemctl enable 'mnt-big\x2done.mount'`},
		{"a unit that mounts it when it is used", on("/dev/sdb1", "/mnt/big", "ext4", "/mnt/big/data", unit("mnt-big.mount"), enabled("mnt-big.automount", "multi-user.target")), "", ""},
		{"a directory in memory", on("tmpfs", "/tmp", "tmpfs", "/tmp/data"), "900.mp0 stops: directory /tmp/data is on /tmp: is in memory", "on a disk"},
		{"a directory of /run", on("tmpfs", "/run", "tmpfs", "/run/mine"), "900.mp0 unknown: /run/mine is in memory", "/etc/tmpfiles.d"},
		{"a directory of /run that tmpfiles makes", on("tmpfs", "/run", "tmpfs", "/run/mine", file("/etc/tmpfiles.d/mine.conf", "d /run/mine 0755 root root -\n")), "", ""},
		{"the directory of udev", on("tmpfs", "/run", "tmpfs", "/run/udev"), "", ""},
		{"a raw mount of a directory on a disk that nothing mounts", func(r *rig) {
			r.mounted("/dev/sdb1", "/mnt/big", "ext4")
			r.dir("/mnt/big/data")
			r.line("lxc.mount.entry: /mnt/big/data srv none bind 0 0\n")
		}, "900.lxc.mount.entry stops: directory /mnt/big/data is on /mnt/big", "fstab"},

		{"a pool that nothing imports", on("tank/x", "/tank", "zfs", "/tank/data"), "900.mp0 stops: directory /tank/data is on /tank: pool tank is not imported at boot", "zfs-import@tank.service"},
		{"a pool in the cache", on("tank/x", "/tank", "zfs", "/tank/data", file("/etc/zfs/zpool.cache", "\x00\x00tank\x00"), enabled("zfs-import-cache.service", "zfs-import.target")), "", ""},
		{"a pool in a cache that nobody reads", on("tank/x", "/tank", "zfs", "/tank/data", file("/etc/zfs/zpool.cache", "\x00\x00tank\x00")), "900.mp0 stops: ", "zfs-import@tank"},
		{"a pool that is found on its disks", on("tank/x", "/tank", "zfs", "/tank/data", enabled("zfs-import-scan.service", "zfs-import.target")), "", ""},
		{"a pool that is not looked for, since there is a cache", on("tank/x", "/tank", "zfs", "/tank/data", file("/etc/zfs/zpool.cache", "other"), enabled("zfs-import-scan.service", "zfs-import.target")), "900.mp0 stops: ", "zfs-import@tank"},
		{"a pool with a unit of its own", on("tank/x", "/tank", "zfs", "/tank/data", enabled("zfs-import@tank.service", "zfs-import.target")), "", ""},
		{"a pool whose unit is masked", on("tank/x", "/tank", "zfs", "/tank/data", enabled("zfs-import@tank.service", "zfs-import.target"), func(r *rig) { r.mask("zfs-import@tank.service") }), "900.mp0 stops: ", "zfs-import@tank"},
		{"a pool that is a storage", on("tank/x", "/tank", "zfs", "/tank/data", func(r *rig) { r.storageCfg("zfspool: tank\n\tpool tank/ct\n\n") }), "", ""},
		{"a pool whose file systems nobody mounts", on("tank/x", "/tank", "zfs", "/tank/data", unit("zfs-mount.service"), enabled("zfs-import@tank.service", "zfs-import.target")), "900.mp0 stops: directory /tank/data is on /tank: zfs-mount.service is not enabled", "zfs-mount"},
		{"the system's own pool", on("rpool/x", "/tank", "zfs", "/tank/data", func(r *rig) {
			r.edit("/proc/mounts", "/dev/mapper/pve-root / ext4", "rpool/ROOT/pve-1 / zfs")
		}), "", ""},
	})
}

func TestDeviceFaults(t *testing.T) {
	dev := func(node string) func(*rig) {
		return func(r *rig) { r.put(node, ""); r.line("dev0: " + node + ",mode=0666\n") }
	}
	with := func(node string, more ...func(*rig)) func(*rig) {
		return func(r *rig) {
			for _, f := range more {
				f(r)
			}
			dev(node)(r)
		}
	}
	file := func(name, text string) func(*rig) { return func(r *rig) { r.put(name, text) } }
	try(t, sim.LayoutLVM, 0, []fault{
		{"a node that is not there", func(r *rig) { r.line("dev0: /dev/mine\n") }, "900.dev0 stops: the host has no device /dev/mine", "load the driver"},
		{"a node that somebody made by hand", dev("/dev/mine"), "900.dev0 stops: /dev/mine exists now, and nothing makes it at boot", "ordered before pve-guests.service"},
		{"a node of the kernel", dev("/dev/net/tun"), "", ""},
		{"a node of a graphics card", dev("/dev/dri/renderD128"), "", ""},
		{"a node with hardware behind it", with("/dev/odd0", func(r *rig) { r.dir("/sys/class/odd/odd0/device") }), "", ""},
		{"a node that kmod makes", with("/dev/snd-odd", func(r *rig) {
			r.put("/lib/modules/6.8.12-9-pve/modules.devname", "# made by kmod\nodd snd-odd c10:200\n")
		}), "", ""},
		{"a node that tmpfiles makes", with("/dev/mine", file("/etc/tmpfiles.d/mine.conf", "c /dev/mine 0666 root root - 10:5\n")), "", ""},
		{"a node that a rule of udev makes", with("/dev/mine", file("/etc/udev/rules.d/9.rules", "KERNEL==\"x\", RUN+=\"/bin/mknod /dev/mine c 1 2\"\n")), "", ""},
		{"a node that a comment of a rule names", with("/dev/mine", file("/etc/udev/rules.d/9.rules", "# mknod /dev/mine c 1 2\n")), "900.dev0 stops: /dev/mine exists now", ""},
		{"a module that nobody loads", dev("/dev/i2c-1"), "900.dev0 stops: /dev/i2c-1 exists now, and nothing makes it at boot: the module i2c-dev is not loaded then", "add i2c-dev to kernel.modules"},
		{"a module that is listed", with("/dev/i2c-1", file("/etc/modules-load.d/x.conf", "i2c_dev\n")), "", ""},
		{"a device that is mounted", func(r *rig) { r.put("/dev/mine", ""); r.line("mp0: /dev/mine,mp=/data\n") }, "900.mp0 stops: /dev/mine exists now", "ordered before"},
		{"a raw mount of a node", func(r *rig) {
			r.put("/dev/mine", "")
			r.line("lxc.mount.entry: /dev/mine dev/mine none bind,create=file 0 0\n")
		}, "900.lxc.mount.entry stops: /dev/mine exists now, and nothing", "ordered before"},
		{"an optional raw mount of a node", func(r *rig) {
			r.put("/dev/mine", "")
			r.line("lxc.mount.entry: /dev/mine dev/mine none bind,optional,create=file 0 0\n")
		}, "", ""},
	})
}

func TestCardFaults(t *testing.T) {
	const service = "[Unit]\nBefore=pve-guests.service\n[Service]\n"
	const late = "[Service]\n"
	with := func(node, unit string, more ...func(*rig)) func(*rig) {
		return func(r *rig) {
			if unit != "" {
				r.enable("nodes.service", "multi-user.target", unit)
			}
			for _, f := range more {
				f(r)
			}
			r.line("dev0: " + node + "\n")
		}
	}
	const card, control, memory = "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"
	const all = "ExecStart=/usr/bin/nvidia-modprobe -c 0 -c 255\nExecStart=/usr/bin/nvidia-modprobe -u -c 0\n"
	const nothing, mend = "exists now, and nothing makes it at boot", "nvidia.device_nodes"
	dropin := func(name, text string) func(*rig) { return func(r *rig) { r.put(name, text) } }
	try(t, sim.LayoutLVM, 2, []fault{
		{"a node that is not there", func(r *rig) { r.gone(card); r.line("dev0: " + card + "\n") }, "900.dev0 stops: the host has no /dev/nvidia0", ""},
		{"no unit", with(card, ""), "900.dev0 stops: /dev/nvidia0 " + nothing, mend},
		{"the unit of phoenix, for a card", with(card, service+all), "", ""},
		{"the unit of phoenix, for the control node", with(control, service+all), "", ""},
		{"the unit of phoenix, for unified memory", with(memory, service+all), "", ""},
		{"a unit for another card", with("/dev/nvidia1", service+all), "900.dev0 stops: /dev/nvidia1 " + nothing, mend},
		{"a unit without unified memory", with(memory, service+"ExecStart=/usr/bin/nvidia-modprobe -c 0\n"), "900.dev0 stops: /dev/nvidia-uvm " + nothing, mend},
		{"a unit that is not enabled", with(card, "", dropin("/etc/systemd/system/nodes.service", service+all)), "900.dev0 stops: /dev/nvidia0 " + nothing, mend},
		{"a unit that may come too late", with(card, late+all), "900.dev0 unknown: nodes.service makes /dev/nvidia0 at boot, and is not ordered before", mend},
		{"a unit that guests are told to wait for", with(card, late+all, dropin("/etc/systemd/system/pve-guests.service.d/a.conf", "[Unit]\nAfter=nodes.service\n")), "", ""},
		{"a unit with a drop-in", with(card, late+all, dropin("/etc/systemd/system/nodes.service.d/a.conf", "[Unit]\nBefore=pve-guests.service\n")), "", ""},
		{"nvidia-smi makes the card", with("/dev/nvidia1", service+"ExecStart=/usr/bin/nvidia-smi\n"), "", ""},
		{"nvidia-smi and unified memory", with(memory, service+"ExecStart=/usr/bin/nvidia-smi\n"), "900.dev0 unknown: whether nodes.service makes /dev/nvidia-uvm", mend},
		{"what a unit starts when it stops", with(card, service+"ExecStop=/usr/bin/nvidia-smi\n"), "900.dev0 stops: /dev/nvidia0 " + nothing, mend},
		{"a rule of udev", with(memory, "", dropin("/etc/udev/rules.d/70-nvidia.rules", `KERNEL=="nvidia_uvm", RUN+="/usr/bin/nvidia-modprobe -c0 -u"`+"\n")), "", ""},
		{"a part of a card", with("/dev/nvidia-caps/nvidia-cap1", service+all), "900.dev0 stops: /dev/nvidia-caps/nvidia-cap1 " + nothing, mend},
		{"the driver is not built for the next kernel", with(card, service+all, dropin("/boot/vmlinuz-6.8.12-99-pve", "")), "900.dev0 stops: the driver of /dev/nvidia0 is not built for kernel 6.8.12-99-pve", "install the driver"},
		{"a raw mount of a node", func(r *rig) { r.line("lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,create=file 0 0\n") }, "900.lxc.mount.entry stops: /dev/nvidia0 " + nothing, mend},
	})
}
