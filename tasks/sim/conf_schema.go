package sim

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// option is one option of a pct verb, or one key of a container's configuration.
type option struct {
	property
	sub            propSchema // set for a property string
	minLen, maxLen int
	keep           bool // written as typed, although it is a property string
	verbs          string
}

// The verbs an option is for.
const (
	forBoth   = "create set"
	forCreate = "create"
	forSet    = "set"
)

func netSchema() propSchema {
	const name = `^[-_.\w]+$`
	return propSchema{
		{name: "bridge", pattern: name},
		{name: "firewall", typ: "boolean"},
		{name: "gw", format: formatIPv4},
		{name: "gw6", format: formatIPv6},
		{name: "hwaddr", format: formatMAC()},
		{name: "ip", format: formatIPv4Config},
		{name: "ip6", format: formatIPv6Config},
		{name: "link_down", typ: "boolean"},
		{name: "mtu", typ: "integer", min: 64, max: 65535, bounded: true},
		{name: "name", pattern: name, required: true},
		{name: "rate", typ: "number"},
		{name: "tag", typ: "integer", min: 1, max: 4094, bounded: true},
		{name: "trunks"},
		{name: "type", enum: []string{"veth"}},
	}
}

func rootfsSchema() propSchema {
	return propSchema{
		{name: "volume", required: true, byPlace: true, format: formatMountPath},
		{name: "acl", typ: "boolean"},
		{name: "mountoptions"},
		{name: "quota", typ: "boolean"},
		{name: "replicate", typ: "boolean"},
		{name: "ro", typ: "boolean"},
		{name: "shared", typ: "boolean"},
		{name: "size", format: formatDiskSize},
	}
}

func mountSchema() propSchema {
	return append(rootfsSchema(),
		property{name: "mp", required: true, format: formatMountPath},
		property{name: "backup", typ: "boolean"})
}

func deviceSchema() propSchema {
	return propSchema{
		{name: "path", byPlace: true, format: formatDevicePath},
		{name: "deny-write", typ: "boolean"},
		{name: "gid", typ: "integer", minOnly: true},
		{name: "mode", pattern: `^0[0-7]{3}$`},
		{name: "uid", typ: "integer", minOnly: true},
	}
}

func featureSchema() propSchema {
	return propSchema{
		{name: "force_rw_sys", typ: "boolean"},
		{name: "fuse", typ: "boolean"},
		{name: "keyctl", typ: "boolean"},
		{name: "mknod", typ: "boolean"},
		{name: "mount", pattern: `^[a-zA-Z0-9_; ]+$`},
		{name: "nesting", typ: "boolean"},
	}
}

func unusedSchema() propSchema {
	return propSchema{{name: "volume", required: true, byPlace: true, format: formatVolumeID}}
}

// containerOptions are the options of pct create and pct set in pve-container 5.3.5
// that have a fixed name; numbered ones come from numberedOption.
func containerOptions() []option {
	text := func(name string, f format) option {
		return option{property: property{name: name, format: f}, verbs: forBoth}
	}
	flag := func(name, verbs string) option {
		return option{property: property{name: name, typ: "boolean"}, verbs: verbs}
	}
	enum := func(name, values string) option {
		return option{property: property{name: name, enum: strings.Fields(values)}, verbs: forBoth}
	}
	number := func(name, typ string, lowest, highest float64) option {
		return option{property: property{name: name, typ: typ, min: lowest, max: highest, minOnly: true, bounded: highest > 0}, verbs: forBoth}
	}
	only := func(o option, verbs string, lengths ...int) option {
		o.verbs = verbs
		if len(lengths) == 2 {
			o.minLen, o.maxLen = lengths[0], lengths[1]
		}
		return o
	}
	return []option{
		enum("arch", "amd64 i386 arm64 armhf riscv32 riscv64"),
		only(number("bwlimit", "number", 0, 0), forCreate),
		enum("cmode", "shell console tty"),
		flag("console", forBoth),
		number("cores", "integer", 1, 8192),
		number("cpulimit", "number", 0, 8192),
		number("cpuunits", "integer", 0, 500000),
		flag("debug", forBoth),
		only(text("delete", formatList(formatConfigID)), forSet),
		only(text("description", nil), forBoth, 0, 8192),
		only(text("digest", nil), forSet, 0, 40),
		{property: property{name: "features"}, sub: featureSchema(), keep: true, verbs: forBoth},
		flag("force", forCreate),
		text("hookscript", formatVolumeID),
		only(text("hostname", formatDNSName()), forBoth, 0, 255),
		flag("ignore-unpack-errors", forCreate),
		enum("lock", "backup create destroyed disk fstrim migrate mounted rollback snapshot snapshot-delete"),
		number("memory", "integer", 16, 0),
		text("nameserver", formatList(formatIP)),
		text("node", nil),
		flag("onboot", forBoth),
		only(text("ostemplate", nil), forCreate, 0, 255),
		enum("ostype", "debian devuan ubuntu centos fedora opensuse archlinux alpine gentoo nixos unmanaged"),
		only(text("password", nil), forCreate, 5, 0),
		only(text("pool", nil), forCreate),
		flag("protection", forBoth),
		flag("restore", forCreate),
		only(text("revert", formatList(formatConfigID)), forSet),
		{property: property{name: "rootfs"}, sub: rootfsSchema(), verbs: forBoth},
		text("searchdomain", formatList(formatDNSName())),
		only(text("ssh-public-keys", nil), forCreate),
		flag("start", forCreate),
		text("startup", formatStartup()),
		only(text("storage", formatStorageID), forCreate),
		number("swap", "integer", 0, 0),
		text("tags", formatList(formatTag())),
		flag("template", forBoth),
		text("timezone", formatTimezone),
		{property: property{name: "tty", typ: "integer", max: 6, bounded: true}, verbs: forBoth},
		flag("unique", forCreate),
		flag("unprivileged", forBoth),
	}
}

// numberedOption returns the option NAMEn, such as net0.
func numberedOption(name string) (option, bool) {
	base := strings.TrimRight(name, "0123456789")
	digits := name[len(base):]
	if digits == "" || len(digits) > 1 && digits[0] == '0' {
		return option{}, false
	}
	limit := 255
	if base == "net" {
		limit = 31
	}
	n := 0
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || n > limit {
		return option{}, false
	}
	o := option{property: property{name: name}, verbs: forBoth}
	switch base {
	case "net":
		o.sub = netSchema()
	case "mp":
		o.sub = mountSchema()
	case "dev":
		o.sub, o.keep = deviceSchema(), true
	case "unused":
		o.sub = unusedSchema()
	default:
		return option{}, false
	}
	return o, true
}

// findOption returns the option of a container by its exact name.
func findOption(name string) (option, bool) {
	for _, o := range containerOptions() {
		if o.name == name {
			return o, true
		}
	}
	return numberedOption(name)
}

// configKey reports whether name may stand in a configuration file, with its option.
func configKey(name string) (option, bool) {
	switch name {
	case "parent", "snapstate", "delete":
		return option{property: property{name: name}}, true
	case "snaptime":
		return option{property: property{name: name, typ: "integer"}}, true
	}
	notInFile := []string{"digest", "revert", "force", "password", "pool", "start", "storage", "restore", "unique", "ostemplate", "bwlimit", "ssh-public-keys", "ignore-unpack-errors", "node"}
	o, ok := findOption(name)
	return o, ok && !slices.Contains(notInFile, name)
}

// check returns the complaint about a value given on the command line, or "".
func (o option) check(m *Machine, value string) string {
	if o.sub != nil {
		if o.name == "rootfs" && checkType("number", value) == "" {
			return ""
		}
		if _, complaint := o.sub.parse(m, o.name, value); complaint != "" {
			return "invalid format - " + complaint + "\n"
		}
		return ""
	}
	if fault := o.property.check(m, value); fault != "" {
		return fault
	}
	n := utf8.RuneCountInString(value)
	switch {
	case n < o.minLen:
		return fmt.Sprintf("value must be at least %d characters long", o.minLen)
	case o.maxLen > 0 && n > o.maxLen:
		return fmt.Sprintf("value may only be %d characters long", o.maxLen)
	}
	return ""
}
