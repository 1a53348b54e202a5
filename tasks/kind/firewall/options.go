package firewall

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks/pve"
)

// option is one option of a file that is managed: where it stands in the spec, its
// name for Proxmox, what is wanted, and what its absence means.
type option struct{ path, key, want, absent string }

// format tells whether a value can be one of an option, and how it looks.
type format struct {
	ok    func(string) bool
	looks string
}

func matches(pattern string) func(string) bool { return regexp.MustCompile(pattern).MatchString }

func flagFormat() format { return format{matches(`^[01]$`), `"0" or "1"`} }

func numberFormat() format { return format{matches(`^[0-9]{1,10}$`), "a number in quotes"} }

func levelFormat() format {
	return format{func(s string) bool { return slices.Contains(levels(), s) }, strings.Join(levels(), ", ")}
}

// levels of the log (pve-firewall 5.1).
func levels() []string {
	return []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog"}
}

// clusterFormats are the options of cluster.fw that have no key of their own.
func clusterFormats() map[string]format {
	return map[string]format{
		"ebtables":      flagFormat(),
		"log_ratelimit": {matches(`^(enable=)?[01](,(rate=[0-9]+/(second|minute|hour|day)|burst=[0-9]+))*$`), "enable=1,rate=1/second,burst=5"},
	}
}

// hostFormats are the options of host.fw.
func hostFormats() map[string]format {
	out := map[string]format{
		"nf_conntrack_helpers":                 {matches(`^[a-z0-9-]+([,;][a-z0-9-]+)*$`), "ftp,tftp"},
		"nf_conntrack_tcp_timeout_established": {atLeast(7875), "seconds, at least 7875"},
		"nf_conntrack_tcp_timeout_syn_recv":    {matches(`^([345][0-9]|60)$`), "seconds, from 30 to 60"},
		"nf_conntrack_max":                     {atLeast(32768), "a number, at least 32768"},
	}
	for _, k := range []string{
		"enable", "nosmurfs", "tcpflags", "ndp", "nftables", "nf_conntrack_allow_invalid", "protection_synflood", "log_nf_conntrack",
	} {
		out[k] = flagFormat()
	}
	for _, k := range []string{"protection_synflood_rate", "protection_synflood_burst"} {
		out[k] = numberFormat()
	}
	for _, k := range []string{"log_level_in", "log_level_out", "log_level_forward", "smurf_log_level", "tcp_flags_log_level"} {
		out[k] = levelFormat()
	}
	return out
}

func atLeast(n int) func(string) bool {
	return func(s string) bool {
		got, err := strconv.Atoi(s)
		return err == nil && got >= n && numberFormat().ok(s)
	}
}

// options are the managed ones, in a stable order.
func (c *Cluster) options() []option {
	var out []option
	if c.Enabled != nil {
		want := map[bool]string{true: "1", false: "0"}[*c.Enabled]
		out = append(out, option{"enabled", "enable", want, "0"})
	}
	for _, p := range []option{
		{"policy_in", "policy_in", c.PolicyIn, "DROP"},
		{"policy_out", "policy_out", c.PolicyOut, "ACCEPT"},
		{"policy_forward", "policy_forward", c.PolicyForward, "ACCEPT"},
	} {
		if p.want != "" {
			out = append(out, p)
		}
	}
	return append(out, named(c.Options, map[string]string{"ebtables": "1"})...)
}

// named are options that are written with Proxmox's own names.
func named(values, absent map[string]string) []option {
	var out []option
	for _, k := range slices.Sorted(maps.Keys(values)) {
		out = append(out, option{"options." + k, k, values[k], absent[k]})
	}
	return out
}

// canonical is a value of an option in one way of writing it.
func canonical(key, value string) string {
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
