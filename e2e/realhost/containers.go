package realhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// lxcFolder has the unpacked LXC and slirp4netns of e2e/prerequisites.sh.
const lxcFolder = "/usr/local/lib/phoenix-e2e/lxc"

// Bridge is the network of the containers of a host with Options.Template: vmbr0 has the
// first address, and what leaves it does so with the machine's own.
const Bridge = "10.77.0"

// layContainers makes a host fit for real containers. Their files lie in memory, not on
// the overlay, on which Docker could lay no other. The control groups are those of
// version 2 alone, as Proxmox has them, below a group of the host's own; what runs on
// the host must leave the topmost, or the groups below it get no controllers.
const layContainers = `
tar -C "$LXC" -c . | tar -x --keep-directory-symlink
mkdir -p dev/shm var/lib/lxc var/lib/vz/template/cache
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -sf pts/ptmx dev/ptmx
mount -t tmpfs -o mode=0755 tmpfs var/lib/lxc
rm -f usr/local/sbin/lxc-attach usr/local/sbin/lxc-info var/lib/vz/template/cache/*
cp "$TEMPLATE" var/lib/vz/template/cache/debian-12-standard_12.7-1_amd64.tar.zst
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir sys/fs/cgroup/init.scope
echo 0 > sys/fs/cgroup/init.scope/cgroup.procs
for c in $(cat sys/fs/cgroup/cgroup.controllers); do echo "+$c" > sys/fs/cgroup/cgroup.subtree_control; done
until ip link show tap0 >/dev/null 2>&1; do sleep 0.05; done # put in from outside
echo nameserver 10.0.2.3 > etc/resolv.conf
ip address add "$ADDRESS/24" dev eno1
ip link set eno1 up
ip link add vmbr0 type bridge
ip address add ` + Bridge + `.1/24 dev vmbr0
ip link set vmbr0 up
echo 1 > proc/sys/net/ipv4/ip_forward
iptables -t nat -A POSTROUTING -s ` + Bridge + `.0/24 -o tap0 -j MASQUERADE
`

// becomeServer makes the root file system the one of the mount namespace, because that
// is where setns leads, and so lxc-attach.
const becomeServer = `
mkdir .machine
pivot_root . .machine
cd /
umount -l /.machine
rmdir /.machine
exec /usr/sbin/sshd -D -e -f /etc/phoenix-e2e/sshd_config
`

// controlGroup is the group of a host, which goes with the host: no namespace takes a
// control group away.
type controlGroup struct {
	dir    string
	opened *os.File
	reaper *exec.Cmd
	leave  io.Closer // ends the reaper's waiting, as the end of this process does
}

// newControlGroup makes a group for a host, and starts who removes it: a process that
// outlives this one.
func newControlGroup() (*controlGroup, error) {
	top, err := unified()
	if err != nil {
		return nil, err
	}
	g := &controlGroup{}
	if g.dir, err = os.MkdirTemp(top, "phoenix-e2e-"); err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	const removal = `read -r end; i=0; while [ -d "$1" ] && [ $i -lt 100 ]; do find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; i=$((i+1)); [ ! -d "$1" ] || sleep 0.1; done`
	g.reaper = exec.Command("sh", "-c", removal, "reaper", g.dir)
	g.reaper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if g.leave, err = g.reaper.StdinPipe(); err == nil {
		err = g.reaper.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a control group: %w", err), os.Remove(g.dir))
	}
	if g.opened, err = os.Open(g.dir); err != nil {
		return nil, errors.Join(err, g.remove())
	}
	return g, nil
}

// remove takes the group away, once nothing runs in it. It may be called on none.
func (g *controlGroup) remove() error {
	if g == nil {
		return nil
	}
	if g.opened != nil {
		_ = g.opened.Close()
	}
	_ = g.leave.Close()
	return g.reaper.Wait()
}

// unified is where the machine has its control groups of version 2.
func unified() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1], nil
		}
	}
	return "", errors.New("make a control group: this machine has none of version 2 mounted")
}

// connect gives a host that boots a way out, through a process on the machine's side: the
// machine's own network is not touched.
func (h *Host) connect(ctx context.Context) error {
	h.outward = exec.CommandContext(ctx, lxcFolder+"/usr/bin/slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", fmt.Sprint(h.cmd.Process.Pid), "tap0")
	libs, err := filepath.Glob(lxcFolder + "/usr/lib/*-linux-gnu")
	if err != nil || len(libs) == 0 {
		return fmt.Errorf("connect host %s: there is no %s (run e2e/prerequisites.sh)", h.Name, lxcFolder)
	}
	h.outward.Env = []string{"LD_LIBRARY_PATH=" + libs[0]}
	h.outward.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := h.outward.Start(); err != nil {
		return fmt.Errorf("connect host %s: %w", h.Name, err)
	}
	return nil
}
