package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// notNumeric is Perl's complaint about arithmetic with a word.
const notNumeric = "Argument \"%s\" isn't numeric in multiplication (*) at /usr/share/perl5/PVE/LXC.pm line %d.\n"

func pctList(p *pctCall) error {
	ids := p.m.containers()
	if len(ids) == 0 {
		return nil
	}
	var rows []string
	for _, id := range ids {
		cfg, err := p.load(id)
		if err != nil {
			continue // destroyed meanwhile
		}
		if memory := cfg.keys["memory"]; memory != "" && !matchInteger(memory) {
			p.errorf(notNumeric, memory, 287)
		}
		state := p.m.containerState(id, cfg)
		rows = append(rows, fmt.Sprintf("%-10d %-10s %-12s %-20s\n", id, state["status"], state["lock"], state["name"]))
	}
	p.printf("%-10s %-10s %-12s %-20s\n%s", "VMID", "Status", "Lock", "Name", strings.Join(rows, ""))
	return nil
}

// containerState is what vmstatus of PVE::LXC says of a container, by field.
func (m *Machine) containerState(id int, cfg *config) map[string]string {
	zero := []string{"disk", "diskread", "diskwrite", "mem", "netin", "netout", "swap", "uptime"}
	s := map[string]string{"vmid": strconv.Itoa(id), "type": "lxc", "status": "stopped"}
	for _, field := range zero {
		s[field] = "0"
	}
	s["name"] = cfg.keys["hostname"]
	if s["name"] == "" {
		s["name"] = "CT" + strconv.Itoa(id)
	}
	s["cpus"] = cfg.keys["cores"]
	if s["cpus"] == "" {
		s["cpus"] = strconv.Itoa(max(1, strings.Count(m.text("/proc/cpuinfo"), "processor\t")))
	}
	mebibytes := func(key string) string {
		n, err := strconv.ParseInt(cfg.keys[key], 10, 64)
		if err != nil {
			n = 512
		}
		return strconv.FormatInt(n<<20, 10)
	}
	s["maxmem"], s["maxswap"] = mebibytes("memory"), mebibytes("swap")
	s["maxdisk"] = "0"
	if root, fault := rootfsSchema().split(cfg.keys["rootfs"]); fault == "" {
		if size, ok := parseSize(root["size"]); ok {
			s["maxdisk"] = strconv.FormatInt(size, 10)
		}
	}
	for _, key := range []string{"lock", "tags", "template"} {
		if v := cfg.keys[key]; v != "" {
			s[key] = v
		}
	}
	if m.running(id) {
		s["status"] = "running"
		maps.Copy(s, map[string]string{"pid": strings.TrimSpace(m.text(pidFile(id))), "disk": "229744640", "mem": "14475264", "netin": "1088", "netout": "1612", "uptime": "13"})
	}
	return s
}

func pctStatus(p *pctCall) error {
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	state := p.m.containerState(p.id, cfg)
	if !p.on("verbose") {
		p.printf("status: %s\n", state["status"])
		return nil
	}
	for _, field := range sortedKeys(state) {
		p.printf("%s: %s\n", field, state[field])
	}
	return nil
}

func pctConfig(p *pctCall) error {
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	shown := cfg.section
	if name := p.args["snapshot"]; name != "" {
		snapshot, ok := cfg.snapshots[name]
		if !ok {
			return die(255, "snapshot '%s' does not exist", name)
		}
		shown = snapshot
	} else if !p.on("current") {
		shown = cfg.withPending()
	}
	faults := map[string]string{}
	for key, value := range shown.keys {
		if o, ok := configKey(key); ok {
			if fault := checkType(o.typ, value); fault != "" {
				faults[key] = fault
			}
		}
	}
	if len(faults) > 0 {
		return failure{255, joinFaults("400 Result verification failed", "", faults) + "\n" + usageOf("config")}
	}
	for _, key := range sortedKeys(shown.keys) {
		p.printf("%s: %s\n", key, shownValue(key, shown.keys[key]))
	}
	for _, kv := range shown.raw {
		p.printf("%s: %s\n", kv[0], kv[1])
	}
	return nil
}

// shownValue is a value on one line.
func shownValue(key, value string) string {
	if key == "description" {
		return encodeText(value)
	}
	return value
}

// withPending is the live section as it will be once the pending changes are made.
func (c *config) withPending() section {
	s := c.section.clone()
	for _, key := range c.deletes() {
		delete(s.keys, key)
	}
	for key, value := range c.pending.keys {
		if key != "delete" {
			s.keys[key] = value
		}
	}
	return s
}

func pctPending(p *pctCall) error {
	cfg, err := p.load(p.id)
	if err != nil {
		return err
	}
	keys := maps.Clone(cfg.keys)
	maps.Copy(keys, cfg.pending.keys)
	delete(keys, "delete")
	deletes := cfg.deletes()
	for _, key := range sortedKeys(keys) {
		word := "cur"
		if slices.Contains(deletes, key) {
			word = "del"
		}
		if value, ok := cfg.keys[key]; ok {
			p.printf("%s %s: %s\n", word, key, shownValue(key, value))
		}
		if value, ok := cfg.pending.keys[key]; ok {
			p.printf("new %s: %s\n", key, shownValue(key, value))
		}
	}
	return nil
}

func pctUnlock(p *pctCall) error {
	return p.locked(255, func() error {
		cfg, err := p.load(p.id)
		if err != nil {
			return err
		}
		if cfg.keys["lock"] == "" {
			return die(255, "no lock found trying to remove any lock")
		}
		delete(cfg.keys, "lock")
		return p.save(p.id, cfg)
	})
}
