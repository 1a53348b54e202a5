package realhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Options say what to start.
type Options struct {
	// Dir keeps keys, configurations and logs; it must exist.
	Dir string
	// Hosts is how many servers to start.
	Hosts int
	// Simulator is the built multi-call program of the simulated Proxmox tools.
	Simulator string
	// SSHD adds lines to each server's configuration.
	SSHD string
	// Programs are copied to /usr/local/sbin of each host.
	Programs []string
	// Prepare is a shell script that runs as root inside each new root file system
	// before its server starts; $NODE is the node's name.
	Prepare string
	// Wire gives each host a network of its own, with one interface, eno1. The other
	// ends meet in a network apart from the machine's; see Fleet.OnWire.
	Wire bool
	// GPUs is the number of NVIDIA devices on each host.
	GPUs int
	// Cards is a folder of nvmlfake.Machine.Lay: each host gets the NVIDIA cards in it, as
	// a loaded driver shows them, with real device nodes and a library that answers.
	Cards string
	// Template is an archive of a root file system for real containers, which each host
	// then can run; it stands there as debian-12-standard. This goes with Wire: their
	// network is behind the host's (see Bridge), and reaches what the machine reaches.
	Template string
}

// Fleet is a set of running servers.
type Fleet struct {
	// Hosts in the order of their names.
	Hosts []*Host
	// Dir as given; IdentityFile and KnownHosts are below it.
	Dir          string
	IdentityFile string
	KnownHosts   string
	wire         *wire // nil where the hosts share the machine's network
}

// Host is one running server.
type Host struct {
	// Name is the node's name: "pve1".
	Name string
	// Address and Port it listens on.
	Address string
	Port    int
	// HostKey is its public key, "ssh-ed25519 AAAA…".
	HostKey string
	dir     string
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd has ended
	group   *controlGroup // and outward, the process that is its way out, with containers
	outward *exec.Cmd
	server  int // process ID of sshd, the first process of the host's PID namespace
}

// Start starts the servers and waits until each accepts connections. The error
// names what the machine lacks.
func Start(ctx context.Context, o Options) (*Fleet, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("start hosts: this needs root, for overlay mounts and chroot")
	}
	for _, program := range []string{"/usr/sbin/sshd", "/usr/bin/ssh-keygen", "/usr/bin/unshare"} {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("start hosts: %w (run e2e/prerequisites.sh)", err)
		}
	}
	f := &Fleet{Dir: o.Dir, IdentityFile: filepath.Join(o.Dir, "id_ed25519"), KnownHosts: filepath.Join(o.Dir, "known_hosts")}
	if err := keygen(f.IdentityFile); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if o.Template != "" {
		o.Wire = true
	}
	if o.Wire {
		if f.wire, err = newWire(ctx); err != nil {
			return nil, err
		}
		port = 22
	}
	for i := range o.Hosts {
		h := &Host{Name: fmt.Sprintf("pve%d", i+1), Address: fmt.Sprintf("127.1.%d.%d", i/250, i%250+1), Port: port}
		if o.Wire {
			h.Address = fmt.Sprintf("%s.%d", wireNet, i+2)
		}
		h.dir = filepath.Join(o.Dir, h.Name)
		f.Hosts = append(f.Hosts, h)
		if err := h.start(ctx, f, o); err != nil {
			f.Stop()
			return nil, err
		}
	}
	for _, h := range f.Hosts {
		dial := h.dial
		if o.Wire {
			dial = func(context.Context) error { return h.listens() }
		}
		if err := h.wait(ctx, dial); err != nil {
			f.Stop()
			return nil, err
		}
	}
	return f, f.writeKnownHosts()
}

// Stop ends every server and waits for them. It may be called twice.
func (f *Fleet) Stop() {
	for _, h := range f.Hosts {
		h.Kill()
	}
	if f.wire != nil {
		f.wire.stop()
	}
}

// Kill ends the server and every session on it, as a power cut would.
func (h *Host) Kill() {
	if h.ended != nil {
		// The end of the first process of a PID namespace is the end of all in it.
		_ = h.cmd.Process.Kill()
		<-h.ended
	}
	if h.outward != nil && h.outward.Process != nil {
		_ = h.outward.Process.Kill()
		_ = h.outward.Wait()
	}
	_ = h.group.remove() // what is left of it stands in the way of nobody
	h.outward, h.group = nil, nil
}

// Path is where a path of the host is seen from outside.
func (h *Host) Path(path string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", h.server), path)
}

// Log is what the server has said so far.
func (h *Host) Log() string {
	data, err := os.ReadFile(h.logFile())
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (h *Host) logFile() string { return filepath.Join(h.dir, "sshd.log") }

// Exec runs a program inside the host's root file system, beside the server.
func (h *Host) Exec(ctx context.Context, argv ...string) ([]byte, error) {
	args := append([]string{"--target", fmt.Sprint(h.server), "--mount", "--uts", "--net", "--pid", "--cgroup", "--root", "--wd=/", "--"}, argv...)
	out, err := exec.CommandContext(ctx, "nsenter", args...).CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("run %s on %s: %w: %s", strings.Join(argv, " "), h.Name, err, out)
	}
	return out, nil
}

// bootScript builds the root file system and becomes sshd. It runs in a private
// mount namespace; $1 is the host's folder, $2 its name,
// $3 the simulator; the rest are programs to copy.
const bootScript = `set -eu
dir=$1 node=$2 simulator=$3
hostname "$node"
if [ -n "$WIRE" ]; then
  until ip link show eno1 >/dev/null 2>&1; do sleep 0.05; done # put in from outside
  ip link set lo up
fi
mount -t tmpfs -o mode=0755 tmpfs "$dir/root"
cd "$dir/root"
mkdir upper work merged
mount -t overlay overlay -o lowerdir=/,upperdir="$dir/root/upper",workdir="$dir/root/work" merged
cd merged
# Nothing of the machine below is bound in: what happens here must not reach it.
mkdir -p dev/net dev/pts
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mknod -m 666 dev/fuse c 10 229
mknod -m 666 dev/net/tun c 10 200
# tmp, run and var/lib/phoenix are the host's own, whatever the machine below has there.
# An empty file system over a folder is far cheaper than removing what is in it.
for d in run var/tmp var/lib/dpkg var/lib/apt usr/share/zoneinfo etc/systemd/system usr/lib/systemd/system; do
  mkdir -p "$d"
  mount -t tmpfs -o mode=0755 tmpfs "$d"
done
mkdir -p run/sshd run/lock/lxc run/pve
rm -rf var/lib/phoenix var/lib/vz etc/pve etc/localtime lib/modules
mkdir -p root/.ssh etc/phoenix-e2e
chmod 0700 root root/.ssh
chown 0:0 root root/.ssh
rm -f root/.bashrc root/.profile root/.bash_profile
rm -f etc/sysctl.d/30-lxc-inotify.conf # of Debian's lxc, which a Proxmox host does not have
cp "$dir/../id_ed25519.pub" root/.ssh/authorized_keys
chmod 0600 root/.ssh/authorized_keys
cp "$dir/ssh_host_ed25519_key" "$dir/sshd_config" etc/phoenix-e2e/
chmod 0600 etc/phoenix-e2e/ssh_host_ed25519_key
if [ -n "$simulator" ]; then
  cp "$simulator" usr/local/sbin/pvesim
  NODE=$node GPUS=$GPUS chroot . /usr/local/sbin/pvesim --install
fi
if [ -n "$WIRE" ]; then mount -t proc proc proc; mount -t sysfs sysfs sys; fi
if [ -n "$CARDS" ]; then
` + layCards + `fi
shift 3
for program in "$@"; do cp --remove-destination "$program" usr/local/sbin/; done
if [ -n "$TEMPLATE" ]; then
` + layContainers + `fi
if [ -f "$dir/prepare" ]; then NODE=$node chroot . /bin/sh -eu < "$dir/prepare"; fi
if [ -n "$TEMPLATE" ]; then
` + becomeServer + `fi
exec chroot . /usr/sbin/sshd -D -e -f /etc/phoenix-e2e/sshd_config
`

// configure writes the server's key and configuration, and what prepares its host.
func (h *Host) configure(o Options) error {
	if err := os.MkdirAll(filepath.Join(h.dir, "root"), 0o755); err != nil {
		return err
	}
	if err := keygen(filepath.Join(h.dir, "ssh_host_ed25519_key")); err != nil {
		return err
	}
	pub, err := os.ReadFile(filepath.Join(h.dir, "ssh_host_ed25519_key.pub"))
	if err != nil {
		return err
	}
	h.HostKey = strings.Join(strings.Fields(string(pub))[:2], " ")
	listen := h.Address
	if o.Wire {
		listen = "0.0.0.0" // its address may change
	}
	config := fmt.Sprintf(`ListenAddress %s:%d
HostKey /etc/phoenix-e2e/ssh_host_ed25519_key
PidFile none
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxStartups 500:30:1000
LogLevel INFO
%s
`, listen, h.Port, o.SSHD)
	if !strings.Contains(o.SSHD, "Subsystem") {
		config += "Subsystem sftp internal-sftp\n"
	}
	if err := os.WriteFile(filepath.Join(h.dir, "sshd_config"), []byte(config), 0o600); err != nil {
		return err
	}
	if o.Prepare == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(h.dir, "prepare"), []byte(o.Prepare), 0o600)
}

func (h *Host) start(ctx context.Context, f *Fleet, o Options) error {
	if err := h.configure(o); err != nil {
		return err
	}
	log, err := os.Create(h.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"--mount", "--propagation", "private", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", bootScript, "boot", h.dir, h.Name, o.Simulator}
	onWire := ""
	if o.Wire {
		args, onWire = append([]string{"--net"}, args...), "yes"
	}
	if o.Template != "" {
		args = append([]string{"--cgroup"}, args...)
	}
	h.cmd = exec.CommandContext(ctx, "unshare", append(args, o.Programs...)...)
	h.cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "WIRE=" + onWire, fmt.Sprint("GPUS=", o.GPUs),
		"TEMPLATE=" + o.Template, "CARDS=" + o.Cards, "LXC=" + lxcFolder, "ADDRESS=" + h.Address}
	h.cmd.Stdout, h.cmd.Stderr = log, log
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if o.Template != "" {
		if h.group, err = newControlGroup(); err != nil {
			return fmt.Errorf("start host %s: %w", h.Name, err)
		}
		h.cmd.SysProcAttr.UseCgroupFD, h.cmd.SysProcAttr.CgroupFD = true, int(h.group.opened.Fd())
	}
	if err := h.cmd.Start(); err != nil {
		return fmt.Errorf("start host %s: %w", h.Name, err)
	}
	h.ended = make(chan struct{})
	go func() {
		defer close(h.ended)
		_ = h.cmd.Wait() // how it ended is in its log
	}()
	if f.wire != nil {
		if err := f.wire.plug(ctx, h); err != nil {
			return err
		}
	}
	if o.Template != "" {
		return h.connect(ctx)
	}
	return nil
}

// wait dials until the server answers.
func (h *Host) wait(ctx context.Context, dial func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := dial(ctx)
		if err == nil {
			return h.findServer()
		}
		select {
		case <-h.ended:
			return fmt.Errorf("start host %s: it ended: %s", h.Name, h.Log())
		case <-ctx.Done():
			return fmt.Errorf("start host %s: no answer: %w: %s", h.Name, err, h.Log())
		case <-tick.C:
		}
	}
}

func (h *Host) dial(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", h.Address, h.Port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// findServer asks the kernel for the one child of unshare.
func (h *Host) findServer() error {
	pid := h.cmd.Process.Pid
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	_, err = fmt.Sscan(string(data), &h.server)
	return err
}

func (f *Fleet) writeKnownHosts() error {
	var b strings.Builder
	for _, h := range f.Hosts {
		at := fmt.Sprintf("[%s]:%d", h.Address, h.Port)
		if h.Port == 22 {
			at = h.Address
		}
		fmt.Fprintf(&b, "%s %s\n", at, h.HostKey)
	}
	return os.WriteFile(f.KnownHosts, []byte(b.String()), 0o600)
}

func keygen(path string) error {
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make key %s: %w: %s", path, err, out)
	}
	return nil
}

// freePort finds a port that is free on 127.0.0.1, and so very likely on the rest
// of 127/8, of which nothing but these servers uses the upper part.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
