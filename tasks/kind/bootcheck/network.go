package bootcheck

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// bridges looks which of a container's bridges do not come up at boot. Those that are
// not there now have been told.
func (m *machine) bridges(s *start, missing map[string]bool) {
	for _, key := range pve.IndexedKeys(s.options, "net") {
		p, err := pve.ParsePropertyString(s.options[key], "")
		name, ok := p.Get("bridge")
		if err != nil || !ok || missing[key] {
			continue
		}
		if m.noNetwork != "" {
			s.add(EffectUnknown, key, fmt.Sprintf("whether bridge %s comes up at boot cannot be told: %s", name, m.noNetwork), "")
			continue
		}
		i, err := m.network.Interface(name)
		switch {
		case err != nil:
			s.add(EffectUnknown, key, fmt.Sprintf("whether bridge %s comes up at boot cannot be told: %v", name, err), "")
		case len(i.Stanzas) == 0 && m.vnet(name):
		case len(i.Stanzas) == 0:
			s.add(EffectStops, key, fmt.Sprintf("bridge %s exists now, and is not in %s: no boot makes it", name, m.network.Files[0].Path), "add it to the configuration of the host's network")
		case !i.Auto && !m.carried(name):
			s.add(EffectStops, key, fmt.Sprintf("bridge %s has no line \"auto %s\": no boot brings it up", name, name), fmt.Sprintf("add \"auto %s\" before its stanza in %s", name, i.Files[0].Path))
		}
	}
}

// vnet tells whether a name is a virtual network of Proxmox's, which comes up with its
// own files.
func (m *machine) vnet(name string) bool {
	for _, line := range tasks.Lines(m.text("/etc/pve/sdn/vnets.cfg")) {
		if strings.TrimSpace(line) == "vnet: "+name {
			return true
		}
	}
	return false
}

// carried tells whether an interface that comes up at boot lies on this one, which then
// comes up first.
func (m *machine) carried(name string) bool {
	for _, f := range m.network.Files {
		for _, st := range f.Stanzas() {
			if st.Keyword() != "iface" || st.Name() == name {
				continue
			}
			i, err := m.network.Interface(st.Name())
			if err != nil || !i.Auto {
				continue
			}
			below := strings.Fields(strings.Join(append(i.Values("bridge-ports"), i.Values("vlan-raw-device")...), " "))
			if slices.Contains(below, name) || strings.HasPrefix(st.Name(), name+".") {
				return true
			}
		}
	}
	return false
}

// place is an address of an interface on a network.
type place struct{ network, address string }

// conflicts finds addresses that two containers, or one and the host, would both have on
// one bridge after the boot.
func (m *machine) conflicts(plan []start) {
	taken := make(map[place]string)
	if m.noNetwork == "" {
		for _, f := range m.network.Files {
			for _, st := range f.Stanzas() {
				for _, a := range st.Values("address") {
					taken[place{st.Name(), bare(a)}] = "the host"
				}
			}
		}
	}
	for i := range plan {
		s := &plan[i]
		if s.guest.Template() {
			continue
		}
		for _, key := range pve.IndexedKeys(s.options, "net") {
			p, err := pve.ParsePropertyString(s.options[key], "")
			if err != nil {
				continue
			}
			for _, at := range places(p) {
				if other, ok := taken[at]; ok {
					s.add(EffectDisturbs, key, fmt.Sprintf("%s has the address %s on %s, too", other, at.address, at.network), "give one of them another address")
				} else {
					taken[at] = fmt.Sprintf("container %d", s.CTID)
				}
			}
		}
	}
}

// places are the addresses of an interface that do not depend on others.
func places(p pve.PropertyString) []place {
	network, _ := p.Get("bridge")
	if tag, ok := p.Get("tag"); ok {
		network += "." + tag
	}
	var out []place
	for _, key := range []string{"ip", "ip6"} {
		if v, _ := p.Get(key); bare(v) != "" {
			out = append(out, place{network, bare(v)})
		}
	}
	if mac, ok := p.Get("hwaddr"); ok {
		out = append(out, place{network, strings.ToUpper(mac)})
	}
	return out
}

// bare is an address without the length of its network; "" for words such as dhcp.
func bare(text string) string {
	addr, _, _ := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return ""
	}
	return ip.String()
}
