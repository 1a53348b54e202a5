package sim

import (
	"slices"
	"strings"
	"testing"
)

func TestAServicePublishesTheFirstOfTwoPorts(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"in one line":          {"image: a\nports: [\"8080:80\", '53:53/udp']\nrestart: always\n", "8080 53"},
		"one below the other":  {"ports:\n- \"6333:6333\"\n- 6334:6334\nvolumes:\n- /a:/b\n", "6333 6334"},
		"on one address alone": {"ports: [\"127.0.0.1:8080:80\"]\n", "8080"},
		"none":                 {"image: a:80\nvolumes: [\"/1:/2\"]\n", ""},
	} {
		if got := composePorts(tc.body); !slices.Equal(got, strings.Fields(tc.want)) {
			t.Errorf("%s: %q, want %s", name, got, tc.want)
		}
	}
}

// What a project publishes is there while Docker runs, and nginx listens where it was told.
func TestWhatIsPublishedIsServed(t *testing.T) {
	b := newBench(t, Options{})
	b.must("pct", "create", "900", debian, "--hostname", "web", "--net0", "name=eth0,bridge=vmbr0,ip=10.0.0.5/24", "--unprivileged", "1")
	b.must("pct", "start", "900")
	inside := func(line string) { t.Helper(); b.must("lxc-attach", "-n", "900", "--", "sh", "-c", line) }
	inside("apt-get -q update && apt-get -q -y install docker.io docker-compose nginx curl")
	web := b.m.guestMachine(900)
	if got := web.text("/proc/self/uid_map"); strings.Join(strings.Fields(got), " ") != "0 100000 65536" {
		t.Errorf("the map of an unprivileged container is %q", got)
	}
	if err := web.write("/opt/a/compose.yaml", []byte("services:\n  web:\n    image: a\n    ports: [\"8080:80\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	served := func(port string) bool { return b.run("curl", "--silent", "http://10.0.0.5:"+port+"/").code == 0 }
	inside("systemctl start docker nginx; cd /opt/a && docker-compose -p a up -d")
	if !served("8080") || !served("80") {
		t.Error("the project or nginx does not answer")
	}
	inside("cp /opt/a/compose.yaml /root/copy && cmp -s /opt/a/compose.yaml /root/copy && echo 'server { listen 81; }' > /etc/nginx/conf.d/a.conf && nginx -t -q")
	if !served("81") || served("80") {
		t.Error("nginx does not listen where its file says")
	}
	inside("echo 'server {' > /etc/nginx/conf.d/a.conf; nginx -t || echo more >> /root/copy; cmp -s /opt/a/compose.yaml /root/copy || systemctl stop docker")
	if served("8080") {
		t.Error("what a container publishes is served without Docker")
	}
}
