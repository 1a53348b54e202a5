package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// guestOS says which distribution a machine is that is the inside of a container. The
// zero value is a Proxmox VE host.
type guestOS struct{ id, version, codename string }

// NewGuest makes a machine that is the inside of a container of the template:
// "debian-12-standard_12.7-1_amd64.tar.zst", "ubuntu-24.04-…", "alpine-3.20-…". An empty
// or missing root is laid out as pct create leaves it; an existing tree is kept as it is.
// Of the options only the lock's timeout, the seed and the clock count.
func NewGuest(root, template string, o Options) (*Machine, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("make simulated guest: %w", err)
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	g := &Machine{Root: abs, Node: "guest", LockTimeout: o.LockTimeout, Now: o.Now, random: rand.New(rand.NewPCG(o.Seed, 1))}
	if g.LockTimeout == 0 {
		g.LockTimeout = 10 * time.Second
	}
	if g.Now == nil {
		g.Now = time.Now
	}
	if !g.exists("/etc/os-release") {
		if err := g.layInside(template); err != nil {
			return nil, fmt.Errorf("make simulated guest of %s: %w", template, err)
		}
		const kernel = "6.8.12-9-pve"
		if err := g.writeAll(map[string]string{"/etc/hostname": g.Node + "\n", "/proc/sys/kernel/hostname": g.Node + "\n", "/proc/sys/kernel/osrelease": kernel + "\n"}); err != nil {
			return nil, err
		}
	}
	g.distro = g.distribution()
	return g, nil
}

// guestMachine is the inside of a container as a machine of its own.
func (m *Machine) guestMachine(id int) *Machine {
	g := &Machine{Root: m.path(guestRoot(id)), LockTimeout: m.LockTimeout, Now: m.Now,
		random: rand.New(rand.NewPCG(uint64(m.intN(1<<30)), uint64(id)))}
	g.Node = strings.TrimSpace(g.text("/etc/hostname"))
	g.distro = g.distribution()
	return g
}

// distribution reads what os-release says. Where it says nothing, the guest is one of a
// distribution that the simulator does not know.
func (m *Machine) distribution() guestOS {
	g := guestOS{id: "linux"}
	for line := range strings.Lines(m.text("/etc/os-release")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"`)
		switch key {
		case "ID":
			g.id = value
		case "VERSION_ID":
			g.version = value
		case "VERSION_CODENAME":
			g.codename = value
		}
	}
	return g
}

// findInside returns a program of a guest: one that the distribution always has, one
// whose package is installed, or one that lies as a file where it is looked for.
func (m *Machine) findInside(dir, name string) (program, bool) {
	p, ok := programs()[name]
	if !ok {
		return nil, false
	}
	bins := []string{"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}
	if dir == "" || slices.Contains(bins, dir) {
		if slices.Contains(m.distro.programs(), name) || m.packaged(carriers(name)) {
			return p, true
		}
	}
	if dir != "" {
		bins = []string{dir}
	}
	return p, slices.ContainsFunc(bins, func(bin string) bool { return m.exists(bin + name) })
}

// programs are those that every guest of the distribution has.
func (g guestOS) programs() []string {
	list := strings.Fields("tar sh env uname hostname cat echo ls head tail grep id uptime sleep tee touch ln stat readlink mv cp cmp nproc sha256sum true false mkdir rm chmod chown test [ wc")
	switch g.id {
	case "debian", "ubuntu":
		list = append(list, strings.Fields(`bash dd ldconfig nvidia-installer apt-get apt-cache apt-config apt-mark dpkg dpkg-query systemctl timedatectl hostnamectl systemd-run
			useradd usermod userdel groupadd gpasswd chpasswd sysctl`)...)
	case "alpine":
		list = append(list, "addgroup", "apk", "rc-service", "rc-update", "sysctl")
	default:
		list = append(list, "bash", "systemctl")
	}
	return list
}

// carriers are the packages any of which brings a program to a guest.
func carriers(program string) []string {
	switch program {
	case "curl", "bash":
		return []string{program}
	case "locale", "locale-gen", "update-locale":
		return []string{"locales"}
	}
	return strings.Fields(brought()[program])
}

// packaged tells whether one of the packages is installed, in a guest or on a host.
func (m *Machine) packaged(any []string) bool {
	if len(any) == 0 {
		return false
	}
	if m.distro.id == "alpine" {
		db := m.apkInstalled()
		return slices.ContainsFunc(any, func(name string) bool { return db[name] != "" })
	}
	list := m.dpkgEntries()
	return slices.ContainsFunc(any, func(name string) bool {
		i := dpkgIndex(list, name)
		return i >= 0 && list[i].installed()
	})
}

// templateInside is the distribution that a template has.
func templateInside(template string) guestOS {
	id, _ := templateOS(template)
	g := guestOS{id: id, version: "12"}
	if v := regexp.MustCompile(`-(\d+(\.\d+)?)-`).FindStringSubmatch(template); v != nil {
		g.version = v[1]
	}
	g.codename = map[string]string{"debian 11": "bullseye", "debian 12": "bookworm", "debian 13": "trixie", "ubuntu 22.04": "jammy", "ubuntu 24.04": "noble"}[id+" "+g.version]
	return g
}

// layInside lays the files of a fresh guest.
func (m *Machine) layInside(template string) error {
	if err := m.laysFolders(`boot dev etc/network/interfaces.d etc/profile.d home lib64 lost+found media mnt opt proc/sys/kernel
		root run sbin srv sys tmp usr/bin usr/local/bin var/log`); err != nil {
		return err
	}
	g := templateInside(template)
	files := map[string]string{
		"/etc/os-release": g.osRelease(),
		"/etc/passwd":     "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"/etc/group":      "root:x:0:\nadm:x:4:\ntty:x:5:\nwww-data:x:33:\nvideo:x:44:\nrender:x:106:\nnogroup:x:65534:\n",
		"/etc/hosts":      "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n",
	}
	var more func(guestOS, map[string]string) error
	switch g.id {
	case "debian", "ubuntu":
		more = m.layDebian
	case "alpine":
		more = m.layAlpine
	}
	if more != nil {
		if err := more(g, files); err != nil {
			return err
		}
	}
	return m.writeAll(files)
}

// laysFolders makes folders. Guests are laid by the thousand, so it looks for those
// above only where they are missing.
func (m *Machine) laysFolders(list string) error {
	for _, dir := range strings.Fields(list) {
		err := os.Mkdir(m.path(dir), 0o755)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.MkdirAll(m.path(dir), 0o755)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// osRelease is /etc/os-release as the distributions ship it.
func (g guestOS) osRelease() string {
	switch g.id {
	case "debian":
		return osRelease(versions{debian: g.version, codename: g.codename})
	case "ubuntu":
		title := strings.ToUpper(g.codename[:min(1, len(g.codename))]) + g.codename[min(1, len(g.codename)):]
		return fmt.Sprintf("PRETTY_NAME=\"Ubuntu %[1]s LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"%[1]s\"\nVERSION=\"%[1]s LTS (%[3]s)\"\nVERSION_CODENAME=%[2]s\nID=ubuntu\nID_LIKE=debian\n"+
			"HOME_URL=\"https://www.ubuntu.com/\"\nUBUNTU_CODENAME=%[2]s\n", g.version, g.codename, title)
	case "alpine":
		return fmt.Sprintf("NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=%[1]s.3\nPRETTY_NAME=\"Alpine Linux v%[1]s\"\nHOME_URL=\"https://alpinelinux.org/\"\n", g.version)
	}
	return fmt.Sprintf("NAME=%q\nID=%s\nVERSION_ID=%q\n", g.id, g.id, g.version)
}
