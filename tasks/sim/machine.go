package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Machine is one simulated Proxmox VE host. All its state lies in files below
// Root, so any number of Machines, in one process or in several, may serve the
// same tree. Its methods are safe for concurrent use; its fields must not be
// changed once it is in use.
type Machine struct {
	// Root is the folder that stands for "/" of the machine.
	Root string
	// Node is the name of the machine, as in /etc/pve/nodes/NODE.
	Node string
	// Release is the Proxmox VE release: "8.4" or "9.1".
	Release string
	// LockTimeout is how long a program waits for Proxmox's lock of a container;
	// the real ones wait 10 s.
	LockTimeout time.Duration
	// Now is the machine's clock.
	Now func() time.Time
	// Down, when set, is called when the machine goes down in a reboot, so that its
	// connections can be ended.
	Down func()
	// Containers, when set, makes the containers real.
	Containers Containers

	// distro says what the machine is when it is the inside of a container.
	distro guestOS

	mu     sync.Mutex // guards random
	random *rand.Rand
}

// Options says what a fresh machine is like. The zero value is a Proxmox VE 8.4
// host as the installer leaves it.
type Options struct {
	// Release is "8.4" (also when empty) or "9.1".
	Release string
	// Layout says which storages the machine has.
	Layout Layout
	// GPUs is the number of NVIDIA devices on the PCI bus.
	GPUs int
	// LockTimeout is how long programs wait for a container's lock; 0 means 10 s.
	LockTimeout time.Duration
	// Seed fixes what Proxmox draws by chance: MAC addresses, the order of content
	// lists in storage.cfg. Two machines with the same seed draw the same; 0 draws
	// anew each time.
	Seed uint64
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Streams are the standard streams of a simulated program. A nil reader is an
// empty input, a nil writer drops what it is given.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// call is one run of a simulated program.
type call struct {
	m        *Machine
	ctx      context.Context
	argv     []string // the program first, without its folder
	folder   string   // of the program, as it was given
	in       io.Reader
	out, err io.Writer
	// dir is the working directory on the simulated machine.
	dir string
	// env holds the variables that a shell line set.
	env map[string]string
}

// program serves one call and returns its exit status.
type program func(c *call) int

// New makes a machine of the tree below root. An empty or missing root is laid out
// as a fresh Proxmox VE host called node; an existing tree is kept as it is.
func New(root, node string, o Options) (*Machine, error) {
	if !nodeName(node) {
		return nil, fmt.Errorf("make simulated machine: %q is no host name", node)
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("make simulated machine: %w", err)
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	m := &Machine{
		Root: abs, Node: node, Release: o.Release, LockTimeout: o.LockTimeout, Now: o.Now,
		random: rand.New(rand.NewPCG(o.Seed, 0x70686f656e6978)),
	}
	if m.Release == "" {
		m.Release = "8.4"
	}
	if m.LockTimeout == 0 {
		m.LockTimeout = 10 * time.Second
	}
	if m.Now == nil {
		m.Now = time.Now
	}
	if err := m.lay(o); err != nil {
		return nil, fmt.Errorf("make simulated machine %s: %w", node, err)
	}
	return m, nil
}

// nodeName tells whether s can be the name of a node: one DNS label.
func nodeName(s string) bool {
	ok := func(r rune) bool {
		return r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	return s != "" && len(s) < 64 && s[0] != '-' && strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0
}

// Programs lists the names of the programs that the machine has, sorted.
func (m *Machine) Programs() []string {
	var names []string
	for name := range programs() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Exec runs a program of the simulated machine and returns its exit status: 127
// when there is none of that name, 130 when ctx ended before it started.
// Argv[0] is a name or an absolute path in a bin folder.
func (m *Machine) Exec(ctx context.Context, argv []string, s Streams) int {
	return m.newCall(ctx, argv, s).run()
}

// newCall prepares a call in the clean environment that every program gets.
func (m *Machine) newCall(ctx context.Context, argv []string, s Streams) *call {
	c := &call{
		m: m, ctx: ctx, argv: argv, in: s.Stdin, out: s.Stdout, err: s.Stderr, dir: "/",
		env: map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"},
	}
	if c.in == nil {
		c.in = strings.NewReader("")
	}
	if c.out == nil {
		c.out = io.Discard
	}
	if c.err == nil {
		c.err = io.Discard
	}
	return c
}

// run starts the program that argv names, unless a fault comes in between.
func (c *call) run() int {
	if len(c.argv) == 0 {
		return 127
	}
	p, ok := c.m.find(c.argv[0])
	if !ok {
		fmt.Fprintf(c.err, "bash: line 1: %s: command not found\n", c.argv[0])
		return 127
	}
	if c.ctx.Err() != nil {
		return 130
	}
	name := filepath.Base(c.argv[0])
	c.folder = filepath.Dir(c.argv[0])
	c.argv = append([]string{name}, c.argv[1:]...)
	c.warnOfLocale()
	if code, hit := c.fault(""); hit {
		return code
	}
	return p(c)
}

// warnOfLocale prints what Perl says of a locale that the machine lacks. Proxmox's
// programs all do, and work nevertheless.
func (c *call) warnOfLocale() {
	known := []string{"", "C", "C.UTF-8", "POSIX", "en_US.UTF-8"}
	perl := []string{"pct", "pvesm", "pveam", "pvesh", "pveum", "pveversion", "pve-firewall"}
	if slices.Contains(known, c.env["LC_ALL"]) || !slices.Contains(perl, c.argv[0]) {
		return
	}
	lang := c.env["LANG"]
	if lang == "" {
		lang = "C"
	}
	c.errorf("perl: warning: Setting locale failed.\nperl: warning: Please check that your locale settings:\n"+
		"\tLANGUAGE = (unset),\n\tLC_ALL = %q,\n\tLANG = %q\n    are supported and installed on your system.\n"+
		"perl: warning: Falling back to a fallback locale (%q).\n", c.env["LC_ALL"], lang, lang)
}

// find returns the program behind a name or a path in a bin folder.
func (m *Machine) find(name string) (program, bool) {
	dir, base := filepath.Split(name)
	if m.isGPUProbe(name) {
		return gpuProbe, true
	}
	if m.distro.id != "" && !m.missing(base) {
		return m.findInside(dir, base)
	}
	bins := []string{"", "/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"}
	if !slices.Contains(bins, dir) || m.missing(base) || m.lacks(base) {
		return nil, false
	}
	p, ok := programs()[base]
	return p, ok
}

// sub runs another program with this call's streams.
func (c *call) sub(argv ...string) int {
	d := *c
	d.argv = argv
	return d.run()
}

// path is where the absolute path p of the simulated machine lies on this one.
func (m *Machine) path(p string) string { return filepath.Join(m.Root, filepath.Clean("/"+p)) }

// intN draws a number from 0 to n-1.
func (m *Machine) intN(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.random.IntN(n)
}

// shuffle puts a list into a random order.
func (m *Machine) shuffle(list []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// read returns the content of a file of the simulated machine.
func (m *Machine) read(p string) ([]byte, error) { return os.ReadFile(m.path(p)) }

// text is the content of a file, or "" when there is none.
func (m *Machine) text(p string) string {
	b, err := m.read(p)
	if err != nil {
		return ""
	}
	return string(b)
}

// write replaces a file of the simulated machine by rename, making the folders
// above it.
func (m *Machine) write(p string, data []byte, mode fs.FileMode) error {
	if m.full(p) {
		return fmt.Errorf("write %s: %w", p, errNoSpace)
	}
	full := m.path(p)
	f, err := os.CreateTemp(filepath.Dir(full), ".sim-*")
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		f, err = os.CreateTemp(filepath.Dir(full), ".sim-*")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), full)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// lays writes a file of a tree that nobody uses yet. Machines are laid by the
// thousand, so it goes without a temporary name, a rename, and what os.File does
// for the sake of pipes: together a fifth of what write costs.
func (m *Machine) lays(p string, data []byte, mode fs.FileMode) error {
	full := m.path(p)
	err := layFile(full, data, mode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		err = layFile(full, data, mode)
	}
	if err != nil {
		return &fs.PathError{Op: "lay", Path: p, Err: err}
	}
	return nil
}

func layFile(full string, data []byte, mode fs.FileMode) error {
	fd, err := syscall.Open(full, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC|syscall.O_CLOEXEC, uint32(mode.Perm()))
	if err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		var n int
		n, err = syscall.Write(fd, data)
		if errors.Is(err, syscall.EINTR) {
			n, err = 0, nil
		}
		data = data[max(n, 0):]
	}
	return errors.Join(err, syscall.Close(fd))
}

// exists tells whether there is a file of that name.
func (m *Machine) exists(p string) bool {
	_, err := os.Lstat(m.path(p))
	return err == nil
}

// printf writes to the program's standard output.
func (c *call) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// errorf writes to the program's standard error.
func (c *call) errorf(format string, args ...any) { fmt.Fprintf(c.err, format, args...) }
