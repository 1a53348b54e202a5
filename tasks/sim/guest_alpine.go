package sim

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	apkFile      = "/lib/apk/db/installed"
	apkWorld     = "/etc/apk/world"
	openrcLevels = "/etc/runlevels/"
	openrcStates = "/run/openrc/started/"
)

// layAlpine lays what only a guest of Alpine has: its busybox needs no files here.
func (m *Machine) layAlpine(g guestOS, files map[string]string) error {
	if err := m.laysFolders("etc/init.d etc/conf.d etc/runlevels/boot etc/runlevels/default etc/runlevels/sysinit lib/apk/db run/openrc/started var/cache/apk usr/sbin .sim"); err != nil {
		return err
	}
	if err := m.link("/bin", "usr/bin"); err != nil {
		return err
	}
	files["/etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
	files["/etc/group"] = "root:x:0:root\nwheel:x:10:root\nvideo:x:27:root\nnogroup:x:65533:\nnobody:x:65534:\n"
	files["/etc/alpine-release"] = g.version + ".3\n"
	files["/etc/apk/repositories"] = "https://dl-cdn.alpinelinux.org/alpine/v" + g.version + "/main\nhttps://dl-cdn.alpinelinux.org/alpine/v" + g.version + "/community\n"
	files["/sbin/openrc"] = "\x7fELF simulated\n"
	var b strings.Builder
	for _, a := range alpineArchive() {
		if a.present != "" {
			b.WriteString(a.record())
		}
	}
	files[apkFile] = b.String()
	files[apkWorld] = "alpine-base\n"
	return m.layInit("networking", "boot", true)
}

// layInit lays an init script; one with a runlevel is in it.
func (m *Machine) layInit(name, level string, started bool) error {
	if err := m.lays("/etc/init.d/"+name, []byte("#!/sbin/openrc-run\ndescription=\""+name+" (simulated)\"\n"), 0o755); err != nil {
		return err
	}
	if level != "" {
		if err := m.link(openrcLevels+level+"/"+name, "/etc/init.d/"+name); err != nil {
			return err
		}
	}
	if !started {
		return nil
	}
	return m.link(openrcStates+name, "/etc/init.d/"+name)
}

// alpineArchive is what Alpine's main and community offer, cut down to a few packages.
// A unit is an init script here, which Alpine neither enables nor starts by itself.
func alpineArchive() []archived {
	return []archived{
		{name: "alpine-base", version: "3.20.3-r0", present: "3.20.3-r0"},
		{name: "apk-tools", version: "2.14.4-r0", present: "2.14.4-r0"},
		{name: "busybox", version: "1.36.1-r29", present: "1.36.1-r29"},
		{name: "musl", version: "1.2.5-r0", present: "1.2.5-r0"},
		{name: "openrc", version: "0.54-r1", present: "0.54-r1"},
		{name: "bash", version: "5.2.26-r0"},
		{name: "ca-certificates", version: "20240705-r0"},
		{name: "containerd", version: "1.7.17-r3", unit: "containerd"},
		{name: "curl", version: "8.9.1-r2", depends: "libcurl"},
		{name: "docker", version: "26.1.5-r0", depends: "containerd, docker-cli", unit: "docker"},
		{name: "docker-cli", version: "26.1.5-r0"},
		{name: "docker-cli-buildx", version: "0.14.0-r4", depends: "docker-cli"},
		{name: "docker-cli-compose", version: "2.27.0-r3", depends: "docker-cli"},
		{name: "fuse-overlayfs", version: "1.14-r0"},
		{name: "git", version: "2.45.2-r0"},
		{name: "gnupg", version: "2.4.5-r0"},
		{name: "htop", version: "3.3.0-r0"},
		{name: "iptables", version: "1.8.10-r3"},
		{name: "jq", version: "1.7.1-r0"},
		{name: "kmod", version: "32-r0"},
		{name: "libcurl", version: "8.9.1-r2"},
		{name: "nginx", version: "1.26.2-r0", unit: "nginx"},
		{name: "openssh-server", version: "9.7_p1-r4", unit: "sshd"},
		{name: "pciutils", version: "3.12.0-r0"},
		{name: "py3-pip", version: "24.0-r2", depends: "python3"},
		{name: "python3", version: "3.12.6-r0"},
		{name: "sudo", version: "1.9.15_p5-r0"},
		{name: "tmux", version: "3.4-r1"},
		{name: "tzdata", version: "2024b-r0"},
		{name: "zstd", version: "1.5.6-r0"},
	}
}

// record is a package as it stands in apk's database, with one of its files.
func (a archived) record() string {
	s := "C:Q1simulated=\nP:" + a.name + "\nV:" + a.version + "\nA:x86_64\nS:1024\nI:4096\nT:" + a.name + " (simulated)\nU:https://example.org/\nL:MIT\no:" + a.name + "\n"
	if a.depends != "" {
		s += "D:" + strings.Join(splitList(a.depends), " ") + "\n"
	}
	return s + "F:usr\nF:usr/share\nR:" + a.name + "\nZ:Q1simulated=\n\n"
}

// apkInstalled reads apk's database: the version of each installed package.
func (m *Machine) apkInstalled() map[string]string {
	out := make(map[string]string)
	name := ""
	for line := range strings.Lines(m.text(apkFile)) {
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":"); key {
		case "P":
			name = value
		case "V":
			out[name] = value
		}
	}
	return out
}

// apk serves add, del, update, info and version as apk-tools 2.14 does.
func apk(c *call) int {
	words := slices.DeleteFunc(slices.Clone(c.argv[1:]), func(w string) bool { return strings.HasPrefix(w, "-") })
	for i := 0; i+1 < len(c.argv); i++ {
		if c.argv[i] == "--wait" { // its seconds are no command
			words = slices.Delete(words, slices.Index(words, c.argv[i+1]), slices.Index(words, c.argv[i+1])+1)
		}
	}
	if len(words) == 0 {
		c.printf("apk-tools 2.14.4, compiled for x86_64.\n\nusage: apk [<OPTIONS>...] COMMAND [<ARGUMENTS>...]\n")
		return 1
	}
	switch verb, names := words[0], words[1:]; verb {
	case "--version":
		return 0
	case "update":
		return c.apkFetch()
	case "add", "del":
		if _, locked := c.struck("", FaultDpkgLock); locked {
			c.errorf("ERROR: Unable to lock database: Resource temporarily unavailable\nERROR: Failed to open apk database: Resource temporarily unavailable\n")
			return 99
		}
		if code := c.apkFetch(); verb == "add" && code != 0 {
			return code
		}
		code := 0
		err := c.m.exclusive(func() error {
			var err error
			code, err = c.apkChange(verb == "add", names)
			return err
		})
		return max(code, c.died(err, 1))
	case "info":
		for _, name := range sortedKeys(c.m.apkInstalled()) {
			c.printf("%s\n", name)
		}
		return 0
	}
	c.errorf("ERROR: '%s' is not an apk command. See 'apk --help'.\n", words[0])
	return 1
}

// apkFetch gets the indexes of the repositories.
func (c *call) apkFetch() int {
	for line := range strings.Lines(c.m.text("/etc/apk/repositories")) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		index := line + "/x86_64/APKINDEX.tar.gz"
		if _, offline := c.struck("", FaultDownload); offline {
			c.errorf("fetch %s\nWARNING: updating and opening %s: temporary error (try again later)\n", index, line)
			return 1
		}
		c.printf("fetch %s\n", index)
	}
	return 0
}

// apkChange puts names into the world or takes them out, and makes the machine so.
func (c *call) apkChange(add bool, names []string) (int, error) {
	archive := make(map[string]archived)
	for _, a := range alpineArchive() {
		archive[a.name] = a
	}
	world := strings.Fields(c.m.text(apkWorld))
	var unknown []string
	for _, name := range names {
		if add && archive[name].name == "" {
			unknown = append(unknown, name)
		}
		world = slices.DeleteFunc(world, func(w string) bool { return w == name })
		if add {
			world = append(world, name)
		}
	}
	if len(unknown) > 0 {
		c.errorf("ERROR: unable to select packages:\n")
		for _, name := range unknown {
			c.errorf("  %s (no such package):\n    required by: world[%s]\n", name, name)
		}
		return len(unknown), nil
	}
	keep := make(map[string]bool)
	var need func(name string)
	need = func(name string) {
		if !keep[name] {
			keep[name] = true
			for _, d := range splitList(archive[name].depends) {
				need(d)
			}
		}
	}
	for _, name := range world {
		need(name)
	}
	before, after, n := c.m.apkInstalled(), "", 0
	for _, a := range alpineArchive() {
		if a.present != "" || keep[a.name] {
			after += a.record()
			n++
		}
		switch {
		case keep[a.name] && before[a.name] == "":
			c.printf("(%d/%d) Installing %s (%s)\n", n, len(keep), a.name, a.version)
			if err := c.apkBrings(a); err != nil {
				return 1, err
			}
		case a.present == "" && !keep[a.name] && before[a.name] != "":
			c.printf("(%d/%d) Purging %s (%s)\n", n, len(keep), a.name, a.version)
			if err := c.apkTakes(a); err != nil {
				return 1, err
			}
		}
	}
	slices.Sort(world)
	c.printf("Executing busybox-1.36.1-r29.trigger\nOK: %d MiB in %d packages\n", 8+n, n)
	if err := c.m.write(apkFile, []byte(after), 0o644); err != nil {
		return 1, err
	}
	return 0, c.m.write(apkWorld, []byte(strings.Join(world, "\n")+"\n"), 0o644)
}

// apkBrings lays what a package has besides its entry.
func (c *call) apkBrings(a archived) error {
	if err := c.m.dockerBrings(a.name); err != nil {
		return err
	}
	if a.name == "tzdata" {
		for _, zone := range timeZones() {
			if err := c.m.write("/usr/share/zoneinfo/"+zone, []byte("TZif2 simulated "+zone+"\n"), 0o644); err != nil {
				return err
			}
		}
	}
	if a.unit == "" {
		return nil
	}
	return c.m.layInit(a.unit, "", false)
}

// apkTakes removes an init script; the links of its runlevels stay, as on a real Alpine.
func (c *call) apkTakes(a archived) error {
	if a.unit == "" {
		return nil
	}
	return os.RemoveAll(c.m.path("/etc/init.d/" + a.unit))
}

// rcService serves NAME start|stop|restart|reload|status and --exists NAME of OpenRC.
func rcService(c *call) int {
	words := slices.DeleteFunc(slices.Clone(c.argv[1:]), func(w string) bool { return strings.HasPrefix(w, "-") })
	if len(words) == 0 {
		c.errorf(" * rc-service: you must specify a service name\n")
		return 1
	}
	name := words[0]
	there := c.m.exists("/etc/init.d/" + name)
	if slices.Contains(c.argv, "-e") || slices.Contains(c.argv, "--exists") {
		return map[bool]int{true: 0, false: 1}[there]
	}
	if !there || len(words) < 2 {
		c.errorf(" * rc-service: service `%s' does not exist\n", name)
		return 1
	}
	started := c.m.exists(openrcStates + name)
	switch words[1] {
	case "status":
		if started {
			c.printf(" * status: started\n")
			return 0
		}
		c.printf(" * status: stopped\n")
		return 3
	case "reload":
		if !started {
			c.errorf(" * %s: cannot `reload' as it has not been started\n", name)
			return 1
		}
		if dockerUnit(name) {
			return c.died(c.m.dockerStarts(true), 1)
		}
		return 0
	case "start", "restart":
		if !c.m.startable(name) {
			c.errorf(" * ERROR: %s failed to start\n", name)
			return 1
		}
		if started && words[1] == "start" {
			c.errorf(" * WARNING: %s has already been started\n", name)
			return 0
		}
		c.printf(" * Starting %s ... [ ok ]\n", name)
		return c.died(c.m.exclusive(func() error { return c.m.setStarted(name, true) }), 1)
	case "stop":
		c.printf(" * Stopping %s ... [ ok ]\n", name)
		return c.died(c.m.exclusive(func() error { return c.m.setStarted(name, false) }), 1)
	}
	c.errorf(" * %s: unknown function `%s'\n", name, words[1])
	return 1
}

// setStarted starts or stops a service; the starts are counted like those of units.
func (m *Machine) setStarted(name string, started bool) error {
	if err := m.setActive(name, started); err != nil {
		return err
	}
	if err := os.RemoveAll(m.path(openrcStates + name)); err != nil || !started {
		return err
	}
	if err := os.MkdirAll(m.path(openrcStates), 0o755); err != nil {
		return err
	}
	return m.link(openrcStates+name, "/etc/init.d/"+name)
}

// rcUpdate serves add and del NAME [RUNLEVEL] and lists the runlevels.
func rcUpdate(c *call) int {
	words := slices.DeleteFunc(slices.Clone(c.argv[1:]), func(w string) bool { return strings.HasPrefix(w, "-") })
	if len(words) < 2 {
		for _, link := range c.m.glob(openrcLevels + "*/*") {
			f := strings.Split(link, "/")
			c.printf("%20s | %s\n", f[4], f[3])
		}
		return 0
	}
	verb, name, level := words[0], words[1], "default"
	if len(words) > 2 {
		level = words[2]
	}
	link := openrcLevels + level + "/" + name
	switch {
	case verb == "add" && !c.m.exists("/etc/init.d/"+name):
		c.errorf(" * rc-update: service `%s' does not exist\n", name)
		return 1
	case verb == "add" && c.m.exists(link):
		c.printf(" * rc-update: %s already installed in runlevel `%s'; skipping\n", name, level)
		return 0
	case verb == "add":
		c.printf(" * service %s added to runlevel %s\n", name, level)
		return c.died(c.m.link(link, "/etc/init.d/"+name), 1)
	case !c.m.exists(link):
		c.errorf(" * rc-update: service `%s' is not in the runlevel `%s'\n", name, level)
		return 1
	}
	c.printf(" * service %s removed from runlevel %s\n", name, level)
	if err := os.Remove(c.m.path(link)); err != nil {
		return c.died(fmt.Errorf("remove %s: %w", link, err), 1)
	}
	return 0
}
