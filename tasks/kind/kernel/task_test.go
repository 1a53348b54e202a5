package kernel_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/kernel"
	"phoenix/tasks/modprobe"
	"phoenix/tasks/taskstest"
)

const release = "6.8.12-9-pve"

const spec = `{
	"modules": ["vfio-pci", "br_netfilter", "ext4"],
	"sysctl": {"vm.swappiness": 10, "net.ipv4.ip_local_port_range": "1024 65535", "net.bridge.bridge-nf-call-iptables": 0},
	"cmdline": ["intel_iommu=on", "iommu=pt"], "cmdline_absent": ["quiet", "mitigations="],
	"module_options": {"vfio-pci": "ids=10de:2204,10de:1aef disable_vga=1"},
	"blacklist": ["nouveau", "pcspkr"]
}`

// installed is a Proxmox VE host on LVM. It was started with the words that the spec
// wants, by hand, so that nothing waits for a reboot.
func installed() map[string]string {
	return map[string]string{
		"/proc/sys/kernel/osrelease":                   release + "\n",
		"/proc/sys/vm/swappiness":                      "60\n",
		"/proc/sys/net/ipv4/ip_local_port_range":       "32768\t60999\n",
		"/proc/modules":                                "bridge 421888 1 - Live 0x0000000000000000\nzfs 6590464 6 - Live 0x0000000000000000 (PO)\n",
		"/proc/cmdline":                                "BOOT_IMAGE=/boot/vmlinuz-" + release + " root=/dev/mapper/pve-root ro intel_iommu=on iommu=pt\n",
		"/lib/modules/" + release + "/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
		"/boot/vmlinuz-" + release:                     "",
		"/boot/grub/grub.cfg":                          grubCfg("quiet"),
		"/etc/default/grub":                            debianGrub,
		"/etc/default/grub.d/installer.cfg":            "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX console=ttyS0\"\n",
		"/etc/modules-load.d/modules.conf":             "-> ../modules",
		"/etc/modules":                                 "# /etc/modules: kernel modules to load at boot time.\n",
		"/etc/modprobe.d/pve-blacklist.conf":           "# This file contains a list of modules which are not supported by Proxmox VE\n\n# nvidiafb see bugreport https://bugzilla.proxmox.com/show_bug.cgi?id=701\nblacklist nvidiafb\n",
		"/etc/sysctl.d/99-sysctl.conf":                 "-> ../sysctl.conf",
		"/etc/sysctl.conf":                             "#\n# /etc/sysctl.conf - Configuration file for setting system variables\n#kernel.domainname = example.com\n",
		"/usr/lib/sysctl.d/10-pve.conf":                "net.ipv4.igmp_link_local_mcast_reports = 0\n-net.bridge.bridge-nf-call-iptables = 1\n",
	}
}

// debianGrub is /etc/default/grub of grub2 2.06-13+pmx.
const debianGrub = `# If you change this file, run 'update-grub' afterwards to update
# /boot/grub/grub.cfg.

GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=` + "`lsb_release -i -s 2> /dev/null || echo Debian`" + `
GRUB_CMDLINE_LINUX_DEFAULT="quiet mitigations=off"
GRUB_CMDLINE_LINUX=""
`

func grubCfg(words string) string {
	return "menuentry 'Proxmox VE GNU/Linux' --class proxmox {\n\tinsmod part_gpt\n\techo\t'Loading Linux " + release + " ...'\n" +
		"\tlinux\t/boot/vmlinuz-" + release + " root=/dev/mapper/pve-root ro  " + words + "\n\tinitrd\t/boot/initrd.img-" + release + "\n}\n" +
		"menuentry 'recovery' {\n\tlinux\t/boot/vmlinuz-" + release + " root=/dev/mapper/pve-root ro single\n}\n"
}

func machine(t *testing.T, extra map[string]string) *taskstest.Tree {
	files := installed()
	for k, v := range extra {
		files[k] = v
		if v == "" {
			delete(files, k)
		}
	}
	tr := taskstest.NewTree(t, files)
	tr.Programs["modprobe"] = loadModule(t)
	tr.Programs["sysctl"] = setParameter(t)
	tr.Programs["update-initramfs"] = func(_ context.Context, h tasks.Host, _ tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte("update-initramfs: Generating /boot/initrd.img-" + release + "\n")}
	}
	tr.Programs["update-grub"] = func(_ context.Context, h tasks.Host, _ tasks.Cmd) tasks.Output {
		taskstest.Put(t, h, "/boot/grub/grub.cfg", grubCfg(shellWords(t, tr)))
		return tasks.Output{Stderr: []byte("Generating grub configuration file ...\nFound linux image: /boot/vmlinuz-" + release + "\ndone\n")}
	}
	tr.Programs["proxmox-boot-tool"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte("Running hook script 'zz-proxmox-boot'..\nCopying and configuring kernels on /dev/disk/by-uuid/E337-49A4\n\tCopying kernel and creating boot-entry for " + release + "\n")}
	}
	return tr
}

func loadModule(t *testing.T) taskstest.Program {
	return func(_ context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		name := modprobe.Canonical(c.Argv[1])
		if name == "nosuch" {
			return tasks.Output{Code: 1, Stderr: []byte("modprobe: FATAL: Module nosuch not found in directory /lib/modules/" + release + "\n")}
		}
		taskstest.Put(t, h, "/proc/modules", name+" 16384 0 - Live 0x0000000000000000\n"+taskstest.Get(t, h, "/proc/modules"))
		if name == "br_netfilter" {
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/proc/sys/net/bridge"}); err != nil {
				t.Error(err)
			}
			taskstest.Put(t, h, "/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n")
		}
		return tasks.Output{}
	}
}

// setParameter is `sysctl -w NAME=VALUE` of procps 4.0.2.
func setParameter(t *testing.T) taskstest.Program {
	return func(_ context.Context, h tasks.Host, c tasks.Cmd) tasks.Output {
		name, value, _ := strings.Cut(c.Argv[2], "=")
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		if _, err := h.Stat(path); err != nil {
			return tasks.Output{Code: 1, Stderr: []byte("sysctl: cannot stat " + path + ": No such file or directory\n")}
		}
		taskstest.Put(t, h, path, strings.ReplaceAll(value, " ", "\t")+"\n")
		return tasks.Output{Stdout: []byte(name + " = " + value + "\n")}
	}
}

// shellWords has a real shell read GRUB's settings, as grub-mkconfig does.
func shellWords(t *testing.T, tr *taskstest.Tree) string {
	t.Helper()
	const script = `lsb_release() { echo Debian; }; . etc/default/grub; for f in etc/default/grub.d/*.cfg; do [ -e "$f" ] && . "./$f"; done; echo "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(script, ". etc", ". ./etc", 1))
	cmd.Dir = tr.Root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("sh: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func remove(names ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		for _, n := range names {
			if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: n}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// edit replaces a text in a file, which must be there.
func edit(file, old, new string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		text := taskstest.Get(t, h, file)
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %q:\n%s", file, old, text)
		}
		taskstest.Put(t, h, file, strings.ReplaceAll(text, old, new))
	}
}

func put(file, text string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, file, text) }
}

func TestKernel_conforms(t *testing.T) {
	taskstest.Suite{
		Kind: kernel.Kind(), Spec: spec,
		New: func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: machine(t, nil)} },
		Drifts: []taskstest.Drift{
			{Name: "a module was taken out", Make: edit("/proc/modules", "vfio_pci", "vfio"), Paths: []string{"modules.vfio-pci"}},
			{Name: "a module is not loaded at boot", Make: edit("/etc/modules-load.d/phoenix.conf", "br_netfilter\n", ""), Paths: []string{"modules.br_netfilter"}},
			{Name: "a parameter was changed until the next boot", Make: put("/proc/sys/vm/swappiness", "1\n"), Paths: []string{"sysctl.vm.swappiness"}},
			{Name: "a parameter's file was changed", Make: edit("/etc/sysctl.d/90-phoenix.conf", "swappiness = 10", "swappiness = 1"), Paths: []string{"sysctl.vm.swappiness"}},
			{Name: "a parameter that is not wanted is in phoenix's file", Make: edit("/etc/sysctl.d/90-phoenix.conf", "vm.swappiness", "net.ipv4.conf.eth0/100.forwarding = 1\nvm.swappiness"), Paths: []string{"sysctl.net.ipv4.conf.eth0/100.forwarding"}},
			{Name: "the parameters' file was removed", Make: remove("/etc/sysctl.d/90-phoenix.conf"), Paths: []string{"sysctl.net.bridge.bridge-nf-call-iptables", "sysctl.net.ipv4.ip_local_port_range", "sysctl.vm.swappiness"}},
			{Name: "a word was taken from GRUB's settings", Make: edit("/etc/default/grub", " iommu=pt", ""), Paths: []string{"cmdline.iommu=pt"}},
			{Name: "update-grub was not run", Make: edit("/boot/grub/grub.cfg", " iommu=pt", ""), Paths: []string{"cmdline.iommu=pt"}},
			{Name: "an unwanted word came back", Make: edit("/etc/default/grub", "iommu=pt", "iommu=pt quiet"), Paths: []string{"cmdline_absent.quiet"}},
			{Name: "an unwanted word came back with a value", Make: put("/etc/default/grub.d/x.cfg", "GRUB_CMDLINE_LINUX_DEFAULT=\"${GRUB_CMDLINE_LINUX_DEFAULT} mitigations=auto\"\n"), Paths: []string{"cmdline_absent.mitigations="}},
			{Name: "an option was changed", Make: edit(modprobe.Own, "disable_vga=1", "disable_vga=0"), Paths: []string{"module_options.vfio-pci"}},
			{Name: "a blacklist line is gone", Make: edit(modprobe.Own, "blacklist pcspkr\n", ""), Paths: []string{"blacklist.pcspkr"}},
			{Name: "nouveau may set the mode", Make: edit(modprobe.Own, "options nouveau modeset=0\n", ""), Paths: []string{"module_options.nouveau"}},
			{Name: "a run was killed before update-initramfs", Make: due("initramfs"), Paths: []string{"initramfs"}},
			{Name: "a run was killed before update-grub", Make: due("boot_loader"), Paths: []string{"boot_loader"}},
		},
		Faults: []taskstest.Fault{
			{Name: "a program is missing", Op: "update-initramfs", Err: fmt.Errorf("run update-initramfs: %w", os.ErrNotExist)},
			{Name: "the disk is full when the image is made", Op: "update-initramfs", Output: tasks.Output{Code: 1, Stderr: []byte("update-initramfs: failed for /boot/initrd.img-" + release + " with 1.\n")}},
			{Name: "the file is written half by somebody else at the same time", Op: "put " + modprobe.Own, Make: put(modprobe.Own, "options vf"), Err: os.ErrDeadlineExceeded},
		},
	}.Run(t)
}

func due(what string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbMkdir, Path: "/var/lib/phoenix/due"}); err != nil {
			t.Fatal(err)
		}
		taskstest.Put(t, h, "/var/lib/phoenix/due/"+what, "")
	}
}

func TestKernel_filesAreThoseOfTheGoldenFolder(t *testing.T) {
	m := machine(t, nil)
	if res := taskstest.Run(t, kernel.Kind(), spec, m); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	for golden, file := range map[string]string{
		"modprobe.conf": modprobe.Own, "modules-load.conf": "/etc/modules-load.d/phoenix.conf",
		"sysctl.conf": "/etc/sysctl.d/90-phoenix.conf", "grub": "/etc/default/grub",
	} {
		want, err := os.ReadFile(filepath.Join("testdata", golden))
		if err != nil {
			t.Fatal(err)
		}
		if got := taskstest.Get(t, m, file); got != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", file, got, want)
		}
	}
	if got := shellWords(t, m); got != "console=ttyS0 intel_iommu=on iommu=pt" {
		t.Errorf("a shell reads GRUB's settings as %q", got)
	}
}

func TestKernel_whatWaitsForARebootIsToldAndDoneOnce(t *testing.T) {
	m := machine(t, map[string]string{
		"/proc/cmdline": "BOOT_IMAGE=/boot/vmlinuz root=/dev/mapper/pve-root ro quiet\n",
		"/proc/modules": "nouveau 2871296 1 - Live 0x0000000000000000\nvfio_pci 16384 0 - Live 0\nbr_netfilter 1 0 - Live 0\n",
		"/sys/module/vfio_pci/parameters/disable_vga":  "N\n",
		"/proc/sys/net/bridge/bridge-nf-call-iptables": "1\n",
	})
	first := taskstest.Run(t, kernel.Kind(), spec, m)
	if first.Status != tasks.StatusChanged || first.Cause != tasks.CausePending {
		t.Fatalf("%+v", first)
	}
	var waiting []string
	for _, c := range first.Remaining.With(tasks.EffectReboot) {
		waiting = append(waiting, c.Path)
	}
	want := []string{"running.blacklist.nouveau", "running.module_options.vfio-pci", "running.cmdline.intel_iommu=on", "running.cmdline.iommu=pt", "running.cmdline_absent.quiet"}
	if !slices.Equal(waiting, want) {
		t.Errorf("waiting %q, want %q", waiting, want)
	}
	rec := taskstest.NewRecorder(m)
	if second := taskstest.Run(t, kernel.Kind(), spec, rec); second.Status != tasks.StatusSkipped || second.Cause != tasks.CausePending || len(rec.Changes()) > 0 {
		t.Errorf("the second run: %+v, did %v", second, rec.Changes())
	}
}

func TestKernel_bothLoadersGetTheWords(t *testing.T) {
	const words = `{"cmdline":["intel_iommu=on"],"cmdline_absent":["quiet"]}`
	zfs := map[string]string{
		"/etc/kernel/cmdline": "root=ZFS=rpool/ROOT/pve-1 boot=zfs quiet\n", "/etc/kernel/proxmox-boot-uuids": "E337-49A4\n",
		"/boot/grub/grub.cfg": grubCfg("of nobody's use"),
	}
	rec := taskstest.NewRecorder(machine(t, zfs))
	if res := taskstest.Run(t, kernel.Kind(), words, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	if got := taskstest.Get(t, rec, "/etc/kernel/cmdline"); got != "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on\n" {
		t.Errorf("/etc/kernel/cmdline is %q", got)
	}
	if got := taskstest.Get(t, rec, "/etc/default/grub"); !strings.Contains(got, `DEFAULT="mitigations=off intel_iommu=on"`) {
		t.Errorf("/etc/default/grub is\n%s", got)
	}
	if got := rec.Commands(); len(got) != 1 || got[0] != "proxmox-boot-tool refresh" {
		t.Errorf("ran %q", got)
	}
}

func TestKernel_withoutAFileProxmoxBootToolTakesTheRunningLine(t *testing.T) {
	m := machine(t, map[string]string{
		"/etc/kernel/proxmox-boot-uuids": "E337-49A4\n",
		"/proc/cmdline":                  "BOOT_IMAGE=/vmlinuz initrd=\\EFI\\proxmox\\initrd.img root=ZFS=rpool/ROOT/pve-1 boot=zfs\n",
	})
	taskstest.Run(t, kernel.Kind(), `{"cmdline":["iommu=pt"]}`, m)
	if got := taskstest.Get(t, m, "/etc/kernel/cmdline"); got != "root=ZFS=rpool/ROOT/pve-1 boot=zfs iommu=pt\n" {
		t.Errorf("/etc/kernel/cmdline is %q", got)
	}
}

func TestKernel_oneValueOfAWordStays(t *testing.T) {
	m := machine(t, map[string]string{"/proc/cmdline": "root=/dev/mapper/pve-root ro quiet mitigations=auto\n"})
	if res := taskstest.Run(t, kernel.Kind(), `{"cmdline":["mitigations=auto"],"cmdline_absent":["mitigations="]}`, m); res.Status != tasks.StatusChanged || len(res.Remaining) > 0 {
		t.Fatalf("%+v", res)
	}
	if got := shellWords(t, m); got != "console=ttyS0 quiet mitigations=auto" {
		t.Errorf("a shell reads GRUB's settings as %q", got)
	}
}

func TestKernel_aFileThatIsReadLaterIsToldAndLeft(t *testing.T) {
	for _, tc := range []struct{ name, spec, file, text, path string }{
		{"sysctl", `{"sysctl":{"vm.swappiness":10}}`, "/etc/sysctl.conf", "vm.swappiness=60\n", "sysctl.vm.swappiness"},
		{"modprobe", `{"module_options":{"kvm":"ignore_msrs=1"}}`, "/etc/modprobe.d/zzz.conf", "options kvm ignore_msrs=0\n", "module_options.kvm"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t, map[string]string{tc.file: tc.text})
			res := taskstest.Run(t, kernel.Kind(), tc.spec, m)
			if res.Status != tasks.StatusSkipped || res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "is read later") {
				t.Errorf("%+v", res)
			}
			if !res.Remaining.Has(tc.path) || !res.Remaining[0].Held() {
				t.Errorf("remaining %+v", res.Remaining)
			}
			if got := taskstest.Get(t, m, tc.file); got != tc.text {
				t.Errorf("%s is now %q", tc.file, got)
			}
		})
	}
}

func TestKernel_states(t *testing.T) {
	for _, tc := range []struct {
		name, spec string
		extra      map[string]string
		status     tasks.Status
		why        string
	}{
		{"a module in the kernel needs no file", `{"modules":["ext4"]}`, nil, tasks.StatusOK, ""},
		{"a module that /etc/modules has is loaded at boot", `{"modules":["br-netfilter"]}`, map[string]string{"/etc/modules": "br_netfilter\n", "/proc/modules": "br_netfilter 1 0 -\n"}, tasks.StatusOK, ""},
		{"a blacklist of another file counts", `{"blacklist":["nouveau"]}`, map[string]string{"/usr/lib/modprobe.d/nvidia.conf": "blacklist nouveau\noptions nouveau modeset=0\n"}, tasks.StatusOK, ""},
		{"a parameter that another file sets is set", `{"sysctl":{"vm/swappiness":"60"}}`, map[string]string{"/etc/sysctl.d/10-x.conf": "vm.swappiness = 60\n"}, tasks.StatusOK, ""},
		{"a pattern does not count", `{"sysctl":{"vm.swappiness":60}}`, map[string]string{"/etc/sysctl.d/10-x.conf": "vm.* = 60\n"}, tasks.StatusWouldChange, ""},
		{"options of another module do not count", `{"module_options":{"kvm":"nested=1"}}`, map[string]string{"/etc/modprobe.d/a.conf": "options kvm_intel nested=1\n"}, tasks.StatusWouldChange, ""},
		{"an option over two lines counts", `{"module_options":{"kvm":"nested=1"}}`, map[string]string{"/etc/modprobe.d/a.conf": "options kvm \\\n  nested=1\n"}, tasks.StatusOK, ""},
		{"a loaded option is compared as the kernel prints it", `{"module_options":{"kvm":"nested=1"}}`, map[string]string{"/etc/modprobe.d/a.conf": "options kvm nested=1\n", "/sys/module/kvm/parameters/nested": "Y\n"}, tasks.StatusOK, ""},
		{"a machine without a boot loader's files", `{"cmdline":["a"]}`, map[string]string{"/etc/default/grub": ""}, tasks.StatusUnknown, "who boots this machine"},
		{"settings that only a shell can read", `{"cmdline":["a"]}`, map[string]string{"/etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"' x'\n"}, tasks.StatusUnknown, "/etc/default/grub:1"},
		{"settings made of a command", `{"cmdline":["a"]}`, map[string]string{"/etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"$(cat x)\"\n"}, tasks.StatusUnknown, "only a shell"},
		{"settings that grub-mkconfig's shell does not know", `{"cmdline":["a"]}`, map[string]string{"/etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT+=\" x\"\n"}, tasks.StatusUnknown, "/etc/default/grub:1"},
		{"settings made of a foreign variable", `{"cmdline":["a"]}`, map[string]string{"/etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"$FOO\"\n"}, tasks.StatusUnknown, "$FOO"},
		{"a commented assignment does not count", `{"cmdline":["a"]}`, map[string]string{"/etc/default/grub": "#GRUB_CMDLINE_LINUX_DEFAULT=\"a\"\n"}, tasks.StatusWouldChange, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Check(t, kernel.Kind(), tc.spec, machine(t, tc.extra))
			if res.Status != tc.status || !strings.Contains(res.Why, tc.why) {
				t.Errorf("status %s, why %q, changes %v; want %s, %q", res.Status, res.Why, res.Changes, tc.status, tc.why)
			}
		})
	}
}

func TestKernel_aModuleThatDoesNotExistIsNotLoadedAtBoot(t *testing.T) {
	m := machine(t, nil)
	res := taskstest.Run(t, kernel.Kind(), `{"modules":["nosuch","vfio"]}`, m)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "Module nosuch not found") || !res.Changes.Has("modules.vfio") {
		t.Errorf("%+v", res)
	}
	if got := taskstest.Get(t, m, "/etc/modules-load.d/phoenix.conf"); strings.Contains(got, "nosuch") {
		t.Errorf("it is in the file:\n%s", got)
	}
}

func TestKernel_aParameterThatTheKernelHasNotIsWrittenNowhere(t *testing.T) {
	const why = "find the kernel parameter vm.swapiness: there is no /proc/sys/vm/swapiness"
	for _, tc := range []struct {
		name, spec string
		check      tasks.Status
	}{
		{"a mistyped name", `{"sysctl":{"vm.swapiness":10,"vm.swappiness":10}}`, tasks.StatusFailed},
		{"modules that are loaded bring nothing", `{"modules":["zfs","ext4"],"sysctl":{"vm.swapiness":10}}`, tasks.StatusFailed},
		{"a module that may bring it", `{"modules":["vfio"],"sysctl":{"vm.swapiness":10,"vm.swappiness":10}}`, tasks.StatusWouldChange},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := machine(t, nil)
			if res := taskstest.Check(t, kernel.Kind(), tc.spec, m); res.Status != tc.check || tc.check == tasks.StatusFailed && !strings.Contains(res.Why, why) {
				t.Errorf("the check says %+v", res)
			}
			if res := taskstest.Run(t, kernel.Kind(), tc.spec, m); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, why) {
				t.Errorf("the run says %+v", res)
			}
			data, _, err := tasks.ReadIfExists(m, "/etc/sysctl.d/90-phoenix.conf")
			if err != nil || strings.Contains(string(data), "swapiness") {
				t.Errorf("the file has %q, %v", data, err)
			}
		})
	}
}

func TestKernel_aParameterThatIsNotWantedAnyMoreLeavesTheFile(t *testing.T) {
	const file = "/etc/sysctl.d/90-phoenix.conf"
	for spec, want := range map[string]string{
		`{"sysctl":{"vm.swappiness":10}}`: "# hand\nvm/swappiness=10\n", `{"sysctl":{}}`: "# hand\n", `{"modules":["zfs"]}`: "# hand\nvm.swapiness = 10\nvm/swappiness=10\n",
	} {
		m := machine(t, map[string]string{file: "# hand\nvm.swapiness = 10\nvm/swappiness=10\n"})
		res := taskstest.Check(t, kernel.Kind(), spec, m)
		if i := slices.IndexFunc(res.Changes, func(c tasks.Change) bool { return c.Path == "sysctl.vm.swapiness" }); strings.Contains(spec, "sysctl") &&
			(i < 0 || res.Changes[i].From != "10" || res.Changes[i].To != "" || !strings.Contains(res.Changes[i].Note, "next boot") || res.Changes[i].Held()) {
			t.Errorf("%s: the check says %+v", spec, res)
		}
		taskstest.Run(t, kernel.Kind(), spec, m)
		if got := taskstest.Get(t, m, file); got != want {
			t.Errorf("%s leaves %q, want %q", spec, got, want)
		}
		if res := taskstest.Check(t, kernel.Kind(), spec, m); res.Changes.Has("sysctl.vm.swapiness") {
			t.Errorf("%s: a second check says %+v", spec, res)
		}
	}
}

func TestKernel_aCheckStartsNothing(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, nil))
	taskstest.Check(t, kernel.Kind(), spec, rec)
	if got := rec.Commands(); len(got) > 0 {
		t.Errorf("the check started %q", got)
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	for _, tc := range []struct{ name, spec, path string }{
		{"a module with a line break", `{"modules":["a\nb"]}`, "modules.0"},
		{"a module twice, written in two ways", `{"modules":["vfio-pci","vfio_pci"]}`, "modules.1"},
		{"a module that is blacklisted", `{"modules":["nouveau"],"blacklist":["nouveau"]}`, "modules.0"},
		{"an option as a module", `{"blacklist":["-r"]}`, "blacklist.0"},
		{"a parameter with blanks", `{"sysctl":{"vm swappiness":1}}`, "sysctl.vm swappiness"},
		{"a parameter out of its folder", `{"sysctl":{"vm/../../etc/passwd":1}}`, "sysctl.vm/../../etc/passwd"},
		{"a parameter twice, written in two ways", `{"sysctl":{"vm.swappiness":1,"vm/swappiness":1}}`, "sysctl.vm/swappiness"},
		{"a value with a line break", `{"sysctl":{"vm.swappiness":"1\nkernel.core_pattern=|/x"}}`, "sysctl.vm.swappiness"},
		{"no value", `{"sysctl":{"vm.swappiness":" "}}`, "sysctl.vm.swappiness"},
		{"two words in one", `{"cmdline":["a b"]}`, "cmdline.0"},
		{"a word that a shell would run", `{"cmdline":["a=$(reboot)"]}`, "cmdline.0"},
		{"a word that ends the quote", `{"cmdline":["a\""]}`, "cmdline.0"},
		{"a word with a line break", `{"cmdline":["a\nb"]}`, "cmdline.0"},
		{"a word that ends GRUB's command", `{"cmdline":["pci=disable_acs_redir=8086:1;10de:2"]}`, "cmdline.0"},
		{"a word that GRUB takes for a comment", `{"cmdline":["#x"]}`, "cmdline.0"},
		{"a word that GRUB takes for a block", `{"cmdline":["a","{b}"]}`, "cmdline.1"},
		{"a word that GRUB takes for file names", `{"cmdline":["a=/boot/*"]}`, "cmdline.0"},
		{"the root file system", `{"cmdline":["root=/dev/sda1"]}`, "cmdline.0"},
		{"a word that must be there and must not", `{"cmdline":["quiet"],"cmdline_absent":["quiet"]}`, "cmdline_absent.0"},
		{"options of no module", `{"module_options":{"a b":"x=1"}}`, "module_options.a b"},
		{"options with a line break", `{"module_options":{"kvm":"a=1\ninstall x"}}`, "module_options.kvm"},
		{"options with quotes", `{"module_options":{"kvm":"a=\"b"}}`, "module_options.kvm"},
		{"an option twice", `{"module_options":{"kvm":"a=1 a=2"}}`, "module_options.kvm"},
		{"the limit of ZFS's cache", `{"module_options":{"zfs":"zfs_arc_max=1"}}`, "module_options.zfs"},
		{"no options", `{"module_options":{"kvm":""}}`, "module_options.kvm"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s kernel.Spec
			if err := tasks.UnmarshalStrict([]byte(tc.spec), &s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestValue_isATextOrAWholeNumber(t *testing.T) {
	for text, want := range map[string]string{`10`: "10", `"1024\t 65535"`: "1024 65535", `-1`: "-1", `1.5`: "", `true`: "", `["1"]`: ""} {
		var v kernel.Value
		err := tasks.UnmarshalStrict([]byte(text), &v)
		if (err == nil) != (want != "") || v.String() != want {
			t.Errorf("%s is read as %q, %v", text, v, err)
		}
	}
}

func TestSpec_anEmptyListOfParametersReachesTheHost(t *testing.T) {
	for text, want := range map[string]bool{`{"sysctl":{}}`: true, `{}`: false} {
		var s kernel.Spec
		if err := tasks.UnmarshalStrict([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		step, err := tasks.NewStep(kernel.Name, "kernel:settings", &s)
		if err != nil || strings.Contains(string(step.Spec), "sysctl") != want {
			t.Errorf("%s is sent as %s, %v", text, step.Spec, err)
		}
	}
}
