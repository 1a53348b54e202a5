package sim

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errKilled ends a program in the middle of its work.
var errKilled = errors.New("killed")

// aptCall is one apt-get with its options read.
type aptCall struct {
	*call
	verb      string
	names     []string
	simulate  bool
	noUpgrade bool
	reinstall bool
	yes       bool
	lockWait  time.Duration
	// release is what -t prefers; list and parts are other files than the machine's own.
	release, list, parts string
}

// aptGet installs, removes and upgrades packages from the archives that the
// sources name, as apt 2.6 of Debian 12 does.
func aptGet(c *call) int {
	a := &aptCall{call: c}
	for i := 1; i < len(c.argv); i++ {
		word := c.argv[i]
		switch {
		case (word == "-o" || word == "--option") && i+1 < len(c.argv):
			i++
			a.option(c.argv[i])
		case strings.HasPrefix(word, "-o"):
			a.option(word[2:])
		case slices.Contains([]string{"-s", "--simulate", "--just-print", "--dry-run", "--recon", "--no-act"}, word):
			a.simulate = true
		case word == "-t" && i+1 < len(c.argv):
			i++
			a.release = c.argv[i]
		case word == "--reinstall":
			a.reinstall = true
		case word == "--no-upgrade":
			a.noUpgrade = true
		case word == "-y" || word == "--yes" || word == "--assume-yes":
			a.yes = true
		case strings.HasPrefix(word, "-"):
		case a.verb == "":
			a.verb = word
		default:
			a.names = append(a.names, word)
		}
	}
	switch a.verb {
	case "update":
		return a.update()
	case "install", "remove", "purge", "upgrade", "dist-upgrade", "full-upgrade", "autoremove":
		if code := c.dpkgLocked(a.lockWait); code != 0 && !a.simulate {
			return code
		}
		return a.killable(c.m.exclusive(a.change))
	case "clean", "autoclean":
		return 0
	case "indextargets":
		return a.indexTargets()
	case "":
		c.printf("apt 2.6.1 (amd64)\nUsage: apt-get [options] command\n")
		return 0
	}
	c.errorf("E: Invalid operation %s\n", a.verb)
	return 100
}

func (a *aptCall) option(s string) {
	if v, ok := strings.CutPrefix(s, "DPkg::Lock::Timeout="); ok {
		if n, err := strconv.Atoi(v); err == nil {
			a.lockWait = time.Duration(n) * time.Second
		}
	}
	if v, ok := strings.CutPrefix(s, "Dir::Etc::SourceList="); ok {
		a.list = v
	}
	if v, ok := strings.CutPrefix(s, "Dir::Etc::SourceParts="); ok {
		a.parts = v
	}
}

func (a *aptCall) killable(err error) int {
	if errors.Is(err, errKilled) {
		return 137
	}
	if errors.Is(err, errNoSpace) {
		a.errorf("E: Write error - write (28: No space left on device)\n")
		return 100
	}
	var text said
	if errors.As(err, &text) {
		a.errorf("E: %s\n", string(text))
		return 100
	}
	return a.died(err, 100)
}

// said is what a program says in its own words; apt puts "E: " before it.
type said string

func (e said) Error() string { return string(e) }

// dpkgLocked waits for dpkg's lock at most that long. The lock is a POSIX one, as
// the real one: flock does not see it.
func (c *call) dpkgLocked(wait time.Duration) int {
	busy := "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4242 (apt-get)"
	for begin := time.Now(); ; {
		_, hit := c.struck("", FaultDpkgLock)
		if !hit && !c.m.posixLocked("/var/lib/dpkg/lock-frontend") {
			return 0
		}
		if time.Since(begin) >= wait || c.ctx.Err() != nil {
			c.errorf("E: %s\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n", busy)
			return 100
		}
		c.printf("Waiting for cache lock: %s...\n", busy)
		c.wait(min(time.Second, wait))
	}
}

// posixLocked tells whether another process holds a POSIX lock on a file.
func (m *Machine) posixLocked(p string) bool {
	f, err := os.OpenFile(m.path(p), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	return syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock) == nil && lock.Type != syscall.F_UNLCK
}

// update fetches the lists of every source. The enterprise archive refuses a
// machine without a subscription; the others are updated all the same.
func (a *aptCall) update() int {
	_, offline := a.struck("", FaultDownload)
	code := 0
	for i, s := range a.m.sources() {
		at := s.uri + " " + s.suite
		switch {
		case offline:
			a.printf("Err:%d %s InRelease\n  Temporary failure resolving '%s'\n", i+1, at, s.uri)
			a.errorf("W: Failed to fetch %s/dists/%s/InRelease  Temporary failure resolving\n", s.uri, s.suite)
		case strings.Contains(s.uri, "enterprise.proxmox.com") && !a.m.exists("/etc/apt/auth.conf.d/pve.conf"):
			a.printf("Err:%d %s InRelease\n  401  Unauthorized [IP: 51.91.38.34 443]\n", i+1, at)
			a.errorf("E: Failed to fetch %s/dists/%s/InRelease  401  Unauthorized [IP: 51.91.38.34 443]\nE: The repository '%s InRelease' is not signed.\n", s.uri, s.suite, at)
			code = 100
		default:
			if err := a.m.exclusive(func() error { return a.m.fetchLists(s, a.m.write) }); err != nil {
				return a.killable(err)
			}
			a.printf("Get:%d %s InRelease [1024 B]\n", i+1, at)
		}
	}
	a.printf("Reading package lists...\n")
	if offline {
		a.errorf("W: Some index files failed to download. They have been ignored, or old ones used instead.\n")
	}
	return code
}

// available reads the lists: every package that can be installed.
func (m *Machine) available() map[string]dpkgEntry {
	out := map[string]dpkgEntry{}
	for _, s := range m.sources() {
		for _, e := range m.listed(s) {
			out[e.name] = e
		}
	}
	return out
}
