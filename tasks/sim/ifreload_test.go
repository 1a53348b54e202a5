package sim

import (
	"bytes"
	"strings"
	"testing"
)

// TestIfreload_doesWhatItCanAndTakesNothingBack holds the simulated programs to what
// ifupdown2 3.0.0 was seen to do.
func TestIfreload_doesWhatItCanAndTakesNothingBack(t *testing.T) {
	m, err := New(t.TempDir(), "pve1", Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	run := func(stdin string, argv ...string) (string, string, int) {
		var out, fault bytes.Buffer
		code := m.Exec(t.Context(), argv, Streams{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &fault})
		return out.String(), fault.String(), code
	}
	for _, tc := range []struct{ name, text, says string }{
		{"a port that is not there", "auto vmbr7\niface vmbr7 inet static\n\taddress 10.7.0.1/24\n\tbridge-ports X\n", "error: vmbr7: bridge port X does not exist\n"},
		{"a method that is none", "auto vmbr7\niface vmbr7 inet statc\n\taddress 10.7.0.1/24\n\tbridge_ports none\n", "error: /etc/network/interfaces: line2: iface vmbr7: unsupported address method 'statc'\n"},
		{"a line that is garbage", "auto vmbr7\niface vmbr7 inet static\n\taddress 10.7.0.1/24\n\tbridge-ports none\n\tgarbage\n", "error: /etc/network/interfaces: line4: iface vmbr7: invalid syntax 'garbage'\n"},
		{"a post-up line that fails", "auto vmbr7\niface vmbr7 inet static\n\taddress 10.7.0.1/24\n\tbridge-ports none\n\tpost-up false\n\tpost-up echo 1 > /proc/sys/net/ipv4/ip_forward\n", "warning: vmbr7: post-up cmd 'false' failed: returned 1\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := m.write(mainInterfaces, []byte(tc.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, says, code := run("", "ifreload", "-a"); code != 1 || says != tc.says {
				t.Errorf("exit status %d, says %q", code, says)
			}
			if !m.exists("/sys/class/net/vmbr7/bridge") || !strings.Contains(m.text("/proc/net/fib_trie"), "10.7.0.1") {
				t.Error("it did not do the rest")
			}
			if m.exists("/sys/class/net/vmbr1") {
				t.Error("a bridge that is not in the file any more is still there")
			}
		})
	}
	if strings.TrimSpace(m.text("/proc/sys/net/ipv4/ip_forward")) != "1" {
		t.Error("the line behind the one that fails was not run")
	}
	out, says, code := run("auto a\niface a \\\n inet manual\n\tup x\nfoo bar baz\n\nauto b\nfoo bar\n", "ifquery", "-a", "-i", "-")
	if code != 0 || out != "auto a\niface a inet manual\n\tup x\n\tfoo bar baz\n\n" || says != "error: None: line7: error processing line 'foo bar'\n" {
		t.Errorf("exit status %d\n%s\n%s", code, out, says)
	}
}
