package lxc

import (
	"strconv"
	"strings"
	"unicode"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// values are the options of a container's configuration by name.
type values map[string]string

// field is one managed property: where it stands in the configuration, what it is
// to be, and what changing it costs.
type field struct {
	path string // of the Spec
	key  string // option of the configuration: "memory", "net0"
	sub  string // key inside the option's property string; empty for the whole option
	want string // in canonical form
	def  string // canonical form of an absent value
	// write is what is handed to pct; empty means that want is. A sub that is to be
	// at its default is taken out instead.
	write  string
	canon  func(string) string
	effect tasks.Effect // while the container runs
	note   string
}

// present is the canonical value found.
func (f *field) present(v values) string {
	raw, ok := v[f.key]
	if ok && f.sub != "" {
		def, _ := shape(f.key)
		p, err := pve.ParsePropertyString(raw, def)
		if err != nil {
			return raw
		}
		raw, ok = p.Get(f.sub)
	}
	if !ok {
		return f.def
	}
	if f.canon == nil {
		return raw
	}
	return f.canon(raw)
}

// shape is how the property string of an option is read and written: its default key
// and the keys that come first.
func shape(key string) (defaultKey string, first []string) {
	switch strings.TrimRightFunc(key, unicode.IsDigit) {
	case "rootfs", "mp", "unused":
		return "volume", []string{"mp"}
	case "dev":
		return "path", nil
	case "net":
		return "", []string{"name"}
	case "startup":
		return "order", nil
	}
	return "", nil
}

// fieldList collects fields.
type fieldList []field

func (l *fieldList) text(path, key, want string, effect tasks.Effect) {
	if want != "" {
		*l = append(*l, field{path: path, key: key, want: want, effect: effect})
	}
}

func (l *fieldList) number(path, key, sub string, want *int, def string, effect tasks.Effect) {
	if want != nil {
		*l = append(*l, field{path: path, key: key, sub: sub, want: strconv.Itoa(*want), def: def, canon: canonNumber, effect: effect})
	}
}

func (l *fieldList) boolean(path, key, sub string, want *bool, def bool, effect tasks.Effect) {
	if want == nil {
		return
	}
	write := "0"
	if *want {
		write = "1"
	}
	*l = append(*l, field{
		path: path, key: key, sub: sub, want: strconv.FormatBool(*want), def: strconv.FormatBool(def),
		write: write, canon: canonBool, effect: effect,
	})
}

// positive is a number that is managed when it is not 0.
func positive(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func canonBool(s string) string {
	if b, ok := pve.ParseBool(s); ok {
		return strconv.FormatBool(b)
	}
	return s
}

func canonNumber(s string) string {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func canonList(s string) string { return strings.Join(pve.ParseList(s), " ") }

func canonTags(s string) string { return strings.Join(pve.ParseTags(s), ";") }

// scalars are the properties that do not belong to an interface, a mount or a
// device. Effects are those of vmconfig_hotplug_pending (pve-container 5.3.5).
func (s *Spec) scalars() []field {
	var l fieldList
	l.text("name", "hostname", s.Name, tasks.EffectLive)
	if s.Name != "" {
		l[len(l)-1].note = "the system inside takes the name at its next start"
	}
	if s.Description != nil {
		want := strings.TrimRight(*s.Description, "\n")
		l = append(l, field{path: "description", key: "description", want: want, canon: canonDescription, effect: tasks.EffectLive})
	}
	if s.Tags != nil {
		want := canonTags(strings.Join(s.Tags, ";"))
		l = append(l, field{path: "tags", key: "tags", want: want, canon: canonTags, effect: tasks.EffectLive})
	}
	s.resources(&l)
	s.features(&l)
	l.list("nameserver", "nameserver", s.Nameserver)
	l.list("searchdomain", "searchdomain", s.Searchdomain)
	l.boolean("start_at_boot", "onboot", "", s.StartAtBoot, false, tasks.EffectLive)
	l.number("boot_order", "startup", "order", s.BootOrder, "", tasks.EffectLive)
	l.number("boot_delay_s", "startup", "up", s.BootDelayS, "0", tasks.EffectLive)
	l.number("shutdown_timeout_s", "startup", "down", s.ShutdownTimeoutS, "180", tasks.EffectLive)
	l.boolean("protection", "protection", "", s.Protection, false, tasks.EffectLive)
	l.text("timezone", "timezone", s.Timezone, tasks.EffectRestart)
	l.boolean("console", "console", "", s.Console, true, tasks.EffectRestart)
	if s.ConsoleMode != "" {
		l = append(l, field{path: "console_mode", key: "cmode", want: s.ConsoleMode, def: "tty", effect: tasks.EffectRestart})
	}
	l.number("tty_count", "tty", "", s.TTYCount, "2", tasks.EffectRestart)
	l.text("hookscript", "hookscript", s.Hookscript, tasks.EffectLive)
	l.text("os_type", "ostype", s.OSType, tasks.EffectRestart)
	l.text("arch", "arch", s.Arch, tasks.EffectRestart)
	if s.Rootfs != nil {
		l.mountFlags("rootfs.", "rootfs", *s.Rootfs)
	}
	return l
}

func (l *fieldList) list(path, key, want string) {
	if want != "" {
		*l = append(*l, field{path: path, key: key, want: canonList(want), canon: canonList, effect: tasks.EffectRestart})
	}
}

func (s *Spec) resources(l *fieldList) {
	l.number("memory_mb", "memory", "", positive(s.MemoryMB), strconv.Itoa(defaultMemoryMB), tasks.EffectLive)
	l.number("swap_mb", "swap", "", s.SwapMB, "512", tasks.EffectLive)
	l.number("cores", "cores", "", positive(s.Cores), "", tasks.EffectLive)
	if s.CPULimit != nil {
		want := strconv.FormatFloat(*s.CPULimit, 'f', -1, 64)
		*l = append(*l, field{path: "cpu_limit", key: "cpulimit", want: want, def: "0", canon: canonNumber, effect: tasks.EffectLive})
	}
	l.number("cpu_units", "cpuunits", "", s.CPUUnits, "100", tasks.EffectLive)
}

func (s *Spec) features(l *fieldList) {
	f := s.PctOptions
	if f == nil {
		return
	}
	l.boolean("pct_options.nesting", "features", "nesting", f.Nesting, false, tasks.EffectRestart)
	l.boolean("pct_options.keyctl", "features", "keyctl", f.Keyctl, false, tasks.EffectRestart)
	l.boolean("pct_options.fuse", "features", "fuse", f.Fuse, false, tasks.EffectRestart)
	l.boolean("pct_options.mknod", "features", "mknod", f.Mknod, false, tasks.EffectRestart)
	l.boolean("pct_options.force_rw_sys", "features", "force_rw_sys", f.ForceRWSys, false, tasks.EffectRestart)
	l.words("pct_options.mount", "features", "mount", f.Mount)
}

// words is a set inside a property string; an empty one takes the key away.
func (l *fieldList) words(path, key, sub string, want []string) {
	if want != nil {
		to := canonTypes(strings.Join(want, ";"))
		*l = append(*l, field{path: path, key: key, sub: sub, want: to, canon: canonTypes, effect: tasks.EffectRestart})
	}
}

// canonTypes orders a list of file system types, whose case matters.
func canonTypes(s string) string {
	types := pve.ParseList(s)
	sortUnique(&types)
	return strings.Join(types, ";")
}
