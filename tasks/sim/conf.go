package sim

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pendingSection is the section of changes that wait for the container to stop.
const pendingSection = "pve:pending"

// section is one section of a container's configuration.
type section struct {
	// keys has the values; the description is decoded, a line break after each line.
	keys map[string]string
	// raw has the lxc.* lines, in order.
	raw [][2]string
}

// config is a container's configuration: /etc/pve/lxc/ID.conf.
type config struct {
	section
	pending   section
	snapshots map[string]section
	digest    string
}

func (s section) clone() section {
	return section{keys: maps.Clone(s.keys), raw: slices.Clone(s.raw)}
}

func newSection() section { return section{keys: map[string]string{}} }

func newConfig() *config {
	return &config{section: newSection(), pending: newSection(), snapshots: map[string]section{}}
}

// set sets a key, or takes it away when the value is empty.
func (s section) set(key, value string) {
	if value == "" {
		delete(s.keys, key)
		return
	}
	s.keys[key] = value
}

// on reports whether a boolean key is set and true.
func (s section) on(key string) bool { return normalBoolean(s.keys[key]) == "1" }

// numbered lists the keys NAMEn of the section in the order of n.
func (s section) numbered(base string) []string {
	var keys []string
	for key := range s.keys {
		if o, ok := numberedOption(key); ok && strings.TrimRight(o.name, "0123456789") == base {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return number(a) - number(b) })
	return keys
}

// number is the n of a key NAMEn.
func number(key string) int {
	n, err := strconv.Atoi(strings.TrimLeft(key, "abcdefghijklmnopqrstuvwxyz"))
	if err != nil {
		return -1
	}
	return n
}

// deletes is the set of keys that wait to be deleted.
func (c *config) deletes() []string {
	var keys []string
	for _, key := range splitList(c.pending.keys["delete"]) {
		keys = append(keys, strings.TrimPrefix(key, "!"))
	}
	return keys
}

// dropDelete forgets that key waits to be deleted.
func (c *config) dropDelete(key string) {
	keys := slices.DeleteFunc(c.deletes(), func(k string) bool { return k == key })
	c.pending.set("delete", strings.Join(keys, ","))
}

// confParser reads a configuration the way PVE::LXC::Config::parse_pct_config of
// pve-container 5.3.5 does, with its warnings.
type confParser struct {
	id       int
	cfg      *config
	at       section
	name     string
	desc     map[string]string
	warnings []string
}

func parseConfig(id int, data []byte) (*config, []string) {
	sum := sha1.Sum(data)
	p := &confParser{id: id, cfg: newConfig(), desc: map[string]string{}}
	p.cfg.digest = hex.EncodeToString(sum[:])
	p.at = p.cfg.section
	grammar := confGrammar()
	for line := range strings.SplitSeq(string(data), "\n") {
		if strings.TrimSpace(line) != "" {
			p.line(grammar, line)
		}
	}
	p.close()
	return p.cfg, p.warnings
}

// close puts the section that was read in its place.
func (p *confParser) close() {
	if text := p.desc[p.name]; text != "" {
		p.at.keys["description"] = text
	}
	switch p.name {
	case "":
		p.cfg.section = p.at
	case pendingSection:
		p.cfg.pending = p.at
	default:
		p.cfg.snapshots[p.name] = p.at
	}
}

// lineGrammar has the patterns of the lines of a configuration.
type lineGrammar struct{ snapshot, raw, value *regexp.Regexp }

func confGrammar() lineGrammar {
	return lineGrammar{
		snapshot: regexp.MustCompile(`^\[((?i:[a-z][a-z0-9_-]+))\]\s*$`),
		raw:      regexp.MustCompile(`^(lxc\.[a-z0-9_.-]+)(?::|\s*=)\s*(.*?)\s*$`),
		value:    regexp.MustCompile(`^([a-z][a-z_]*\d*):\s*(.+?)\s*$`),
	}
}

func (p *confParser) line(g lineGrammar, line string) {
	open := func(name string) {
		p.close()
		p.name, p.at = name, newSection()
	}
	if strings.EqualFold(strings.TrimSpace(line), "["+pendingSection+"]") {
		open(pendingSection)
		return
	}
	if h := g.snapshot.FindStringSubmatch(line); h != nil {
		open(h[1])
		return
	}
	if text, ok := strings.CutPrefix(line, "#"); ok {
		p.desc[p.name] += decodeText(text) + "\n"
		return
	}
	if v := g.raw.FindStringSubmatch(line); v != nil {
		if rawKey(v[1]) {
			p.at.raw = append(p.at.raw, [2]string{v[1], v[2]})
			return
		}
	} else if v := g.value.FindStringSubmatch(line); v != nil {
		p.value(v[1], v[2])
		return
	}
	p.warnings = append(p.warnings, fmt.Sprintf("vm %d - unable to parse config: %s", p.id, line))
}

func (p *confParser) value(key, value string) {
	if key == "description" {
		p.desc[p.name] += decodeText(value)
		return
	}
	if fault := checkConfigValue(key, value); fault != "" {
		p.warnings = append(p.warnings, fmt.Sprintf("vm %d - unable to parse value of '%s' - %s", p.id, key, fault))
	}
	p.at.keys[key] = value
}

// checkConfigValue is PVE::LXC::Config::check_type: types only, no limits.
func checkConfigValue(key, value string) string {
	o, ok := configKey(key)
	if !ok {
		return "unknown setting '" + key + "'"
	}
	return checkType(o.typ, value)
}

// rawKey reports whether Proxmox takes a raw LXC key from the configuration.
func rawKey(key string) bool {
	for _, family := range []string{
		"lxc.apparmor.", "lxc.cgroup.", "lxc.cgroup2.", "lxc.prlimit.", "lxc.net.", "lxc.console.", "lxc.tty.",
		"lxc.hook.", "lxc.cap.", "lxc.seccomp.", "lxc.log.", "lxc.start.", "lxc.signal.", "lxc.environment.", "lxc.sysctl.",
	} {
		if strings.HasPrefix(key, family) {
			return true
		}
	}
	return slices.Contains([]string{
		"lxc.selinux.context", "lxc.include", "lxc.arch", "lxc.uts.name", "lxc.init.cmd", "lxc.pty.max", "lxc.autodev",
		"lxc.kmsg", "lxc.mount.fstab", "lxc.mount.entry", "lxc.mount.auto", "lxc.rootfs.mount", "lxc.idmap", "lxc.group",
		"lxc.environment",
	}, key)
}

// bytes writes the configuration as Proxmox does: keys sorted, the pending section
// first, then the snapshots by name.
func (c *config) bytes() []byte {
	var b strings.Builder
	c.write(&b)
	if len(c.pending.keys) > 0 {
		b.WriteString("\n[" + pendingSection + "]\n")
		c.pending.write(&b)
	}
	for _, name := range sortedKeys(c.snapshots) {
		b.WriteString("\n[" + name + "]\n")
		c.snapshots[name].write(&b)
	}
	return []byte(b.String())
}

func (s section) write(b *strings.Builder) {
	if text, ok := s.keys["description"]; ok {
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			b.WriteString("#" + encodeText(line) + "\n")
		}
	}
	for _, key := range sortedKeys(s.keys) {
		if key != "description" {
			b.WriteString(key + ": " + s.keys[key] + "\n")
		}
	}
	for _, kv := range s.raw {
		b.WriteString(kv[0] + ": " + kv[1] + "\n")
	}
}

// encodeText is PVE::Tools::encode_text: all but printable ASCII, and '%' and ':',
// is percent-encoded.
func encodeText(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' || c == ':' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func decodeText(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// confDir is where the configurations of the node's containers are.
func (m *Machine) confDir() string { return "/etc/pve/nodes/" + m.Node + "/lxc" }

func (m *Machine) confPath(id int) string { return fmt.Sprintf("%s/%d.conf", m.confDir(), id) }

// containers lists the numbers of the node's containers in order.
func (m *Machine) containers() []int {
	entries, err := os.ReadDir(m.path(m.confDir()))
	if err != nil {
		return nil
	}
	var ids []int
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".conf")
		if id, err := strconv.Atoi(name); ok && err == nil && id >= 100 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
