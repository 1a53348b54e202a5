package firewall

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/ruleset"
)

// format tells whether a value can be one of an option, and how it looks.
type format struct {
	ok    func(string) bool
	looks string
}

func matches(pattern string) func(string) bool { return regexp.MustCompile(pattern).MatchString }

func flagFormat() format { return format{matches(`^[01]$`), `"0" or "1"`} }

func numberFormat() format { return format{matches(`^[0-9]{1,10}$`), "a number in quotes"} }

func levelFormat() format {
	return format{func(s string) bool { return slices.Contains(ruleset.Levels(), s) }, strings.Join(ruleset.Levels(), ", ")}
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
func (c *Cluster) options() []ruleset.Option {
	out := ruleset.Switch(nil, "enabled", "enable", c.Enabled, "0")
	out = ruleset.Texts(out, []ruleset.Option{
		{Path: "policy_in", Key: "policy_in", Want: c.PolicyIn, Absent: "DROP"},
		{Path: "policy_out", Key: "policy_out", Want: c.PolicyOut, Absent: "ACCEPT"},
		{Path: "policy_forward", Key: "policy_forward", Want: c.PolicyForward, Absent: "ACCEPT"},
	}...)
	return append(out, named(c.Options, map[string]string{"ebtables": "1"})...)
}

// named are options that are written with Proxmox's own names.
func named(values, absent map[string]string) []ruleset.Option {
	var out []ruleset.Option
	for _, k := range tasks.Keys(values) {
		out = append(out, ruleset.Option{Path: "options." + k, Key: k, Want: values[k], Absent: absent[k]})
	}
	return out
}
