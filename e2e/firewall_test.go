package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// netfilter gives the simulated firewall an effect in the kernel: a cluster.fw that is
// on lets in whom its rules for addresses and TCP ports name, and what belongs to
// connections that there are. The rest it drops, as Proxmox's does unless it is told
// otherwise.
const netfilter = `mkdir -p /usr/local/lib/phoenix-sim /etc/pve/firewall
mv /usr/local/sbin/pve-firewall /usr/local/lib/phoenix-sim/pve-firewall
ln -sf /usr/local/sbin/pvesim /usr/local/lib/phoenix-sim/pve-firewall
cat > /usr/local/sbin/pve-firewall <<'X'
#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
/usr/local/lib/phoenix-sim/pve-firewall "$@" || exit
file=/etc/pve/firewall/cluster.fw
case $1 in restart | start | stop) iptables -F INPUT ;; *) exit 0 ;; esac
[ "$1" != stop ] && grep -q '^enable: 1' $file || exit 0
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -p tcp ! --syn -j ACCEPT
sed -n 's/^IN ACCEPT -source \([^ ]*\) -p tcp -dport \([^ ]*\).*/\1 \2/p' $file | while read -r from ports; do
  for port in $(echo "$ports" | tr , ' '); do iptables -A INPUT -s "$from" -p tcp --dport "$port" -j ACCEPT; done
done
iptables -A INPUT -j DROP
X
chmod 755 /usr/local/sbin/pve-firewall
`

func TestFirewall(t *testing.T) {
	w := newWired(t, 3, netfilter)
	const (
		on      = `"firewall": {"confirm_timeout_s": 10, "cluster": {"enabled": true}`
		shutOut = on + `, "keep_management_open": false}`
	)
	t.Run("rules that let the operator in stay, and a second run changes nothing", func(t *testing.T) {
		t.Parallel()
		args := w.wants(t, 0, on+"}")
		w.phoenix(t, append([]string{"run"}, args...)...).want(t, 0)
		w.phoenix(t, append([]string{"run"}, args...)...).want(t, 0).wantChanges(t)
		if rules := w.inEffect(t, 0); !strings.Contains(rules, "-A INPUT -s 10.99.99.1/32 -p tcp -m tcp --dport 22 -j ACCEPT\n") || !strings.HasSuffix(rules, "-A INPUT -j DROP\n") {
			t.Errorf("in effect is\n%s", rules)
		}
	})
	t.Run("rules that shut the operator out are taken back", func(t *testing.T) {
		t.Parallel()
		before := w.clusterRules(t, 1)
		if o := w.phoenix(t, append([]string{"run"}, w.wants(t, 1, shutOut)...)...); o.code == 0 || !strings.Contains(o.stdout, "the firewall is as it was before") {
			t.Errorf("exit status %d: %s", o.code, o.stdout)
		}
		w.asOpenAsBefore(t, 1, before)
	})
	t.Run("without a phoenix that confirms, they are taken back", func(t *testing.T) {
		t.Parallel()
		before := w.clusterRules(t, 2)
		run := w.start(t, append([]string{"run"}, w.wants(t, 2, shutOut)...)...)
		eventually(t, "the rules are in effect", func() bool { return strings.Contains(w.inEffect(t, 2), "-j DROP") })
		run.signal(t, syscall.SIGKILL)
		w.asOpenAsBefore(t, 2, before)
	})
}

// clusterRules is the file of the cluster's firewall, empty where there is none.
func (w wired) clusterRules(t *testing.T, host int) string {
	t.Helper()
	data, err := os.ReadFile(w.Hosts[host].Path("/etc/pve/firewall/cluster.fw"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

// inEffect lists what the kernel of a host does with packets to it.
func (w wired) inEffect(t *testing.T, host int) string {
	t.Helper()
	out, err := w.Hosts[host].Exec(t.Context(), "/usr/sbin/iptables", "-S", "INPUT")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// asOpenAsBefore wants the old file back, no rule in the kernel, and the host to be
// reached.
func (w wired) asOpenAsBefore(t *testing.T, host int, before string) {
	t.Helper()
	eventually(t, "the old rules are back", func() bool {
		return w.clusterRules(t, host) == before && w.inEffect(t, host) == "-P INPUT ACCEPT\n"
	})
	eventually(t, "the host can be reached", func() bool {
		return w.phoenix(t, "exec", "-i", w.Hosts[host].Name+".yaml", "--", "true").code == 0
	})
}
