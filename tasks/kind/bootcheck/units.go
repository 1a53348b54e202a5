package bootcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"phoenix/tasks"
)

// guestsUnit starts the guests at boot.
const guestsUnit = "pve-guests.service"

const unitDir = "/etc/systemd/system"

// unitDirs have unit files, the strongest first.
func unitDirs() []string {
	return []string{unitDir, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// units is what the files of systemd say of what it starts at boot.
type units struct {
	host tasks.Host
	// enabled have a link that makes a boot start them; early those whose link is in a
	// target that everything else waits for.
	enabled, early map[string]bool
}

// readUnits finds what is enabled: a link in a folder TARGET.wants or TARGET.requires.
// What the vendor's folders enable is left out, for nobody turns it off; generated units
// are made of /etc/fstab.
func readUnits(h tasks.Host) (units, error) {
	u := units{host: h, enabled: make(map[string]bool), early: make(map[string]bool)}
	names, err := h.ReadDir(unitDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return u, fmt.Errorf("find the units that are enabled: %w", err)
	}
	for _, dir := range names {
		target, wants := strings.CutSuffix(dir, ".wants")
		if !wants {
			if target, wants = strings.CutSuffix(dir, ".requires"); !wants {
				continue
			}
		}
		links, err := h.ReadDir(path.Join(unitDir, dir))
		if err != nil {
			return u, fmt.Errorf("find the units that are enabled: %w", err)
		}
		for _, unit := range links {
			if u.masked(unit) {
				continue
			}
			u.enabled[unit] = true
			if slices.Contains([]string{"sysinit.target", "basic.target", "local-fs.target", "zfs-import.target", "zfs.target"}, target) {
				u.early[unit] = true
			}
		}
	}
	return u, nil
}

// masked tells whether a unit is made one that never starts.
func (u units) masked(unit string) bool {
	info, err := u.host.Stat(path.Join(unitDir, unit))
	return err == nil && info.Target == "/dev/null"
}

// exists tells whether there is a file of the unit.
func (u units) exists(unit string) bool {
	return slices.ContainsFunc(unitDirs(), func(dir string) bool {
		_, err := u.host.Stat(path.Join(dir, unit))
		return err == nil
	})
}

// text is a unit's file and its drop-ins.
func (u units) text(unit string) string {
	var b strings.Builder
	for _, dir := range unitDirs() {
		if data, err := u.host.ReadFile(path.Join(dir, unit)); err == nil {
			b.Write(data)
			break
		}
	}
	for _, dir := range unitDirs() {
		names, err := u.host.ReadDir(path.Join(dir, unit+".d"))
		if err != nil {
			continue
		}
		for _, n := range names {
			if data, err := u.host.ReadFile(path.Join(dir, unit+".d", n)); err == nil && strings.HasSuffix(n, ".conf") {
				b.WriteString("\n" + string(data))
			}
		}
	}
	return b.String()
}

// beforeGuests tells whether systemd has a unit up before it starts the guests.
func (u units) beforeGuests(unit string) bool {
	after := append(values(u.text(guestsUnit), "After"),
		guestsUnit, "pve-manager.service", "pveproxy.service", "pvestatd.service", "pve-firewall.service", "lxc.service", "basic.target", "sysinit.target", "local-fs.target")
	return u.early[unit] || slices.Contains(after, unit) ||
		slices.ContainsFunc(values(u.text(unit), "Before"), func(b string) bool { return slices.Contains(after, b) })
}

// values are the words of all lines "KEY=…" of a unit.
func values(text, key string) []string {
	var out []string
	for _, line := range tasks.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			out = append(out, strings.Fields(v)...)
		}
	}
	return out
}

// mountUnit is the name that systemd gives to the unit of a mount: slashes are dashes,
// and what is neither a letter nor a digit nor one of ":_." is escaped.
func mountUnit(at string) string {
	p := strings.Trim(at, "/")
	if p == "" {
		return "-.mount"
	}
	var b strings.Builder
	for i := range len(p) {
		switch c := p[i]; {
		case c == '/':
			b.WriteByte('-')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ':', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + ".mount"
}
