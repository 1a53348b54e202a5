package firewall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/fwfile"
	"phoenix/tasks/ruleset"
)

func (s *Spec) waived() bool { return s.KeepManagementOpen != nil && !*s.KeepManagementOpen }

// management makes the rules that keep people in, one for each family of addresses.
// Where nothing is written down, an address that was let in stays in: the hosts of a
// cluster may see the operator come from different ones.
func (s *Spec) management(ctx context.Context, h tasks.Host, file *fwfile.File) ([]fwfile.Rule, error) {
	if s.waived() {
		return nil, nil
	}
	ports, err := managementPorts(h)
	if err != nil {
		return nil, err
	}
	ports = withPortsOf(file, ports)
	from := s.ManagementFrom
	if len(from) == 0 {
		var any bool
		if from, any = openTo(file); any {
			from = nil
		} else if peer, known := peerOf(ctx); known && !covers(from, peer) {
			from = append(from, peer.String())
		}
	}
	rule := fwfile.Rule{Type: "IN", Action: "ACCEPT", Proto: "tcp", Dport: ports, Comment: ruleset.ManagementComment}
	if len(from) == 0 {
		return []fwfile.Rule{rule.Canonical()}, nil
	}
	var out []fwfile.Rule
	for _, v6 := range []bool{false, true} {
		one := slices.DeleteFunc(slices.Clone(from), func(s string) bool { return strings.Contains(s, ":") != v6 })
		if rule.Source = strings.Join(one, ","); len(one) > 0 {
			out = append(out, rule.Canonical())
		}
	}
	return out, nil
}

// withPortsOf adds the ports that the present rules let in: the hosts of a cluster share
// the rule, and their SSH servers need not listen on the same one.
func withPortsOf(file *fwfile.File, ports string) string {
	all := map[string]bool{}
	for _, p := range strings.Split(ports, ",") {
		all[p] = true
	}
	for _, r := range file.Rules() {
		if !ruleset.IsManagement(r) {
			continue
		}
		for _, p := range strings.Split(r.Dport, ",") {
			if ruleset.Port(p) > 0 {
				all[p] = true
			}
		}
	}
	return strings.Join(tasks.Keys(all), ",")
}

// openTo is whom the present rules let in, and whether that is everybody.
func openTo(file *fwfile.File) (from []string, any bool) {
	for _, r := range file.Rules() {
		if !ruleset.IsManagement(r) {
			continue
		}
		if r.Source == "" {
			return nil, true
		}
		for _, s := range strings.Split(r.Source, ",") {
			if _, err := ruleset.ParsePrefix(s); err == nil {
				from = append(from, s)
			}
		}
	}
	return from, false
}

// peerOf is the address that the operator comes from.
func peerOf(ctx context.Context) (netip.Addr, bool) {
	a, err := netip.ParseAddr(tasks.ScopeOf(ctx).Peer)
	return a.Unmap().WithZone(""), err == nil
}

func covers(networks []string, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(s string) bool {
		p, err := ruleset.ParsePrefix(s)
		return err == nil && p.Contains(a)
	})
}

// shutOut is the refusal to change a firewall from where it would not let us in
// again; nil where it would.
func (s *Spec) shutOut(ctx context.Context) *tasks.RefusedError {
	peer, known := peerOf(ctx)
	if s.waived() || len(s.ManagementFrom) == 0 || !known || peer.IsLoopback() || covers(s.ManagementFrom, peer) {
		return nil
	}
	return &tasks.RefusedError{
		What:    "changing the firewall from " + peer.String(),
		Instead: "add " + peer.String() + " to management_from, or set keep_management_open to false",
	}
}

// managementPorts are the ports of the web interface and of SSH: 22, and those that
// sshd is told to listen on.
func managementPorts(h tasks.Host) (string, error) {
	const config, dropIns = "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d"
	names, err := h.ReadDir(dropIns)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("find the ports of SSH: %w", err)
	}
	files := []string{config}
	for _, name := range names {
		if path.Ext(name) == ".conf" {
			files = append(files, dropIns+"/"+name)
		}
	}
	ports := map[string]bool{"22": true, "8006": true}
	for _, file := range files {
		data, _, err := tasks.ReadIfExists(h, file)
		if err != nil {
			return "", err
		}
		for _, line := range tasks.Lines(string(data)) {
			if p, ok := sshdPort(line); ok {
				ports[p] = true
			}
		}
	}
	return strings.Join(tasks.Keys(ports), ","), nil
}

// sshdPort finds the port in a line of sshd_config: "Port 22" or
// "ListenAddress [::]:22".
func sshdPort(line string) (string, bool) {
	words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n=\"", r) })
	if len(words) < 2 {
		return "", false
	}
	found := ""
	switch strings.ToLower(words[0]) {
	case "port":
		found = words[1]
	case "listenaddress":
		if a, err := netip.ParseAddrPort(words[1]); err == nil {
			found = strconv.Itoa(int(a.Port()))
		}
	}
	return found, ruleset.Port(found) > 0
}
