package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
	"phoenix/tasks"
	"phoenix/tasks/kind/network"
)

// stanza is what ifquery prints of one stanza.
type stanza struct {
	Name   string
	Auto   bool
	Config map[string]any
}

// values are what the stanza says of an option.
func (s stanza) values(key string) []string {
	switch v := s.Config[key].(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, one.(string))
		}
		return out
	}
	return nil
}

// optionOf joins what all stanzas of an interface say of an option.
func optionOf(all []stanza, key string) []string {
	var out []string
	for _, s := range all {
		out = append(out, s.values(key)...)
	}
	return out
}

// etcNetwork is a host without a network of its own and with the real ifupdown2.
type etcNetwork struct{ *realhost.Host }

// install makes a folder of testdata the host's /etc/network, and names its interfaces.
func (n etcNetwork) install(t *testing.T, dir string) (names []string) {
	t.Helper()
	n.run(t, "rm -rf /etc/network/interfaces /etc/network/interfaces.d")
	if err := os.CopyFS(n.Path("/etc/network"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(n.Path("/etc/network/interfaces.d/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, n.Path("/etc/network/interfaces")) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^iface (\S+)`).FindAllStringSubmatch(string(data), -1) {
			names = append(names, m[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// run runs a line of shell where the machine's folder and its Python are not looked at,
// and returns what it printed: the shell itself complains of the folder it starts in.
func (n etcNetwork) run(t *testing.T, line string) string {
	t.Helper()
	script := "cd /; export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/bin; { " + line + "; } >/run/said 2>&1 || true"
	if _, err := n.Exec(t.Context(), "sh", "-c", script); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(n.Path("/run/said"))
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

// query asks ifquery for interfaces, by name.
func (n etcNetwork) query(t *testing.T, names []string) map[string][]stanza {
	t.Helper()
	out := n.run(t, "ifquery -o json "+strings.Join(names, " ")+" 2>/dev/null")
	var all []stanza
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := map[string][]stanza{}
	for _, s := range all {
		found[s.Name] = append(found[s.Name], s)
	}
	return found
}

// faults are the lines of `ifreload -s -a`. Its status is 1 for files of Proxmox too, since
// it warns of what those have: bridges without ports, and the MTU of a bridge, which it
// sets nevertheless.
func (n etcNetwork) faults(t *testing.T) []string {
	t.Helper()
	known := regexp.MustCompile(`^warning: \w+: (bridge-ports: invalid value "none"|bridge inherits mtu from its ports)`)
	lines := strings.Split(strings.TrimSpace(n.run(t, "ifreload -s -a; echo status $?")), "\n")
	status := lines[len(lines)-1]
	if status != "status 0" && (status != "status 1" || len(lines) == 1) {
		t.Fatalf("ifreload ends with %q", lines)
	}
	return slices.DeleteFunc(lines[:len(lines)-1], known.MatchString)
}

// TestIfupdown2ReadsTheInterfacesThatAreWritten hands the golden files to the real
// ifupdown2 in a network of its own. What it finds in them is what the spec beside them
// wants and, of everything else, what it found in the files before.
func TestIfupdown2ReadsTheInterfacesThatAreWritten(t *testing.T) {
	n := etcNetwork{newRig(t, 1, realhost.Options{Wire: true, Prepare: ifupdown2}).Hosts[0]}
	specs, err := filepath.Glob("../tasks/kind/network/testdata/*/spec.json")
	if err != nil || len(specs) < 4 {
		t.Fatalf("%v, %v", specs, err)
	}
	for _, file := range specs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			data, err := os.ReadFile(file)
			var want network.Spec
			if err == nil {
				err = tasks.UnmarshalStrict(data, &want)
			}
			if err != nil {
				t.Fatal(err)
			}
			before := n.query(t, n.install(t, filepath.Join(dir, "before")))
			foreign := n.faults(t)
			found := n.query(t, n.install(t, filepath.Join(dir, "after")))
			for _, line := range n.faults(t) {
				if !slices.Contains(foreign, line) {
					t.Errorf("ifreload says %s", line)
				}
			}
			for name, b := range want.Bridges {
				for _, fault := range differences(b, before[name], found[name]) {
					t.Errorf("%s: %s in %v", name, fault, found[name])
				}
				delete(before, name)
				delete(found, name)
			}
			if !reflect.DeepEqual(before, found) {
				t.Errorf("of what is not in the spec, ifupdown2 reads\n%v\nand before\n%v", found, before)
			}
		})
	}
	t.Run("what it cannot read is found", func(t *testing.T) {
		n.install(t, "../tasks/kind/network/testdata/fresh/after")
		for _, change := range [][2]string{{"inet static", "inet statc"}, {"\tmtu 9000", "\tmtu"}, {"mtu 9000", "mtu nine"}} {
			text, err := os.ReadFile("../tasks/kind/network/testdata/fresh/after/interfaces")
			if err == nil {
				err = os.WriteFile(n.Path("/etc/network/interfaces"), []byte(strings.Replace(string(text), change[0], change[1], 1)), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(n.faults(t)) == 0 {
				t.Errorf("ifreload takes %q for %q", change[1], change[0])
			}
		}
	})
}

// differences are the properties of a bridge that ifupdown2 does not find as wanted, and
// the options of nobody's that it finds no more.
func differences(want network.Bridge, before, found []stanza) []string {
	var out []string
	hold := func(what string, ok bool) {
		if !ok {
			out = append(out, what)
		}
	}
	is := func(key, value string) {
		got := optionOf(found, key)
		hold(key+" is not "+value, len(got) == 1 && got[0] == value)
	}
	autostart := want.Autostart == nil || *want.Autostart
	hold(fmt.Sprint("auto is not ", autostart), len(found) > 0 && !slices.ContainsFunc(found, func(s stanza) bool { return s.Auto != autostart }))
	for key, list := range map[string][]string{"address": {want.Address, want.Address6}, "gateway": {want.Gateway, want.Gateway6}} {
		for _, value := range list {
			hold("no "+key+" "+value, value == "" || slices.Contains(optionOf(found, key), value))
		}
	}
	switch {
	case want.Ports != nil && len(want.Ports) == 0:
		is("bridge-ports", "none")
	case want.Ports != nil:
		is("bridge-ports", strings.Join(want.Ports, " "))
	}
	if want.VLANAware != nil {
		is("bridge-vlan-aware", map[bool]string{true: "yes", false: "no"}[*want.VLANAware])
	}
	if want.MTU != 0 {
		is("mtu", strconv.Itoa(want.MTU))
	}
	vids := strings.Fields(strings.Join(optionOf(found, "bridge-vids"), " "))
	hold("other VLANs", want.VIDs == nil || slices.Equal(slices.Sorted(slices.Values(vids)), slices.Sorted(slices.Values(want.VIDs))))
	if want.NAT != nil {
		out = append(out, natDifferences(*want.NAT, found)...)
	}
	return append(out, lost(before, found)...)
}

// natDifferences wants the lines of a rule once each, and no other rule.
func natDifferences(want network.NAT, found []stanza) []string {
	iptables := func(op string) string {
		return "iptables -w -t nat " + op + " POSTROUTING -s " + want.Subnet + " -o " + want.Out + " -j MASQUERADE"
	}
	lines := map[string][]string{
		"post-up":   {"echo 1 > /proc/sys/net/ipv4/ip_forward", iptables("-C") + " 2>/dev/null || " + iptables("-A")},
		"post-down": {iptables("-D")},
	}
	var out []string
	for key, list := range lines {
		got := slices.DeleteFunc(optionOf(found, key), func(line string) bool {
			return !strings.Contains(line, "MASQUERADE") && !strings.Contains(line, "ip_forward")
		})
		if !slices.Equal(got, list) {
			out = append(out, fmt.Sprintf("%s is %q, not %q", key, got, list))
		}
	}
	return out
}

// lost are the values that no spec manages and that are no longer found.
func lost(before, found []stanza) []string {
	managed := []string{"address", "netmask", "broadcast", "gateway", "bridge-ports", "bridge_ports", "bridge-vlan-aware", "bridge-vids", "mtu"}
	var out []string
	for _, s := range before {
		for key := range s.Config {
			for _, value := range s.values(key) {
				if !slices.Contains(managed, key) && !strings.Contains(value, "MASQUERADE") && !slices.Contains(optionOf(found, key), value) {
					out = append(out, "lost "+key+" "+value)
				}
			}
		}
	}
	return out
}
