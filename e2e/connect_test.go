package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phoenix/e2e/realhost"
)

// fingerprint is what ssh-keygen calls a public key.
func fingerprint(t *testing.T, key string) string {
	t.Helper()
	cmd := exec.Command("ssh-keygen", "-lf", "-")
	cmd.Stdin = strings.NewReader(key + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))[1]
}

// newKey makes a key pair and returns the private key's path and the public key.
func newKey(t *testing.T) (path, public string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "id")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("make a key: %v: %s", err, out)
	}
	data, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.Join(strings.Fields(string(data))[:2], " ")
}

// TestHostsThatCannotBeReached runs one check over a fleet of which each host has a
// trouble of its own.
func TestHostsThatCannotBeReached(t *testing.T) {
	r := newRig(t, 7, realhost.Options{Prepare: "if [ $NODE = pve7 ]; then echo 'ForceCommand sleep 600' >> /etc/phoenix-e2e/sshd_config; fi\n"})
	silent := listen(t, func(net.Conn) {})
	rude := listen(t, func(c net.Conn) { fmt.Fprint(c, "HTTP/1.0 400 Bad Request\r\n\r\n"); c.Close() })
	closed := listen(t, func(net.Conn) {})
	closed.Close()

	// pve1 is well; pve2 is not known; pve3 is known by another key; the keys of pve4
	// and pve5 are pinned, that of pve5 wrongly; pve6 does not let us in; pve7 lets us
	// in and then says nothing.
	oldPath, oldKey := newKey(t)
	if err := os.WriteFile(r.KnownHosts, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, key := range map[int]string{0: r.Hosts[0].HostKey, 2: oldKey, 5: r.Hosts[5].HostKey, 6: r.Hosts[6].HostKey} {
		r.known(t, r.Hosts[i].Address, r.Hosts[i].Port, key)
	}
	r.extra["pve4"] = fmt.Sprintf("host_key: %q", r.Hosts[3].HostKey)
	r.extra["pve5"] = fmt.Sprintf("host_key: %q", oldKey)
	r.extra["pve6"] = fmt.Sprintf("identity_files: [%s]", oldPath)
	r.inventory(t, fmt.Sprintf("  refused: {address: 127.2.0.1, port: %d}\n  silent: {address: 127.2.0.1, port: %d}\n  rude: {address: 127.2.0.1, port: %d}\n  nowhere: {address: nowhere.invalid}\n",
		closed.port(), silent.port(), rude.port()))
	r.write(t, "hypervisor.json", hypervisor)
	r.write(t, "lxc.json", `{"version": 1}`)

	begin := time.Now()
	out := r.phoenix(t, "check", "--dial-timeout", "1s", "--host-timeout", "6s", "-o", "json")
	got := out.want(t, 1).report(t)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the check took %s; a host that says nothing held it up", took)
	}
	for _, h := range []string{"pve1", "pve4"} {
		if s := got.status(h); s != "drifted" {
			class, said := got.fault(h)
			t.Errorf("%s is %s, want drifted: %s %s", h, s, class, said)
		}
	}
	for _, c := range []struct {
		host, class string
		says        []string
	}{
		{"pve2", "unreachable", []string{"is not known", fingerprint(t, r.Hosts[1].HostKey), "--accept-new-host-keys", "ssh-keyscan"}},
		{"pve3", "unreachable", []string{"KEY HAS CHANGED", fingerprint(t, r.Hosts[2].HostKey), fingerprint(t, oldKey), r.KnownHosts + ":", "ssh-keygen -R"}},
		{"pve5", "unreachable", []string{"the inventory pins", fingerprint(t, r.Hosts[4].HostKey), fingerprint(t, oldKey), "host_key:"}},
		{"pve6", "unreachable", []string{oldPath}},
		{"pve7", "timeout", []string{"6s"}},
		{"refused", "unreachable", []string{"connection refused"}},
		{"silent", "unreachable", []string{"says nothing"}},
		{"rude", "unreachable", []string{"HTTP/1.0 400"}},
		{"nowhere", "unreachable", []string{"nowhere.invalid"}},
	} {
		got.wantFault(t, c.host, c.class, c.says...)
	}
	if strings.Contains(r.Hosts[2].Log(), "Accepted publickey") {
		t.Error("phoenix logged in to a host whose key has changed")
	}

	t.Run("an unknown key is recorded when that is asked for, a changed one is not", func(t *testing.T) {
		again := r.phoenix(t, "check", "-l", "pve2,pve3", "--accept-new-host-keys", "-o", "json").want(t, 4).report(t)
		if got := again.statuses(); got != "pve2 drifted, pve3 unreachable" {
			t.Errorf("the hosts are %s", got)
		}
		r.phoenix(t, "check", "-l", "pve2").want(t, 2)
	})
	t.Run("a person is told how to mend it", func(t *testing.T) {
		r.phoenix(t, "check", "-l", "pve3").want(t, 4).says(t, "KEY HAS CHANGED", "ssh-keygen -R")
	})
	t.Run("with nothing but unreachable hosts the exit status is 4", func(t *testing.T) {
		r.phoenix(t, "check", "-l", "refused,nowhere").want(t, 4)
	})
}
