package sim

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// guestAt is the running container that has an address, as a machine of its own; nil
// where none has it.
func (m *Machine) guestAt(ip netip.Addr) *Machine {
	for _, id := range m.guests() {
		if m.running(id) && slices.Contains(m.guestAddresses(id), ip) {
			return m.guestMachine(id)
		}
	}
	return nil
}

// guestAddresses are those that a container has, by its configuration.
func (m *Machine) guestAddresses(id int) []netip.Addr {
	data, err := m.read(m.confPath(id))
	if err != nil {
		return nil
	}
	cfg, _ := parseConfig(id, data)
	var out []netip.Addr
	for _, key := range cfg.numbered("net") {
		nic, fault := netSchema().split(cfg.keys[key])
		if fault != "" || normalBoolean(nic["link_down"]) == "1" {
			continue
		}
		for _, text := range []string{leased(id, key, nic["ip"]), nic["ip6"]} {
			if p, err := netip.ParsePrefix(text); err == nil {
				out = append(out, p.Addr())
			}
		}
	}
	return out
}

// leased is the IPv4 address of an interface: whoever asks by DHCP gets one.
func leased(id int, key, ip string) string {
	if ip == "dhcp" {
		return fmt.Sprintf("10.99.%d.%d/24", 99-number(key), 100+id%100)
	}
	return ip
}

// curlGuest serves the address of a container. It tells whether what is asked is an
// address by number that is not the machine's own.
func (c *call) curlGuest() (code int, met bool) {
	u, err := url.Parse(c.argv[len(c.argv)-1])
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return 0, false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil || ip.IsLoopback() {
		return 0, false
	}
	q, code := c.curlArgs()
	if code != 0 {
		return code, true
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	q.path = u.RequestURI()
	answer, at := c.reach(ip, port)
	if answer == nil {
		c.errorf("curl: (7) Failed to connect to %s port %s after 0 ms: Couldn't connect to server\n", u.Hostname(), port)
		if text, is := strings.CutPrefix(q.format, "%{stderr}"); is {
			c.errorf("%s", strings.NewReplacer("%{http_code}", "000", "%{remote_ip}", "", "%{remote_port}", "0").Replace(text))
		}
		return 7, true
	}
	q.format = strings.NewReplacer("%{remote_ip}", ip.String(), "%{remote_port}", port).Replace(q.format)
	in := *c
	in.m = at
	reply := answer(&in, q.request)
	return c.curlReply(q, reply), true
}

// reach is what listens on a port of a container that can be reached, nil for nothing.
func (c *call) reach(ip netip.Addr, port string) (responder, *Machine) {
	at := c.m.guestAt(ip)
	if at == nil {
		return nil, nil
	}
	for _, find := range localServers() {
		if answer := find(at, port); answer != nil {
			return answer, at
		}
	}
	return nil, at
}

// bash is a shell that can connect, too: `bash -c 'exec 3<>"/dev/tcp/$1/$2"' NAME HOST PORT`.
func bash(c *call) int {
	if len(c.argv) != 6 || c.argv[1] != "-c" || c.argv[2] != `exec 3<>"/dev/tcp/$1/$2"` {
		return shell(c)
	}
	name, host, port := c.argv[3], c.argv[4], c.argv[5]
	ip, err := netip.ParseAddr(host)
	if host == "localhost" {
		ip, err = netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if err != nil {
		c.errorf("%s: line 1: %s: Name or service not known\n%s: line 1: /dev/tcp/%s/%s: Invalid argument\n", name, host, name, host, port)
		return 1
	}
	at := c.m
	var answer responder
	if !ip.IsLoopback() {
		answer, at = c.reach(ip, port)
	}
	switch {
	case at == nil:
		c.errorf("%s: connect: No route to host\n%s: line 1: /dev/tcp/%s/%s: No route to host\n", name, name, host, port)
		return 1
	case answer == nil && !at.listens(port):
		c.errorf("%s: connect: Connection refused\n%s: line 1: /dev/tcp/%s/%s: Connection refused\n", name, name, host, port)
		return 1
	}
	return 0
}

// listens tells whether the kernel's table of sockets has one that listens (0A) on the
// port.
func (m *Machine) listens(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return false
	}
	for line := range strings.Lines(m.text("/proc/net/tcp")) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
			return true
		}
	}
	return false
}
