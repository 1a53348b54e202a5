package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Option is one option of a file that is managed: where it stands in the spec, its name
// for Proxmox, what is wanted, and what its absence means.
type Option struct{ Path, Key, Want, Absent string }

// Levels of the log (pve-firewall 5.1).
func Levels() []string {
	return []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog"}
}

// CheckLevel refuses what is no level of the log.
func CheckLevel(out *tasks.Problems, path, value string) {
	if !slices.Contains(Levels(), value) {
		out.Add(path, fmt.Sprintf("%q is no level", value), strings.Join(Levels(), ", "))
	}
}

// Switch adds an option that is on or off; nil is not managed.
func Switch(out []Option, path, key string, on *bool, absent string) []Option {
	if on == nil {
		return out
	}
	want := "0"
	if *on {
		want = "1"
	}
	return append(out, Option{path, key, want, absent})
}

// Texts adds those of the options that are managed: an empty one is not.
func Texts(out []Option, options ...Option) []Option {
	return append(out, slices.DeleteFunc(options, func(o Option) bool { return o.Want == "" })...)
}

// Canonical is a value of an option in one way of writing it.
func Canonical(key, value string) string {
	switch {
	case key == "log_ratelimit":
		parts := pve.SplitSet(value)
		for i, p := range parts {
			if !strings.Contains(p, "=") {
				parts[i] = "enable=" + p
			}
		}
		slices.Sort(parts)
		return strings.Join(parts, ",")
	case key == "enable" && value != "1":
		return "0" // Proxmox takes a time for "on until then", and that has passed
	case strings.HasPrefix(key, "policy_"):
		return strings.ToUpper(value)
	}
	return value
}
