package sim

import (
	"fmt"
	"slices"
	"strings"
)

// name is what compose calls the container of a service.
func (k dockerContainer) name() string { return k.Project + "-" + k.Service + "-1" }

// composed finds a container of a project by its name or the beginning of its ID.
func (m *Machine) composed(name string) (dockerContainer, bool) {
	all := m.dockerRead().Containers
	i := slices.IndexFunc(all, func(k dockerContainer) bool {
		return k.name() == name || len(name) >= 12 && strings.HasPrefix(k.ID, name)
	})
	if i < 0 {
		return dockerContainer{}, false
	}
	return all[i], true
}

// dockerComposed starts and stops a container of a project. Nothing runs in it, so it has
// logged nothing.
func (c *call) dockerComposed(verb string, of dockerContainer) int {
	if verb == "logs" {
		return 0
	}
	c.printf("%s\n", c.argv[len(c.argv)-1])
	return c.dockerChange(func(kept *dockerKept) error {
		for i := range kept.Containers {
			if k := &kept.Containers[i]; k.ID == of.ID {
				k.State, k.Status = "running", "Up 2 seconds"
				if verb == "stop" {
					k.State, k.Status = "exited", "Exited (0) 2 seconds ago"
				}
			}
		}
		return nil
	})
}

// dockerPs lists containers: for a program as compose's own go template asks for it, for
// people as a table, with -a those that do not run, too, and with -q their IDs alone.
func (c *call) dockerPs() int {
	list := c.m.dockerRead().Containers
	words := c.argv[2:]
	if slices.Contains(words, "--format") {
		for _, k := range list {
			c.printf("%s\t%s\t%s\t%s\t%s\t%s\tFalse\n", k.ID, k.Project, k.Service, k.Hash, k.State, k.Status)
		}
		return 0
	}
	type row struct{ id, image, status, ports, name string }
	var rows []row
	for _, k := range list {
		rows = append(rows, row{k.ID, k.Image, k.Status, strings.Join(k.Ports, ", "), k.name()})
	}
	boxes := c.m.boxes()
	for _, name := range sortedKeys(boxes) {
		b := boxes[name]
		r := row{b.ID, b.Config.Image, "Exited (0) 2 seconds ago", "", name}
		if b.State.Running {
			r.status = "Up 2 seconds"
			for _, inside := range sortedKeys(b.HostConfig.PortBindings) {
				for _, p := range b.HostConfig.PortBindings[inside] {
					r.ports = strings.TrimPrefix(r.ports+", 0.0.0.0:"+p.HostPort+"->"+inside, ", ")
				}
			}
		}
		rows = append(rows, r)
	}
	flags := ""
	for _, w := range words {
		switch {
		case w == "--all" || w == "--quiet":
			flags += w[2:3]
		case len(w) > 1 && w[0] == '-' && strings.Trim(w[1:], "aq") == "":
			flags += w[1:]
		default:
			c.errorf("unknown flag: %s (the simulated one knows -a and -q)\n", w)
			return 125
		}
	}
	quiet := strings.Contains(flags, "q")
	if !quiet {
		c.printf("%-12s   %-30s   %-24s   %-26s   %s\n", "CONTAINER ID", "IMAGE", "STATUS", "PORTS", "NAMES")
	}
	for _, r := range rows {
		switch {
		case !strings.HasPrefix(r.status, "Up") && !strings.Contains(flags, "a"):
		case quiet:
			c.printf("%.12s\n", r.id)
		default:
			c.printf("%-12.12s   %-30s   %-24s   %-26s   %s\n", r.id, r.image, r.status, r.ports, r.name)
		}
	}
	return 0
}

// composeFault is what compose says of a file that is no mapping of mappings, as yaml.v3
// and compose-go word it. It reads YAML as far as telling that takes: lines that are
// neither a key nor an item, unless they go on with a text above.
func composeFault(text string) string {
	within, open, valued, service := -1, 0, -1, ""
	top := false
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if trimmed == "" || trimmed[0] == '#' || trimmed == "---" || within >= 0 && indent > within {
			continue
		}
		within = -1
		if strings.HasPrefix(line[indent:], "\t") {
			return fmt.Sprintf("yaml: line %d: found character that cannot start any token", i+1)
		}
		deep := open > 0
		open += strings.Count(trimmed, "{") + strings.Count(trimmed, "[") - strings.Count(trimmed, "}") - strings.Count(trimmed, "]")
		if deep || valued >= 0 && indent > valued {
			continue
		}
		item := trimmed == "-" || strings.HasPrefix(trimmed, "- ")
		key, value, keyed := strings.Cut(strings.TrimPrefix(trimmed, "- ")+" ", ": ")
		if value = strings.TrimSpace(value); item && !keyed {
			value = strings.TrimSpace(trimmed[1:])
		}
		switch {
		case indent == 0 && (item || !keyed && !top):
			return "top-level object must be a mapping"
		case !keyed && !item && service != "" && indent == 4:
			return "services." + service + " must be a mapping"
		case !keyed && !item:
			return fmt.Sprintf("yaml: line %d: could not find expected ':'", i+1)
		}
		top = true
		valued = -1
		if strings.HasPrefix(value, "|") || strings.HasPrefix(value, ">") {
			within = indent
		} else if value != "" && value[0] != '#' && value[0] != '&' {
			valued = indent
		}
		service = ""
		if indent == 2 && value == "" && !item {
			service = strings.Trim(strings.TrimSpace(key), `"'`)
		}
	}
	return ""
}
