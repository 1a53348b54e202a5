package sim

import (
	"strings"
	"testing"
)

func TestTheRulesOfAGuestGoWhereProxmoxTakesThem(t *testing.T) {
	b := newBench(t, Options{})
	rules := func(id int) string { return b.m.text(guestRules(id)) }
	lay := func(id int, text string) { layText(t, b.m, guestRules(id), text) }
	lay(900, "early\n")
	b.create("--memory", "64")
	if rules(900) != "early\n" {
		t.Errorf("creating leaves %q, and it does not touch what is there", rules(900))
	}
	lay(901, "stray\n")
	b.must("pct", "clone", "900", "901")
	if rules(901) != "early\n" {
		t.Errorf("the clone has %q, and not what its parent has", rules(901))
	}
	b.must("pct", "destroy", "900")
	if b.m.exists(guestRules(900)) || rules(901) != "early\n" {
		t.Errorf("after destroying the parent: %q and %q", rules(900), rules(901))
	}
	b.must("pct", "destroy", "901")
	b.create("--memory", "64")
	lay(901, "stray\n")
	b.must("pct", "clone", "900", "901")
	if b.m.exists(guestRules(901)) {
		t.Errorf("the clone of a guest without rules has %q", rules(901))
	}
	lay(902, "early\n")
	b.refused(255, "unable to create CT 902", "pct", "create", "902", "local:vztmpl/nosuch.tar.zst", "--rootfs", "local:1")
	if b.m.exists(guestRules(902)) {
		t.Error("a guest that could not be made leaves its rules")
	}
}

func TestPveFirewallTellsOfGuestsThatExist(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--memory", "64")
	layText(t, b.m, "/etc/pve/firewall/cluster.fw", "[ALIASES]\nlan 10.0.0.0/8\n[group web]\nIN HTTP(ACCEPT)\n")
	wrong := "[OPTIONS]\nenable: 1\nradv: 2\nnosmurfs: 1\n[RULES]\nIN ACCEPT -i eth0\nFORWARD DROP\nGROUP nosuch\nIN DROP -source +mine\n"
	fine := "[OPTIONS]\nenable: 1\nipfilter: 1\nlog_level_in: info\n[ALIASES]\nme 10.0.0.5\n[IPSET ipfilter-net0]\nme\n[RULES]\n|GROUP web -i net0\nIN ACCEPT -source dc/lan -dest guest/me\nOUT DROP -dest +guest/ipfilter-net0\n"
	for text, want := range map[string][]string{fine: nil, wrong: {
		"can't parse option 'radv: 2'", "can't parse option 'nosmurfs: 1'", `iface: value does not match the regex pattern 'net\d+'`,
		"unable to parse rule: FORWARD DROP", "no such security group 'nosuch'", "no such ipset 'mine'",
	}} {
		layText(t, b.m, guestRules(900), text)
		layText(t, b.m, guestRules(999), wrong) // no such guest
		code, _, said := execLine(t, b.m, "pve-firewall compile")
		if code != 0 || strings.Count(said, "\n") != len(want) {
			t.Errorf("status %d, said\n%s", code, said)
		}
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("%q is not in\n%s", w, said)
			}
		}
	}
}
