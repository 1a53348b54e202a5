package inventory

import (
	"fmt"
	"strings"

	"phoenix/inventory/diag"
	"phoenix/inventory/document"
)

// counterpart is what a part of the schema has for a name of Proxmox: a key, or a reason
// why there is none.
type counterpart struct{ key, note string }

// foreignNames are names that Proxmox has and the schema has not, by the part of the schema.
// One with N stands for any number, "lxc." for whatever begins so.
func foreignNames(schema string) map[string]counterpart {
	_, part, _ := strings.Cut(schema, "#/$defs/")
	flags := map[string]counterpart{"ro": {key: "read_only"}, "mountoptions": {key: "mount_options"}}
	switch part {
	case "container":
		return containerNames()
	case "interface", "container/properties/network_config":
		return map[string]counterpart{
			"hwaddr": {key: "mac_address"}, "mac": {key: "mac_address"}, "macaddr": {key: "mac_address"}, "tag": {key: "vlan"}, "rate": {key: "rate_mbs"},
			"gateway": {key: "gw"}, "gateway6": {key: "gw6"}, "type": {note: "every interface is a veth"},
		}
	case "mount_flags":
		flags["size"] = counterpart{note: "storage_size_gb of the container is its size"}
		flags["volume"] = counterpart{note: "storage_pool of the container is where it lies"}
	case "volume":
		flags["size"] = counterpart{key: "size_gb"}
		flags["mp"] = counterpart{key: "container_path"}
		flags["volume"] = counterpart{"storage", "it is allocated there with size_gb"}
	case "mount_point":
		flags["volume"] = counterpart{key: "host_path"}
		flags["mp"] = counterpart{key: "container_path"}
		flags["size"] = counterpart{note: "a directory has no size; what is allocated on a storage stands under volumes"}
		flags["backup"] = counterpart{note: "Proxmox never backs up a directory of the host"}
	case "device":
		return map[string]counterpart{"deny-write": {key: "deny_write"}}
	case "firewall", "firewall_rule":
		return map[string]counterpart{"enable": {key: "enabled"}}
	case "health_check":
		return map[string]counterpart{"cmd": {key: "command"}, "url": {note: "http: { \"url\": … } asks a web server"}, "port": {note: "tcp: { \"address\": \"HOST:PORT\" } asks for a connection"}}
	default:
		return nil
	}
	return flags
}

func containerNames() map[string]counterpart {
	return map[string]counterpart{
		"hostname": {key: "name"}, "onboot": {key: "start_at_boot"}, "ostemplate": {key: "template"}, "ostype": {key: "os_type"},
		"memory": {key: "memory_mb"}, "swap": {key: "swap_mb"}, "cpulimit": {key: "cpu_limit"}, "cpuunits": {key: "cpu_units"},
		"tty": {key: "tty_count"}, "cmode": {key: "console_mode"}, "storage": {key: "storage_pool"}, "size": {key: "storage_size_gb"},
		"startup": {"boot_order", "with boot_delay_s and shutdown_timeout_s"},
		"netN":    {"network_config", "a list of interfaces, net0 first"},
		"mpN":     {"mount_points", "directories of the host; what is allocated on a storage stands under volumes"},
		"devN":    {"devices", "a list"},
		"nesting": {"pct_options", `{"nesting": true}`}, "keyctl": {"pct_options", `{"keyctl": true}`},
		"lxc.idmap": {"idmap", "a list of ranges"}, "lxc.apparmor.profile": {key: "apparmor_profile"},
		"lxc.":            {"lxc_options", `a list of lines, "lxc.KEY: VALUE"`},
		"password":        {note: "it would stand in the file; enter with pct enter and set it there"},
		"ssh-public-keys": {note: "Proxmox takes them only when it makes a container; have them in the template"},
		"pool":            {note: "membership of a pool is left as it is"},
		"vmid":            {note: "the number is the key of the entry in lxc_configs"},
		"lock":            {note: "Proxmox sets and clears it"},
		"unusedN":         {note: "volumes that are no longer mounted are left as they are"},
		"entrypoint":      {note: "it is left as it is"}, "env": {note: "it is left as it is"}, "debug": {note: "it is left as it is"},
	}
}

// meant is the hint at an unknown key: what the part of the schema calls what Proxmox calls so,
// or the nearest key that it knows.
func meant(schema, key string, known []string) string {
	names := foreignNames(schema)
	c, found := names[key]
	if bare := strings.TrimRight(key, "0123456789"); !found && bare != key {
		c, found = names[bare+"N"]
	}
	if !found && strings.HasPrefix(key, "lxc.") {
		c, found = names["lxc."]
	}
	switch {
	case !found:
		return diag.DidYouMean(key, known)
	case c.key == "":
		return "phoenix has no such key: " + c.note
	case c.note == "":
		return "did you mean " + c.key + "?"
	}
	return "did you mean " + c.key + "? " + c.note
}

// swapped recognises the one configuration in the place of the other: it has no key that
// only its own schema has, and one that only the other's has.
func (s schemaSet) swapped(root *document.Node, schema string) (diag.Diagnostic, bool) {
	other, ok := map[string]string{"hypervisor": "lxc", "lxc": "hypervisor"}[schema]
	foreign := false
	for _, m := range root.Members {
		switch own, theirs := s.has(schema, m.Key), s.has(other, m.Key); {
		case own && !theirs:
			ok = false
		case theirs && !own:
			foreign = true
		}
	}
	if !ok || !foreign {
		return diag.Diagnostic{}, false
	}
	return root.Fault(fmt.Sprintf("is a file for %s, not for %s", other, schema),
		fmt.Sprintf("name it under %s in the inventory; are the two swapped?", other)), true
}
