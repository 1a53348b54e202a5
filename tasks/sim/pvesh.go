package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pvesh reads the API (PVE::CLI::pvesh, pve-manager 8.4.21). The simulated one only
// reads: get and ls of what the families may ask for.
func pvesh(c *call) int {
	options := []cliOption{
		{"output-format", "text|json|json-pretty|yaml"}, {"human-readable", "boolean"}, {"noborder", "boolean"}, {"noheader", "boolean"},
		{"quiet", "boolean"}, {"type", "string"}, {"vmid", "string"}, {"content", "string"}, {"storage", "string"}, {"enabled", "boolean"},
	}
	path := []string{"api_path"}
	refuse := func(c *call, a cliArgs) int {
		c.errorf("No '%s' handler defined for '%s'\n", c.argv[1], a["api_path"])
		return 1
	}
	return cliProgram{name: "pvesh", code: 2, verbs: []cliVerb{
		{usage: "pvesh create <api_path> [OPTIONS] [FORMAT_OPTIONS]", fixed: path, options: options, run: refuse},
		{usage: "pvesh delete <api_path> [OPTIONS] [FORMAT_OPTIONS]", fixed: path, options: options, run: refuse},
		{usage: "pvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]", fixed: path, options: options, run: pveshGet},
		{usage: "pvesh ls <api_path> [OPTIONS] [FORMAT_OPTIONS]", fixed: path, options: options, run: pveshList},
		{usage: "pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]", fixed: path, options: options, run: refuse},
		{usage: "pvesh usage <api_path> [OPTIONS]", fixed: path, run: refuse},
	}}.run(c)
}

// apiError is what pvesh says on stderr, and the status it leaves.
type apiError struct {
	code int
	text string
}

func (e *apiError) Error() string { return e.text }

func pveshGet(c *call, a cliArgs) int {
	v, err := c.api(strings.Split(strings.Trim(a["api_path"], "/"), "/"), a)
	if err != nil {
		c.errorf("%s\n", err.text)
		return err.code
	}
	switch a["output-format"] {
	case "json":
		c.printf("%s\n", jsonText(v, false))
	case "json-pretty":
		c.printf("%s\n", jsonText(v, true))
	case "yaml":
		c.printf("---\n%s", yamlText(v))
	default:
		c.printf("%s", plainText(v))
	}
	return 0
}

// api answers one path.
func (c *call) api(path []string, a cliArgs) (any, *apiError) {
	switch strings.Join(path, "/") {
	case "version":
		v := c.m.versions()
		return map[string]any{"release": c.m.Release, "repoid": v.repoid, "version": v.manager}, nil
	case "cluster/nextid":
		return c.nextID(a["vmid"])
	case "cluster/resources":
		return c.resources(a["type"]), nil
	case "nodes":
		return []any{map[string]any{"id": "node/" + c.m.Node, "node": c.m.Node, "ssl_fingerprint": fingerprintOf(c.m.Node), "status": "online", "type": "node"}}, nil
	}
	if len(path) < 2 || path[0] != "nodes" {
		return nil, &apiError{1, "No 'get' handler defined for '" + a["api_path"] + "'"}
	}
	if path[1] != "localhost" && path[1] != c.m.Node {
		return nil, &apiError{11, fmt.Sprintf("hostname lookup '%[1]s' failed - failed to get address info for: %[1]s: Temporary failure in name resolution", path[1])}
	}
	return c.apiNode(path[2:], a)
}

func (c *call) apiNode(path []string, a cliArgs) (any, *apiError) {
	switch {
	case len(path) == 1 && path[0] == "lxc":
		list := []any{}
		for _, id := range c.m.containers() {
			list = append(list, c.containerFields(id))
		}
		return list, nil
	case len(path) >= 3 && path[0] == "lxc":
		return c.apiContainer(path[1], path[2:], a["api_path"])
	case len(path) == 1 && path[0] == "storage":
		return c.apiStorages(a["content"]), nil
	case len(path) == 3 && path[0] == "storage" && path[2] == "content":
		s, ok := c.m.storage(path[1])
		if !ok {
			return nil, &apiError{255, fmt.Sprintf("storage '%s' does not exist", path[1])}
		}
		list := []any{}
		for _, v := range c.m.contents(s) {
			if a["content"] == "" || a["content"] == v.kind {
				list = append(list, contentFields(v))
			}
		}
		return list, nil
	}
	return nil, &apiError{1, "No 'get' handler defined for '" + a["api_path"] + "'"}
}

func contentFields(v volumeInfo) map[string]any {
	fields := map[string]any{"content": v.kind, "ctime": v.changed, "format": v.format, "size": v.size, "volid": v.id}
	if n, err := strconv.Atoi(v.vmid); err == nil {
		fields["vmid"] = n
	}
	return fields
}

func (c *call) nextID(wanted string) (any, *apiError) {
	guests := c.m.guests()
	if wanted != "" {
		n, err := strconv.Atoi(wanted)
		if err == nil && slices.Contains(guests, n) {
			return nil, &apiError{2, complaint("vmid: VM "+wanted+" already exists") + "pvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]"}
		}
		return wanted, nil
	}
	n := 100
	for slices.Contains(guests, n) {
		n++
	}
	return strconv.Itoa(n), nil
}

// containerFields is one entry of the list of containers, numbers as numbers.
func (c *call) containerFields(id int) map[string]any {
	data, err := c.m.read(c.m.confPath(id))
	if err != nil {
		return nil
	}
	cfg, _ := parseConfig(id, data)
	return numbers(c.m.containerState(id, cfg), "name", "status", "type", "lock", "tags")
}

// numbers turns values into numbers where they are, but for those of the fields that
// hold words.
func numbers(fields map[string]string, words ...string) map[string]any {
	out := map[string]any{}
	for k, v := range fields {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && !slices.Contains(words, k) {
			out[k] = n
		} else {
			out[k] = v
		}
	}
	if _, there := fields["mem"]; there {
		out["cpu"] = 0
	}
	return out
}

// resources lists what the cluster has. Containers are those of this node.
func (c *call) resources(kind string) []any {
	list := []any{}
	if kind != "" && kind != "vm" {
		return list
	}
	for _, id := range c.m.containers() {
		fields := c.containerFields(id)
		fields["id"], fields["node"], fields["maxcpu"] = fmt.Sprintf("lxc/%d", id), c.m.Node, fields["cpus"]
		if fields["template"] == nil {
			fields["template"] = 0
		}
		for _, k := range []string{"cpus", "maxswap", "swap", "pid", "lock"} {
			delete(fields, k)
		}
		list = append(list, fields)
	}
	return list
}

func (c *call) apiContainer(word string, path []string, full string) (any, *apiError) {
	id, err := strconv.Atoi(word)
	if err != nil {
		return nil, &apiError{1, "No 'get' handler defined for '" + full + "'"}
	}
	data, err := c.m.read(c.m.confPath(id))
	if err != nil {
		return nil, &apiError{2, fmt.Sprintf("Configuration file 'nodes/%s/lxc/%d.conf' does not exist", c.m.Node, id)}
	}
	cfg, _ := parseConfig(id, data)
	switch strings.Join(path, "/") {
	case "config":
		return apiConfig(cfg), nil
	case "status/current":
		fields := c.containerFields(id)
		fields["ha"] = map[string]any{"managed": 0}
		return fields, nil
	case "pending":
		return apiPending(cfg), nil
	case "snapshot":
		return c.apiSnapshots(id, cfg), nil
	}
	return nil, &apiError{1, "No 'get' handler defined for '" + full + "'"}
}

// apiWords are the options whose values stay text although they may look like
// numbers.
func apiWords() []string {
	return []string{"hostname", "description", "tags", "cpulimit", "startup", "nameserver", "searchdomain", "timezone"}
}

func apiConfig(cfg *config) map[string]any {
	out := numbers(cfg.withPending().keys, apiWords()...)
	out["digest"] = cfg.digest
	if len(cfg.raw) > 0 {
		raw := []any{}
		for _, kv := range cfg.raw {
			raw = append(raw, []any{kv[0], kv[1]})
		}
		out["lxc"] = raw
	}
	return out
}

func apiPending(cfg *config) []any {
	live, waiting := numbers(cfg.keys, apiWords()...), numbers(cfg.pending.keys, apiWords()...)
	entries := map[string]map[string]any{"digest": {"key": "digest", "value": cfg.digest}}
	at := func(key string) map[string]any {
		if entries[key] == nil {
			entries[key] = map[string]any{"key": key}
		}
		return entries[key]
	}
	for k, v := range live {
		at(k)["value"] = v
	}
	for k, v := range waiting {
		if k != "delete" {
			at(k)["pending"] = v
		}
	}
	for _, k := range cfg.deletes() {
		at(k)["delete"] = 1
	}
	list := []any{}
	for _, k := range sortedKeys(entries) {
		list = append(list, entries[k])
	}
	return list
}

func (c *call) apiSnapshots(id int, cfg *config) []any {
	list := []any{}
	for _, name := range sortedKeys(cfg.snapshots) {
		s := numbers(cfg.snapshots[name].keys)
		entry := map[string]any{"name": name, "description": cfg.snapshots[name].keys["description"], "snaptime": s["snaptime"]}
		if parent := s["parent"]; parent != nil {
			entry["parent"] = parent
		}
		list = append(list, entry)
	}
	current := map[string]any{"name": "current", "description": "You are here!", "digest": cfg.digest, "running": 0}
	if c.m.running(id) {
		current["running"] = 1
	}
	if parent := cfg.keys["parent"]; parent != "" {
		current["parent"] = parent
	}
	return append(list, current)
}

func (c *call) apiStorages(content string) []any {
	list := []any{}
	all := c.m.storages()
	slices.SortFunc(all, func(x, y storage) int { return strings.Compare(x.id, y.id) })
	for _, s := range all {
		if content != "" && !s.content[content] || !s.onNode(c.m.Node) {
			continue
		}
		fields := map[string]any{"storage": s.id, "type": s.typ, "content": strings.Join(c.m.contentList(s), ","), "enabled": 1, "active": 0, "shared": 0}
		if s.props["shared"] == "1" || s.typ == "nfs" || s.typ == "cifs" {
			fields["shared"] = 1
		}
		status, total, used, free := c.state(s)
		if status == "disabled" {
			fields["enabled"] = 0
		}
		if status == "active" {
			fields["active"] = 1
			fields["total"], fields["used"], fields["avail"] = total<<10, used<<10, free<<10
			fields["used_fraction"] = float64(used) / float64(total)
		}
		list = append(list, fields)
	}
	return list
}
