package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"phoenix/e2e/realhost"
)

// installed is the network of each host before a test: the bridge that leads to the
// operator, with lines of somebody else.
const installed = `# as the installer left it
auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet static
	address %s/24
	bridge-ports eno1
	bridge-stp off
	bridge-fd 0
	up echo up >> /var/log/mine

source /etc/network/interfaces.d/*
`

// ifupdown2 puts the real ifupdown2 and iptables in the place of the simulated ones.
const ifupdown2 = `ifupdown2=/usr/local/lib/phoenix-e2e/ifupdown2
[ -d $ifupdown2 ] || { echo "there is no $ifupdown2 (run e2e/prerequisites.sh)"; exit 1; }
cp -a $ifupdown2/usr/share/ifupdown2 /usr/share/
mkdir -p /etc/network /run/network /var/tmp/network
cp -a $ifupdown2/etc/network/ifupdown2 /etc/network/
rm -f /usr/local/sbin/iptables
for name in ifup ifquery ifreload; do ln -sf /usr/share/ifupdown2/ifupdown2 /usr/local/sbin/$name; done
`

// bringUp brings a host's network up with them.
const bringUp = ifupdown2 + `cat > /etc/network/interfaces <<'X'
` + installed + `X
sed -i "s/%%s/10.99.99.$((${NODE#pve} + 1))/" /etc/network/interfaces
ifup -a
`

// wired is a rig of hosts that the operator reaches over one wire each.
type wired struct{ *rig }

func newWired(t *testing.T, n int, prepare string) wired {
	t.Helper()
	r := newRig(t, n, realhost.Options{Wire: true, Prepare: strings.ReplaceAll(bringUp, "%%s", "%s") + prepare})
	return wired{r}
}

// network is what the network of one host must look like; see wants.
func (w wired) network(t *testing.T, host int, bridges string) []string {
	t.Helper()
	return w.wants(t, host, `"network": {"confirm_timeout_s": 10, "bridges": `+bridges+`}`)
}

// wants writes what one host must look like, and returns its arguments.
func (w wired) wants(t *testing.T, host int, config string) []string {
	t.Helper()
	name := w.Hosts[host].Name
	w.write(t, name+".json", `{"version": 1, `+config+`}`)
	w.write(t, name+".yaml", fmt.Sprintf("version: 1\nhosts:\n  %s: {address: %s, user: root, host_key: %q, hypervisor: %s.json, identity_files: [%s]}\n",
		name, w.Hosts[host].Address, w.Hosts[host].HostKey, name, w.IdentityFile))
	return []string{"-i", name + ".yaml", "-o", "json"}
}

func (w wired) interfaces(t *testing.T, host int) string {
	t.Helper()
	data, err := os.ReadFile(w.Hosts[host].Path("/etc/network/interfaces"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// asBefore wants the installed network back, in the file and in the kernel, and the
// host to be reached.
func (w wired) asBefore(t *testing.T, host int) {
	t.Helper()
	h := w.Hosts[host]
	eventually(t, "the old network is back", func() bool {
		out, err := h.Exec(t.Context(), "ip", "-brief", "address", "show", "vmbr0")
		return err == nil && strings.Contains(string(out), h.Address+"/24") && w.interfaces(t, host) == fmt.Sprintf(installed, h.Address)
	})
	if out, err := h.Exec(t.Context(), "ls", "/sys/class/net/vmbr0/brif"); err != nil || strings.TrimSpace(string(out)) != "eno1" {
		t.Errorf("the bridge has the ports %q, %v", out, err)
	}
	eventually(t, "the host can be reached", func() bool {
		return w.phoenix(t, "exec", "-i", h.Name+".yaml", "--", "true").code == 0
	})
}

func TestNetwork(t *testing.T) {
	w := newWired(t, 5, "")
	t.Run("a change that lets the operator in stays, and a second run changes nothing", func(t *testing.T) {
		t.Parallel()
		args := w.network(t, 0, `{"vmbr0": {"ports": ["eno1"], "address": "10.99.99.2/24", "gateway": "10.99.99.1", "comment": "uplink"},
			"vmbr1": {"ports": [], "address": "10.77.0.1/24", "address6": "fd00:77::1/64", "mtu": 1400, "nat": {"subnet": "10.77.0.0/24", "out": "vmbr0"}}}`)
		w.phoenix(t, append([]string{"run"}, args...)...).want(t, 0)
		w.phoenix(t, append([]string{"run"}, args...)...).want(t, 0).wantChanges(t)
		if text := w.interfaces(t, 0); !strings.Contains(text, "# as the installer left it\n") || !strings.Contains(text, "\tup echo up >> /var/log/mine\n") {
			t.Errorf("lines of somebody else are gone:\n%s", text)
		}
		out, err := w.Hosts[0].Exec(t.Context(), "sh", "-c", "cd /; export PATH=/usr/local/sbin:/usr/sbin:/usr/bin; ifreload -a && ifreload -a && iptables -t nat -S POSTROUTING")
		if err != nil || strings.Count(string(out), "MASQUERADE") != 1 {
			t.Errorf("after two reloads more: %s, %v", out, err)
		}
		for hand, path := range map[string]string{
			"ip link set vmbr1 down":                                "live",
			"ip address del 10.77.0.1/24 dev vmbr1":                 "live.address",
			"ip address del fd00:77::1/64 dev vmbr1":                "live.address6",
			"ip link set vmbr1 mtu 1300":                            "live.mtu",
			"iptables -t nat -F POSTROUTING":                        "live.nat",
			"sed -i 's/mtu 1400/mtu 1401/' /etc/network/interfaces": "mtu",
		} {
			if _, err := w.Hosts[0].Exec(t.Context(), "sh", "-c", hand); err != nil {
				t.Fatal(err)
			}
			w.phoenix(t, append([]string{"run"}, args...)...).want(t, 0).wantChanges(t, "pve1 network:interfaces bridges.vmbr1."+path)
		}
	})
	t.Run("a host that moves to another address is found there", func(t *testing.T) {
		t.Parallel()
		const to = `{"vmbr0": {"address": "10.99.99.103/24"}}`
		w.start(t, append([]string{"run"}, w.network(t, 1, to)...)...)
		eventually(t, "the file is changed", func() bool { return w.interfaces(t, 1) == fmt.Sprintf(installed, "10.99.99.103") })
		eventually(t, "it is decided", func() bool {
			undecided, err := os.ReadDir(w.Hosts[1].Path("/var/lib/phoenix/guard"))
			return err == nil && len(undecided) == 0
		})
		if text := w.interfaces(t, 1); text != fmt.Sprintf(installed, "10.99.99.103") {
			t.Fatalf("it was not confirmed at the new address:\n%s", text)
		}
		w.Hosts[1].Address = "10.99.99.103"
		w.phoenix(t, append([]string{"run"}, w.network(t, 1, to)...)...).want(t, 0).wantChanges(t)
	})
	t.Run("a wrong address is taken back", func(t *testing.T) {
		t.Parallel()
		args := w.network(t, 2, `{"vmbr0": {"address": "10.55.0.4/24"}}`)
		if o := w.phoenix(t, append([]string{"run"}, args...)...); o.code == 0 {
			t.Errorf("the run says that all is well: %s", o.stdout)
		}
		w.asBefore(t, 2)
	})
	t.Run("a cut link is taken back", func(t *testing.T) {
		t.Parallel()
		args := w.network(t, 3, `{"vmbr0": {"ports": []}}`)
		if o := w.phoenix(t, append([]string{"run"}, args...)...); o.code == 0 {
			t.Errorf("the run says that all is well: %s", o.stdout)
		}
		w.asBefore(t, 3)
	})
	t.Run("without a phoenix that confirms, it is taken back", func(t *testing.T) {
		t.Parallel()
		// The address is good, but phoenix is gone before it could get in there.
		run := w.start(t, append([]string{"run"}, w.network(t, 4, `{"vmbr0": {"address": "10.99.99.206/24"}}`)...)...)
		eventually(t, "the file is changed", func() bool { return strings.Contains(w.interfaces(t, 4), "10.99.99.206") })
		run.signal(t, syscall.SIGKILL)
		begin := time.Now()
		w.asBefore(t, 4)
		if took := time.Since(begin); took > 40*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// wantChanges fails the test unless the report has exactly these changes.
func (o outcome) wantChanges(t *testing.T, want ...string) {
	t.Helper()
	if got := o.report(t).changes(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("changes %q, want %q", got, want)
	}
}
