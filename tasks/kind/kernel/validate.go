package kernel

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/modprobe"
)

var (
	moduleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)
	sysctlName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_:@-]|[./][A-Za-z0-9_])*$`)
	// The shell that reads /etc/default/grub would take the quotes and the dollar, and
	// GRUB's own language the backslash and ; | & < > { } ( ) # * ? [ ].
	cmdlineWord = regexp.MustCompile("^[!%+,./0-9:=@A-Z^_a-z~-]+$")
	// A word that is to go may be one that somebody wrote and GRUB takes apart.
	absentWord = regexp.MustCompile(`^[!#%&()*+,./0-9:;<=>?@A-Z^_a-z|~\[\]{}-]+$`)
	optionWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*(=[!$%&()*+,./0-9:;<=>?@A-Z^_a-z|~\[\]{}-]*)?$`)
)

// Validate returns every fault of the spec. Which modules and parameters exist is known
// on the machine only.
func (s *Spec) Validate() []tasks.Problem {
	v := &validator{}
	v.modules("modules", s.Modules)
	v.modules("blacklist", s.Blacklist)
	for i, m := range s.Modules {
		if has(s.Blacklist, m) {
			v.add(fmt.Sprintf("modules.%d", i), m+" is to be loaded and is in the blacklist", "take it out of modules or of blacklist")
		}
	}
	v.sysctl(s.Sysctl)
	v.cmdline("cmdline", s.Cmdline)
	v.cmdline("cmdline_absent", s.CmdlineAbsent)
	for i, w := range s.CmdlineAbsent {
		if slices.Contains(s.Cmdline, w) {
			v.add(fmt.Sprintf("cmdline_absent.%d", i), w+" must be there and must not", "take it out of cmdline or of cmdline_absent")
		}
	}
	for _, m := range tasks.Keys(s.ModuleOptions) {
		v.options(m, s.ModuleOptions[m])
	}
	return v.problems
}

func has(modules []string, m string) bool {
	return slices.ContainsFunc(modules, func(other string) bool { return modprobe.Canonical(other) == modprobe.Canonical(m) })
}

type validator struct{ problems []tasks.Problem }

func (v *validator) add(path, summary, hint string) {
	v.problems = append(v.problems, tasks.Problem{Path: path, Summary: summary, Hint: hint})
}

func (v *validator) modules(key string, names []string) {
	for i, m := range names {
		at := fmt.Sprintf("%s.%d", key, i)
		switch {
		case !moduleName.MatchString(m):
			v.add(at, fmt.Sprintf("%q is no module name", m), "letters, digits, _ and -; parameters go into module_options")
		case has(names[:i], m):
			v.add(at, m+" is named twice", "")
		}
	}
}

func (v *validator) sysctl(values map[string]Value) {
	seen := make(map[string]string)
	for _, name := range tasks.Keys(values) {
		at, value := "sysctl."+name, string(values[name])
		switch {
		case !sysctlName.MatchString(name):
			v.add(at, fmt.Sprintf("%q is no name of a kernel parameter", name), "write it as below /proc/sys, with dots or slashes: net.ipv4.ip_forward")
		case seen[canonical(name)] != "":
			v.add(at, "is the same parameter as "+seen[canonical(name)], "")
		}
		seen[canonical(name)] = name
		if fold(value) == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			v.add(at, "has no value in one line", `write a number or a text: 10, "1024 65535"`)
		}
	}
}

func (v *validator) cmdline(key string, words []string) {
	for i, w := range words {
		at := fmt.Sprintf("%s.%d", key, i)
		switch {
		case key == "cmdline" && absentWord.MatchString(w) && !cmdlineWord.MatchString(w):
			v.add(at, fmt.Sprintf("%q has a character that GRUB takes for its own", w), "write the word into a file of /etc/default/grub.d by hand, quoted for GRUB and for the shell")
		case !absentWord.MatchString(w):
			v.add(at, fmt.Sprintf("%q is no word of a kernel command line", w), "one word each, without blanks, quotes, $ and \\: intel_iommu=on")
		case slices.Contains(words[:i], w):
			v.add(at, w+" is named twice", "")
		case key == "cmdline" && (strings.HasPrefix(w, "root=") || strings.HasPrefix(w, "BOOT_IMAGE=") || strings.HasPrefix(w, "initrd=")):
			v.add(at, w+" is the boot loader's own matter", "leave it out")
		}
	}
}

func (v *validator) options(module, text string) {
	at := "module_options." + module
	if !moduleName.MatchString(module) {
		v.add(at, fmt.Sprintf("%q is no module name", module), "letters, digits, _ and -")
	}
	words := strings.Fields(text)
	if len(words) == 0 || strings.ContainsAny(text, "\n\r") {
		v.add(at, "has no parameters in one line", `write them as modprobe takes them: "ids=10de:2204 disable_vga=1"`)
		return
	}
	for i, w := range words {
		switch {
		case !optionWord.MatchString(w):
			v.add(at, fmt.Sprintf("%q is no parameter of a module", w), "NAME or NAME=VALUE, without blanks and quotes")
		case module == "zfs" && modprobe.Key(w) == "zfs_arc_max":
			v.add(at, "sets zfs_arc_max, which is kept elsewhere", "use zfs.arc_max_gb")
		case slices.ContainsFunc(words[:i], func(other string) bool { return modprobe.Key(other) == modprobe.Key(w) }):
			v.add(at, "sets "+modprobe.Key(w)+" twice", "")
		}
	}
}
