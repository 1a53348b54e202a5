// Command pvesim is the simulated Proxmox tools as real programs, for the
// end-to-end tests. Called by the name of a tool (pct, pvesm, apt-get, …), it acts
// as that tool on the root file system it runs in; with --install it first lays a
// fresh Proxmox host over that root, which must be a throw-away one.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"phoenix/tasks/sim"
)

// bin is where the tools are put: first on the path of every login.
const bin = "/usr/local/sbin"

// tools are the programs that a Proxmox host has and the machine below may lack,
// or that would act on the real machine.
const tools = "pct pvesm pveam pvesh pveum pveversion apt-get apt-mark apt-cache dpkg dpkg-query zpool zfs wipefs pve-firewall exportfs testparm smbcontrol smbpasswd pdbedit systemctl systemd-run timedatectl hostnamectl ifreload ifquery iptables locale locale-gen update-locale lxc-attach lxc-info modprobe modinfo sysctl update-initramfs update-grub proxmox-boot-tool dkms nvidia-modprobe nvidia-smi nvidia-installer curl"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pvesim:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 && os.Args[1] == "--install" {
		gpus, _ := strconv.Atoi(os.Getenv("GPUS")) // none where it does not say
		return install(os.Getenv("NODE"), gpus)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	defer stop()
	m, err := sim.Open("/", sim.Options{Seed: uint64(os.Getpid())})
	if err != nil {
		return err
	}
	m.Down = endOthers
	argv := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	if argv[0] == "systemd-run" {
		return leaveRunning(argv[1:])
	}
	code := m.Exec(ctx, argv, sim.Streams{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	makeDevices(m)
	os.Exit(code)
	return nil
}

// makeDevices makes real device nodes of the simulated ones of NVIDIA's cards, which are
// empty files: the machine's own stat tells of their numbers. Where that may not be done,
// they stay files.
func makeDevices(m *sim.Machine) {
	names, _ := filepath.Glob("/dev/nvidia*") // the pattern is good
	for _, name := range names {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
			continue
		}
		major, minor := m.Device(name, info.Mode())
		made := name + ".new"
		if syscall.Mknod(made, syscall.S_IFCHR|uint32(info.Mode().Perm()), major<<8|minor) == nil {
			_ = os.Rename(made, name)
		}
	}
}

// endOthers ends every process of the host but its first, which is the SSH server that
// listens, and this one.
func endOthers() { _ = syscall.Kill(-1, syscall.SIGKILL) }

// leaveRunning starts a program that outlives this one and its session, now or in a
// while, as a unit of systemd does.
func leaveRunning(argv []string) error {
	after := "0"
	for len(argv) > 0 && strings.HasPrefix(argv[0], "-") {
		if text, ok := strings.CutPrefix(argv[0], "--on-active="); ok {
			after = text
		}
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return fmt.Errorf("command line to execute required")
	}
	cmd := exec.Command("sh", append([]string{"-c", `sleep "$1"; shift; exec "$@"`, "unit", after}, argv...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = "/"
	return cmd.Start()
}

// install lays a fresh tree beside the root and copies it over it, because a tree
// that exists is kept as it is.
func install(node string, gpus int) error {
	fresh, err := os.MkdirTemp("/", "fresh-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := os.Chmod(fresh, 0o755); err != nil { // it becomes the root's mode
		return err
	}
	if _, err := sim.New(fresh, node, sim.Options{Seed: 1, GPUs: gpus}); err != nil {
		return err
	}
	// What makes the machine below run, and let people in, stays as it is.
	const copyTree = `cd "$1" && tar -cf - --exclude=./dev --exclude=./lib --exclude=./bin --exclude=./sbin --exclude=./usr/bin --exclude=./usr/sbin --exclude=./root \
		--exclude=./etc/passwd --exclude=./etc/group --exclude=./etc/shadow --exclude=./etc/sudoers --exclude=./etc/sudoers.d --exclude=./etc/ssh . | tar -C / --keep-directory-symlink -xf - \
		&& tar -cf - lib/modules | tar -C / --keep-directory-symlink -xf - && cd dev && tar -cf - $(ls -d disk sd* nvme[0-9]* dm-* nvidia* 2>/dev/null) | tar -C /dev -xf -`
	if out, err := exec.Command("sh", "-c", copyTree, "copy", fresh).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the fresh tree: %w: %s", err, out)
	}
	for tool := range strings.FieldsSeq(tools) {
		link := filepath.Join(bin, tool)
		if err := os.RemoveAll(link); err != nil {
			return err
		}
		if err := os.Symlink("pvesim", link); err != nil {
			return err
		}
	}
	m, err := sim.Open("/", sim.Options{Seed: 1})
	if err != nil {
		return err
	}
	makeDevices(m)
	return nil
}
