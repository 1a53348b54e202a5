package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/ifupdown"
)

// edit makes the files say what d lacks of the spec.
func (t *task) edit(cfg *ifupdown.Config, d tasks.Diff) error {
	for _, name := range tasks.Keys(t.spec.Bridges) {
		if err := t.editBridge(cfg, name, d); err != nil {
			return fmt.Errorf("edit bridge %s: %w", name, err)
		}
	}
	return nil
}

func (t *task) editBridge(cfg *ifupdown.Config, name string, d tasks.Diff) error {
	want, at := t.spec.Bridges[name], "bridges."+name+"."
	if d.Has(at + "exists") {
		stanzas, err := stanzas(name, want)
		if err == nil {
			cfg.Files[0].Append(stanzas...)
		}
		return err
	}
	i, err := cfg.Interface(name)
	if err != nil {
		return err
	}
	e := editor{cfg: cfg, i: i, want: want}
	for _, p := range properties(want, i) {
		if !d.Has(at + p.name) {
			continue
		}
		if err := e.set(p.name); err != nil {
			return err
		}
	}
	return nil
}

// editor changes the stanzas of one bridge.
type editor struct {
	cfg  *ifupdown.Config
	i    ifupdown.Interface
	want Bridge
}

// set writes one property.
func (e *editor) set(name string) error {
	b := e.want
	switch name {
	case "autostart":
		return e.cfg.SetAuto(e.i, b.autostart())
	case "ports":
		return e.option("bridge-ports", strings.Join(portList(b.Ports), " "))
	case "vlan_aware":
		return e.option("bridge-vlan-aware", map[bool]string{true: "yes", false: "no"}[*b.VLANAware])
	case "vids":
		return e.option("bridge-vids", vids(b.VIDs))
	case "mtu":
		return e.option("mtu", strconv.Itoa(b.MTU))
	case "comment":
		return e.i.Stanzas[0].SetComment(b.Comment)
	case "nat":
		return readNAT(e.i).edit(e.i, rule{b.NAT.Subnet, b.NAT.Out})
	}
	for _, f := range families(b) {
		switch name {
		case f.path("address"):
			return e.address(f)
		case f.path("gateway"):
			return e.gateway(f)
		}
	}
	return fmt.Errorf("write %s: no such property", name)
}

// option writes an option of the bridge as a whole, into the stanza that has it.
func (e *editor) option(key, value string) error {
	to := e.i.Stanzas[0]
	for _, s := range e.i.Stanzas {
		if len(s.Values(key)) > 0 {
			to = s
		}
	}
	return to.Set(key, value)
}

// portList is what bridge-ports says.
func portList(names []string) []string {
	if len(names) == 0 {
		return []string{"none"}
	}
	return names
}

// stanzaOf finds the stanza for addresses of a family: the one that has some, the
// one that is for them, or a new one behind the others.
func (e *editor) stanzaOf(f family) (*ifupdown.Stanza, error) {
	for _, s := range e.i.Stanzas {
		if len(f.addresses(s)) > 0 {
			return s, nil
		}
	}
	for _, s := range e.i.Stanzas {
		if s.Family() == f.name || s.Family() == "" {
			return s, nil
		}
	}
	s, err := ifupdown.NewStanza("iface", e.i.Name, f.name, "static")
	if err != nil {
		return nil, err
	}
	n := len(e.i.Stanzas) - 1
	e.i.Files[n].InsertAfter(e.i.Stanzas[n], s)
	e.i.Stanzas, e.i.Files = append(e.i.Stanzas, s), append(e.i.Files, e.i.Files[n])
	return s, nil
}

// address replaces the first address of the family; others stay. What described the
// old one, its netmask and broadcast address, goes with it.
func (e *editor) address(f family) error {
	s, err := e.stanzaOf(f)
	if err != nil {
		return err
	}
	all := []string{canonical(f.address)}
	if old := f.addresses(s); len(old) > 1 {
		all = append(all, old[1:]...)
	}
	masked := len(s.Values("netmask")) > 0
	if err := s.Replace("address", f.has, all...); err != nil {
		return err
	}
	if masked {
		for _, key := range []string{"netmask", "network", "broadcast"} {
			if err := s.Set(key); err != nil {
				return err
			}
		}
	}
	if s.Method() == "static" {
		return nil
	}
	return s.SetMethod("static")
}

func (e *editor) gateway(f family) error {
	for _, s := range e.i.Stanzas {
		if slices.ContainsFunc(s.Values("gateway"), f.has) {
			return s.Replace("gateway", f.has, canonical(f.gateway))
		}
	}
	s, err := e.stanzaOf(f)
	if err != nil {
		return err
	}
	return s.Replace("gateway", f.has, canonical(f.gateway))
}

// stanzas makes a new bridge in the order in which Proxmox writes its options.
func stanzas(name string, b Bridge) ([]*ifupdown.Stanza, error) {
	method := map[bool]string{true: "static", false: "manual"}
	w := writer{}
	var out []*ifupdown.Stanza
	if b.autostart() {
		out = append(out, w.stanza("auto", name))
	}
	main := w.stanza("iface", name, "inet", method[b.Address != ""])
	out = append(out, main)
	w.option(main, "address", canonical(b.Address))
	w.option(main, "gateway", canonical(b.Gateway))
	w.option(main, "bridge-ports", strings.Join(portList(b.Ports), " "))
	w.option(main, "bridge-stp", "off")
	w.option(main, "bridge-fd", "0")
	if b.VLANAware != nil && *b.VLANAware {
		w.option(main, "bridge-vlan-aware", "yes")
	}
	w.option(main, "bridge-vids", vids(b.VIDs))
	if b.MTU != 0 {
		w.option(main, "mtu", strconv.Itoa(b.MTU))
	}
	if b.NAT != nil {
		r := rule{b.NAT.Subnet, b.NAT.Out}
		w.option(main, "post-up", forwarding, r.up())
		w.option(main, "post-down", r.down())
	}
	if b.Comment != "" {
		w.keep(main.SetComment(b.Comment))
	}
	if b.Address6 != "" {
		second := w.stanza("iface", name, "inet6", "static")
		w.option(second, "address", canonical(b.Address6))
		w.option(second, "gateway", canonical(b.Gateway6))
		out = append(out, second)
	}
	return out, w.err
}

// writer keeps the first error of many small writes.
type writer struct{ err error }

func (w *writer) keep(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) stanza(words ...string) *ifupdown.Stanza {
	s, err := ifupdown.NewStanza(words...)
	w.keep(err)
	return s
}

// option writes an option that has a value.
func (w *writer) option(s *ifupdown.Stanza, key string, values ...string) {
	if s != nil && values[0] != "" {
		w.keep(s.Set(key, values...))
	}
}

// fresh is the text of a new bridge.
func fresh(name string, b Bridge) (string, error) {
	list, err := stanzas(name, b)
	if err != nil {
		return "", err
	}
	var text []string
	for _, s := range list {
		text = append(text, s.Text())
	}
	return strings.Join(text, "\n"), nil
}

// addresses are where the host may be reached once d is in effect, and could not
// before. Each one costs whoever confirms a try, so others are left out.
func (t *task) addresses(d tasks.Diff) []string {
	var out []string
	for _, name := range tasks.Keys(t.spec.Bridges) {
		at := "bridges." + name + "."
		for _, f := range families(t.spec.Bridges[name]) {
			p, err := netip.ParsePrefix(f.address)
			isNew := d.Has(at+"exists") || d.Has(at+"live") || d.Has(at+f.path("address")) || d.Has(at+"live."+f.path("address"))
			if err == nil && isNew {
				out = append(out, p.Addr().String())
			}
		}
	}
	return out
}
