package sim

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/health"
)

// What a host asks of its containers over the network, as the family health asks it.
func TestWhatAContainerServesIsReachedFromTheHost(t *testing.T) {
	b := newBench(t, Options{})
	b.must("pct", "create", "900", debian, "--hostname", "web", "--net0", "name=eth0,bridge=vmbr0,ip=10.0.0.5/24", "--net1", "name=eth1,bridge=vmbr0,ip6=2001:db8::5/64")
	b.must("pct", "create", "901", debian, "--hostname", "db", "--net0", "name=eth0,bridge=vmbr0,ip=dhcp")
	b.must("pct", "create", "902", debian, "--hostname", "off", "--net0", "name=eth0,bridge=vmbr0,ip=10.0.0.7/24")
	b.must("pct", "start", "900")
	b.must("pct", "start", "901")
	web, db := b.m.guestMachine(900), b.m.guestMachine(901)
	if err := web.write("/etc/systemd/system/web.service", []byte("[Service]\nExecStart=/usr/bin/python3 -m uvicorn app:app --port 8080\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.must("lxc-attach", "-n", "900", "--", "systemctl", "enable", "--now", "web.service")
	if err := db.write("/proc/net/tcp", []byte("  sl  local_address rem_address   st\n   0: 00000000:1538 00000000:0000 0A 0\n   1: 0100007F:1539 00000000:0000 01 0\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	ask := func(url, contains string, status ...int) health.Spec {
		return health.Spec{Name: "a", HTTP: &health.HTTP{URL: url, Contains: contains, Status: status}}
	}
	to := func(address string) health.Spec {
		return health.Spec{Name: "a", TCP: &health.TCP{Address: address}}
	}
	for name, tc := range map[string]struct {
		spec health.Spec
		why  string
	}{
		"the page":                      {ask("http://10.0.0.5:8080/", "OK"), ""},
		"another page":                  {ask("http://10.0.0.5:8080/", "NO"), "the body does not contain"},
		"a page over IPv6":              {ask("http://[2001:db8::5]:8080/", "OK"), ""},
		"another status":                {ask("http://10.0.0.5:8080/", "", 404), "status 200 of 10.0.0.5:8080, expected 404"},
		"another port":                  {ask("http://10.0.0.5/", ""), "curl: (7) Failed to connect to 10.0.0.5 port 80 "},
		"a container that does not run": {ask("http://10.0.0.7/", ""), "curl: (7) Failed to connect to 10.0.0.7 port 80 "},
		"a port":                        {to("10.0.0.5:8080"), ""},
		"a port of a socket":            {to("10.99.99.101:5432"), ""},
		"a connection that is no port":  {to("10.99.99.101:5433"), "Connection refused"},
		"a closed port":                 {to("10.0.0.5:22"), "Connection refused"},
		"nobody":                        {to("10.0.0.7:22"), "No route to host"},
		"a name that nobody knows":      {to("db.invalid:22"), "Name or service not known"},
	} {
		if p := tc.spec.Validate(); len(p) > 0 {
			t.Fatal(p)
		}
		d, err := tc.spec.Task().Check(t.Context(), tasks.ReadOnly(b.m.Host()))
		if len(d) > 0 || (err == nil) != (tc.why == "") || err != nil && !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%s: %v, %v, want %q", name, d, err, tc.why)
		}
	}
}
