package inventory

import (
	"phoenix/inventory/document"
	"phoenix/tasks/kind/pveuser"
	"phoenix/tasks/kind/user"
)

// users reads the section users as far as it is about the machine. An entry that speaks
// of Proxmox alone makes no user of the machine.
func (l *loader) users(n *document.Node) []user.Spec {
	var out []user.Spec
	for _, m := range objects(n) {
		if len(m.Value.Members) == 1 && m.Value.Get("pve") != nil {
			continue
		}
		var s user.Spec
		l.decode(section{what: "user " + m.Key, node: m.Value.Without("pve"), at: m.KeyPos, extra: map[string]any{"name": m.Key}}, &s)
		out = append(out, s)
	}
	return out
}

// pveUsers reads what the section users says of Proxmox's users.
func (l *loader) pveUsers(n *document.Node) []pveuser.Spec {
	var out []pveuser.Spec
	for _, m := range objects(n) {
		p := m.Value.Get("pve")
		if p == nil || p.Kind != document.Object {
			continue
		}
		var s pveuser.Spec
		l.decode(section{what: "Proxmox user " + m.Key, node: p, at: p.Pos, extra: map[string]any{"name": m.Key}}, &s)
		out = append(out, s)
	}
	return out
}
