package sim

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	unitDir = "/usr/lib/systemd/system/"
	ownUnit = "/etc/systemd/system/"
	// activeDir has one file for each active unit; it counts the unit's starts.
	activeDir = "/.sim/active/"
	startsDir = "/.sim/starts/"
)

// setActive starts or stops a unit.
func (m *Machine) setActive(unit string, active bool) error {
	if !active {
		err := os.Remove(m.path(activeDir + unit))
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(m.text(startsDir + unit)))
	count := []byte(strconv.Itoa(n+1) + "\n")
	if dockerUnit(unit) {
		if err := m.dockerStarts(false); err != nil {
			return err
		}
	}
	if err := m.write(startsDir+unit, count, 0o644); err != nil {
		return err
	}
	return m.write(activeDir+unit, count, 0o644)
}

// Starts is how often a unit was started, counting the one at boot.
func (m *Machine) Starts(unit string) int {
	n, err := strconv.Atoi(strings.TrimSpace(m.text(startsDir + unitName(unit))))
	if err != nil {
		return 0
	}
	return n
}

// unitName adds ".service" to a name without a type.
func unitName(s string) string {
	for _, end := range []string{".service", ".timer", ".target", ".socket", ".mount", ".path"} {
		if strings.HasSuffix(s, end) {
			return s
		}
	}
	return s + ".service"
}

// fragment is the unit's file, or "" when there is none.
func (m *Machine) fragment(unit string) string {
	names := []string{unit}
	if at := strings.Index(unit, "@"); at >= 0 {
		names = append(names, unit[:at+1]+unit[strings.LastIndex(unit, "."):])
	}
	for _, name := range names {
		for _, dir := range []string{ownUnit, unitDir} {
			if m.exists(dir + name) {
				return dir + name
			}
		}
	}
	return ""
}

func (m *Machine) masked(unit string) bool {
	target, err := os.Readlink(m.path(ownUnit + unit))
	return err == nil && target == "/dev/null"
}

// wantedBy lists the targets of a unit's [Install] section.
func (m *Machine) wantedBy(unit string) []string {
	var targets []string
	for line := range strings.SplitSeq(m.text(m.fragment(unit)), "\n") {
		if list, ok := strings.CutPrefix(line, "WantedBy="); ok {
			targets = append(targets, strings.Fields(list)...)
		}
	}
	return targets
}

func (m *Machine) enablement(unit string) string {
	switch {
	case m.masked(unit):
		return "masked"
	case m.fragment(unit) == "":
		return ""
	case len(m.wantedBy(unit)) == 0:
		return "static"
	}
	for _, target := range m.wantedBy(unit) {
		if m.exists(ownUnit + target + ".wants/" + unit) {
			return "enabled"
		}
	}
	return "disabled"
}

// activity is the ActiveState and SubState of a unit. Those of containers follow
// from the sockets of the running ones.
func (m *Machine) activity(unit string) (active, sub string) {
	if id, ok := strings.CutPrefix(unit, "pve-container@"); ok {
		id = strings.TrimSuffix(id, ".service")
		if strings.Contains(m.text("/proc/net/unix"), "@/var/lib/lxc/"+id+"/command") {
			return "active", "running"
		}
		if m.text("/run/pve/ct-"+id+".stderr") != "" {
			return "failed", "failed"
		}
		return "inactive", "dead"
	}
	switch {
	case m.exists(activeDir + unit):
		return "active", map[bool]string{true: "running", false: "waiting"}[strings.HasSuffix(unit, ".service")]
	case m.exists("/.sim/failed/" + unit):
		return "failed", "failed"
	}
	return "inactive", "dead"
}

// systemctl answers and acts as systemd 252 of Debian 12 does.
func systemctl(c *call) int {
	var words []string
	flags := map[string]bool{}
	var props []string
	for i := 1; i < len(c.argv); i++ {
		word := c.argv[i]
		list, isList := strings.CutPrefix(word, "--property=")
		switch {
		case (word == "-p" || word == "--property") && i+1 < len(c.argv):
			i++
			props = append(props, strings.Split(c.argv[i], ",")...)
		case isList:
			props = append(props, strings.Split(list, ",")...)
		case strings.HasPrefix(word, "-"):
			flags[strings.TrimLeft(word, "-")] = true
		default:
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		c.errorf("Too few arguments.\n")
		return 1
	}
	verb, units := words[0], words[1:]
	for i := range units {
		units[i] = unitName(units[i])
	}
	switch verb {
	case "show":
		return c.unitShow(units, props, flags["value"])
	case "is-active", "is-failed", "is-enabled":
		return c.unitIs(verb, units, flags["quiet"] || flags["q"])
	case "daemon-reload", "reset-failed", "daemon-reexec":
		return 0
	case "reboot":
		return c.reboot()
	case "is-system-running":
		c.printf("running\n")
		return 0
	case "enable", "disable", "mask", "unmask", "start", "stop", "restart", "reload", "try-restart", "reload-or-restart", "try-reload-or-restart":
		return c.unitChange(verb, units, flags["now"])
	}
	c.errorf("Unknown command verb %s.\n", verb)
	return 1
}

func (c *call) unitShow(units, props []string, bare bool) int {
	order := []string{"Id", "LoadState", "ActiveState", "SubState", "FragmentPath", "UnitFileState", "NeedDaemonReload"}
	for i, unit := range units {
		if i > 0 {
			c.printf("\n")
		}
		active, sub := c.m.activity(unit)
		file, load := c.m.fragment(unit), "loaded"
		if file == "" {
			load = "not-found"
		}
		if c.m.masked(unit) {
			load, file = "masked", ownUnit+unit
		}
		values := map[string]string{
			"Id": unit, "LoadState": load, "ActiveState": active, "SubState": sub, "FragmentPath": file,
			"UnitFileState": c.m.enablement(unit), "NeedDaemonReload": "no",
		}
		for _, name := range order {
			switch {
			case len(props) > 0 && !slices.Contains(props, name):
			case bare:
				c.printf("%s\n", values[name])
			default:
				c.printf("%s=%s\n", name, values[name])
			}
		}
	}
	return 0
}

// unitIs prints a state for each unit; the status is 0 when one is as asked.
func (c *call) unitIs(verb string, units []string, quiet bool) int {
	code := map[string]int{"is-active": 3, "is-failed": 1, "is-enabled": 1}[verb]
	for _, unit := range units {
		state, good := c.m.enablement(unit), []string{"enabled", "static"}
		if verb != "is-enabled" {
			state, _ = c.m.activity(unit)
			good = []string{map[string]string{"is-active": "active", "is-failed": "failed"}[verb]}
		}
		switch {
		case quiet:
		case state == "":
			c.errorf("Failed to get unit file state for %s: No such file or directory\n", unit)
		default:
			c.printf("%s\n", state)
		}
		if slices.Contains(good, state) {
			code = 0
		}
	}
	return code
}

func (c *call) unitChange(verb string, units []string, now bool) int {
	code := 0
	err := c.m.exclusive(func() error {
		for _, unit := range units {
			n, err := c.unitChangeOne(verb, unit, now)
			if err != nil {
				return err
			}
			code = max(code, n)
		}
		return nil
	})
	if err != nil {
		return c.died(err, 1)
	}
	return code
}

func (c *call) unitChangeOne(verb, unit string, now bool) (int, error) {
	switch verb {
	case "mask":
		c.errorf("Created symlink %s → /dev/null.\n", ownUnit+unit)
		return 0, c.m.link(ownUnit+unit, "/dev/null")
	case "unmask":
		if !c.m.masked(unit) {
			return 0, nil
		}
		c.errorf("Removed \"%s\".\n", ownUnit+unit)
		return 0, os.Remove(c.m.path(ownUnit + unit))
	}
	if c.m.fragment(unit) == "" {
		if verb == "enable" || verb == "disable" {
			c.errorf("Failed to %s unit: Unit file %s does not exist.\n", verb, unit)
			return 1, nil
		}
		c.errorf("Failed to %s %s: Unit %s not found.\n", verb, unit, unit)
		return 5, nil
	}
	active, _ := c.m.activity(unit)
	switch verb {
	case "enable", "disable":
		if err := c.unitEnable(unit, verb == "enable"); err != nil || !now {
			return 0, err
		}
		if (active == "active") == (verb == "enable") {
			return 0, nil
		}
		return 0, c.m.setActive(unit, verb == "enable")
	case "stop":
		return 0, c.m.setActive(unit, false)
	}
	switch {
	case c.m.masked(unit):
		c.errorf("Failed to %s %s: Unit %s is masked.\n", verb, unit, unit)
		return 1, nil
	case verb == "reload" && active != "active":
		c.errorf("%s is not active, cannot reload.\n", unit)
		return 1, nil
	case verb == "reload" && dockerUnit(unit):
		return 0, c.m.dockerStarts(true)
	case verb == "reload" || verb == "start" && active == "active" || strings.HasPrefix(verb, "try-") && active != "active":
		return 0, nil
	}
	if !c.m.startable(unit) {
		c.errorf("Job for %[1]s failed because the control process exited with error code.\nSee \"systemctl status %[1]s\" and \"journalctl -xeu %[1]s\" for details.\n", unit)
		return 1, nil
	}
	if err := errors.Join(c.m.unitNodes(unit), c.m.noteRuns(unit)); err != nil {
		return 1, err
	}
	return 0, c.m.setActive(unit, true)
}

// unitEnable makes or removes the links of a unit's [Install] section.
func (c *call) unitEnable(unit string, enable bool) error {
	targets := c.m.wantedBy(unit)
	if len(targets) == 0 {
		c.errorf("The unit files have no installation config (WantedBy=, RequiredBy=, Also=,\nAlias= settings in the [Install] section, and DefaultInstance= for template units).\n")
	}
	for _, target := range targets {
		link := ownUnit + target + ".wants/" + unit
		switch there := c.m.exists(link); {
		case enable && !there:
			if err := os.MkdirAll(c.m.path(ownUnit+target+".wants"), 0o755); err != nil {
				return err
			}
			if err := c.m.link(link, c.m.fragment(unit)); err != nil {
				return err
			}
			c.errorf("Created symlink %s → %s.\n", link, c.m.fragment(unit))
		case !enable && there:
			if err := os.Remove(c.m.path(link)); err != nil {
				return err
			}
			c.errorf("Removed \"%s\".\n", link)
		}
	}
	return nil
}

// timedatectl sets time zone and synchronisation; it writes what the real one does.
func timedatectl(c *call) int {
	words := slices.DeleteFunc(slices.Clone(c.argv[1:]), func(s string) bool { return strings.HasPrefix(s, "-") })
	if len(words) == 0 {
		words = []string{"status"}
	}
	zone, err := os.Readlink(c.m.path("/etc/localtime"))
	if err != nil {
		zone = "UTC"
	}
	zone = strings.TrimPrefix(strings.TrimPrefix(zone, ".."), "/usr/share/zoneinfo/")
	active, _ := c.m.activity("chrony.service")
	ntp := map[bool]string{true: "yes", false: "no"}[active == "active"]
	switch {
	case words[0] == "show":
		c.printf("Timezone=%s\nLocalRTC=no\nCanNTP=yes\nNTP=%s\nNTPSynchronized=%s\n", zone, ntp, ntp)
	case words[0] == "status":
		c.printf("                Time zone: %s\nSystem clock synchronized: %s\n              NTP service: %s\n", zone, ntp, map[string]string{"yes": "active", "no": "inactive"}[ntp])
	case words[0] == "set-timezone" && len(words) == 2:
		return c.setTimezone(words[1])
	case words[0] == "set-ntp" && len(words) == 2:
		on, ok := boolean(words[1])
		if !ok {
			c.errorf("Failed to parse boolean argument: %s\n", words[1])
			return 1
		}
		verb := map[string]string{"1": "enable", "0": "disable"}[on]
		return c.unitChange(verb, []string{"chrony.service"}, true)
	default:
		c.errorf("Unknown command verb %s.\n", words[0])
		return 1
	}
	return 0
}

func (c *call) setTimezone(zone string) int {
	file := "/usr/share/zoneinfo/" + zone
	if strings.Contains(zone, "..") || !c.m.exists(file) {
		c.errorf("Failed to set time zone: Invalid or not installed time zone '%s'\n", zone)
		return 1
	}
	return c.died(c.m.exclusive(func() error {
		if err := os.Remove(c.m.path("/etc/localtime")); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := c.m.link("/etc/localtime", ".."+file); err != nil {
			return err
		}
		if !c.m.exists("/etc/timezone") {
			return nil
		}
		if err := c.m.write("/etc/timezone", []byte(zone+"\n"), 0o644); err != nil {
			return fmt.Errorf("write /etc/timezone: %w", err)
		}
		return nil
	}), 1)
}
