package fwfile_test

import (
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/fwfile"
)

// recorded is a cluster.fw as Proxmox's own writer left it, with lines by hand in it.
const recorded = `[OPTIONS]

policy_in: DROP
enable: 1

[ALIASES]

MyNet 10.1.2.3/24 # my net

[IPSET management] # people

10.99.99.0/24 # adm
!dc/mynet

[RULES]

# a line of its own
GROUP web -i vmbr0
|FORWARD DROP -p icmp -icmp-type echo-request
IN SSH(ACCEPT) -source dc/mynet
|IN ACCEPT -source +management -p tcp -dport 8080:8090,9000 -log info # x # y
stray
[FOO]
IN DROP --dport 25 --proto tcp

[group web]

IN HTTP(ACCEPT)

`

func TestParse_keepsEveryByte(t *testing.T) {
	for _, text := range []string{recorded, "", "stray", "[RULES]", "[OPTIONS]\r\nenable: 1\r\n", "\n\n[rules]\n\n\n"} {
		if got := string(fwfile.Parse([]byte(text)).Bytes()); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestFile_readsWhatProxmoxReads(t *testing.T) {
	f := fwfile.Parse([]byte(recorded))
	policy, _ := f.Option("POLICY_IN")
	_, none := f.Option("policy_out")
	alias, _ := f.Alias("mynet")
	set, _ := f.IPSet("Management")
	group, _ := f.Group("web")
	_, missing := f.Group("we")
	rules := f.Rules()
	for name, ok := range map[string]bool{
		"an option":                        policy == "DROP" && !none,
		"an alias, without case":           alias == fwfile.Entry{Address: "10.1.2.3/24", Comment: "my net"},
		"a set with comments":              slices.Equal(set, []fwfile.Entry{{Address: "10.99.99.0/24", Comment: "adm"}, {Address: "!dc/mynet"}}),
		"a group":                          slices.Equal(group, []fwfile.Rule{{Type: "IN", Macro: "HTTP", Action: "ACCEPT"}}) && !missing,
		"an unknown header is a rule":      len(rules) == 7 && rules[5].Unread == "[FOO]" && rules[4].Unread == "stray",
		"a group in the rules":             rules[0] == fwfile.Rule{Type: "GROUP", Action: "web", Iface: "vmbr0"},
		"a disabled rule":                  rules[1] == fwfile.Rule{Disabled: true, Type: "FORWARD", Action: "DROP", Proto: "icmp", ICMPType: "echo-request"},
		"the first # begins the comment":   rules[3].Comment == "x # y" && rules[3].Dport == "8080:8090,9000",
		"flags with two dashes, any order": rules[6] == fwfile.Rule{Type: "IN", Action: "DROP", Proto: "tcp", Dport: "25"},
	} {
		if !ok {
			t.Errorf("not so: %s (%+v)", name, rules)
		}
	}
}

func TestFile_aChangeLeavesAllElse(t *testing.T) {
	f := fwfile.Parse([]byte(recorded))
	f.SetOption("policy_in", "REJECT")
	f.SetAlias("mynet", fwfile.Entry{Address: "10.1.2.0/24"})
	f.SetIPSet("management", []fwfile.Entry{{Address: "10.0.0.1"}})
	f.SetGroup("web", []fwfile.Rule{{Type: "IN", Macro: "HTTPS", Action: "ACCEPT"}})
	f.SetRules(func(r fwfile.Rule) bool { return r.Macro == "SSH" }, []fwfile.Rule{{Type: "OUT", Action: "ACCEPT"}})
	want := strings.NewReplacer(
		"policy_in: DROP", "policy_in: REJECT", "MyNet 10.1.2.3/24 # my net", "mynet 10.1.2.0/24",
		"10.99.99.0/24 # adm\n!dc/mynet", "10.0.0.1", "IN HTTP(ACCEPT)", "IN HTTPS(ACCEPT)",
		"IN SSH(ACCEPT) -source dc/mynet\n", "", "GROUP web", "OUT ACCEPT\nGROUP web",
	).Replace(recorded)
	if got := string(f.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFile_newSectionsComeInProxmoxsOrder(t *testing.T) {
	want := "[OPTIONS]\n\nenable: 1\n\n[ALIASES]\na1 10.0.0.1\n\n[IPSET s1]\n10.0.0.2\n\n[RULES]\nIN ACCEPT\n\n[group g1]\nIN DROP\n"
	f := fwfile.Parse([]byte("[OPTIONS]\n\nenable: 1"))
	f.SetGroup("g1", []fwfile.Rule{{Type: "IN", Action: "DROP"}})
	f.SetRules(func(fwfile.Rule) bool { return false }, []fwfile.Rule{{Type: "IN", Action: "ACCEPT"}})
	f.SetIPSet("s1", []fwfile.Entry{{Address: "10.0.0.2"}})
	f.SetAlias("a1", fwfile.Entry{Address: "10.0.0.1"})
	f.SetOption("enable", "1")
	if got := string(f.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	empty := new(fwfile.File)
	empty.SetOption("enable", "0")
	if got := string(empty.Bytes()); got != "[OPTIONS]\nenable: 0\n" {
		t.Errorf("an empty file became %q", got)
	}
}

func TestParseRule_refusesWhatProxmoxSkips(t *testing.T) {
	for _, line := range []string{"", "IN", "stray line", "IN ALLOW", "IN SSH(ALLOW)", "IN ACCEPT)", "IN ACCEPT -i  vmbr0", "IN ACCEPT -bogus x", "IN ACCEPT -p", " IN ACCEPT"} {
		if r, err := fwfile.ParseRule(line); err == nil {
			t.Errorf("%q became %+v", line, r)
		}
	}
}

func TestParseRule_theFirstSignBeginsTheComment(t *testing.T) {
	r, err := fwfile.ParseRule("|in ACCEPT -i vmbr0# x # y ")
	if want := (fwfile.Rule{Disabled: true, Type: "IN", Action: "ACCEPT", Iface: "vmbr0", Comment: "x # y"}); err != nil || r != want {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestCanonical_makesEqualWhatMeansTheSame(t *testing.T) {
	a, err := fwfile.ParseRule("IN ACCEPT -source 10.0.0.9/32,10.0.0.1 -p TCP -dport 443,22")
	if err != nil {
		t.Fatal(err)
	}
	b, err := fwfile.ParseRule("in ACCEPT --dport 22,443 --source 10.0.0.1,10.0.0.9 --proto tcp")
	if err != nil {
		t.Fatal(err)
	}
	if a.Canonical() != b.Canonical() {
		t.Errorf("%v and %v", a.Canonical(), b.Canonical())
	}
	for in, want := range map[string]string{"FD00::5/128": "fd00::5", "!10.0.0.5/32": "!10.0.0.5", "dc/Mine": "dc/mine", "10.0.0.0/24": "10.0.0.0/24"} {
		if got := fwfile.CanonicalAddress(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

func TestCheckAddresses(t *testing.T) {
	for list, good := range map[string]bool{
		"10.0.0.1": true, "10.0.0.0/24,10.1.0.5": true, "10.0.0.1-10.0.0.9": true, "fd00::/64": true,
		"+mine": true, "+dc/mine": true, "dc/net1": true, "net1": true,
		"10.0.0.5/24": false, "10.0.0.1,fd00::1": false, "10.0.0.9-10.0.0.1": false, "10.0.0.1,net1": false,
		"": false, "+": false, "a b": false, "10.0.0.1,": false, "fe80::1%eth0": false, "+x,10.0.0.1": false,
	} {
		if err := fwfile.CheckAddresses(list); (err == nil) != good {
			t.Errorf("%q: %v", list, err)
		}
	}
}

// The property: a file that nobody changed is as it was, and what is set is read
// back, with every other line in its place.
func FuzzFile(f *testing.F) {
	f.Add(recorded)
	f.Add("x\n[RULES]\nIN ACCEPT")
	f.Add("[OPTIONS]\r\nenable:1\r\n[options]\nenable: 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := fwfile.Parse([]byte(text))
		if got := string(file.Bytes()); got != text {
			t.Fatalf("%q became %q", text, got)
		}
		before := file.Rules()
		set := []fwfile.Rule{{Type: "IN", Action: "ACCEPT", Comment: "ours"}}
		file.SetRules(func(fwfile.Rule) bool { return false }, set)
		file.SetOption("enable", "1")
		file.SetIPSet("s1", []fwfile.Entry{{Address: "10.0.0.1"}})
		again := fwfile.Parse(file.Bytes())
		if got := again.Rules(); !slices.Equal(got, append(set, before...)) {
			t.Fatalf("%q: rules are now %q", text, got)
		}
		entries, _ := again.IPSet("s1")
		if v, _ := again.Option("enable"); v != "1" || len(entries) != 1 {
			t.Fatalf("%q: enable is %q and the set %v in %q", text, v, entries, again.Bytes())
		}
	})
}

// The property: a rule that was read is written so that it is read again.
func FuzzRule(f *testing.F) {
	for line := range strings.Lines(recorded) {
		f.Add(strings.TrimRight(line, "\n"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := fwfile.ParseRule(line)
		if err != nil || strings.ContainsAny(line, "\r\n") {
			return
		}
		again, err := fwfile.ParseRule(r.String())
		if err != nil || again != r {
			t.Fatalf("%q became %q, which is %+v, %v, not %+v", line, r, again, err, r)
		}
	})
}
