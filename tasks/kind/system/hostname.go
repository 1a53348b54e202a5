package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/dpkg"
	"phoenix/tasks/pve"
)

const (
	hostnameFile = "/etc/hostname"
	hostsFile    = "/etc/hosts"
	kernelName   = "/proc/sys/kernel/hostname"
	vmlist       = "/etc/pve/.vmlist"
	corosync     = "/etc/pve/corosync.conf"
)

// naming is everything that knows the machine's name.
type naming struct {
	// file has what the next boot takes, kernel what counts now.
	file, kernel string
	// node is the name under which Proxmox VE runs; empty on another machine.
	node  string
	hosts string
}

func readNaming(h tasks.Host) (naming, error) {
	var n naming
	for _, read := range []struct {
		path string
		into *string
	}{{hostnameFile, &n.file}, {kernelName, &n.kernel}, {hostsFile, &n.hosts}} {
		data, _, err := tasks.ReadIfExists(h, read.path)
		if err != nil {
			return n, err
		}
		*read.into = string(data)
	}
	n.file, n.kernel = firstWord(n.file), firstWord(n.kernel)
	status, err := dpkg.Read(h)
	if err != nil {
		return n, err
	}
	if p, ok := status.Find("pve-cluster"); ok && p.Installed() {
		n.node, err = pve.Node(h)
	}
	return n, err
}

// firstWord is the first line that is not a comment, without a domain.
func firstWord(text string) string {
	for _, line := range tasks.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			name, _, _ := strings.Cut(line, ".")
			return name
		}
	}
	return ""
}

func (t *task) checkHostname(h tasks.Host, d *tasks.Diff) error {
	n, err := readNaming(h)
	if err != nil {
		return err
	}
	want := t.spec.Hostname
	c := tasks.Change{Path: "hostname", From: n.file, To: want, Effect: tasks.EffectLive}
	switch {
	case n.file != want:
		refused, err := t.refusal(h, n)
		if err != nil {
			return err
		}
		if refused != nil {
			c.Note = refused.Note()
		} else if n.node != "" {
			c.Note = "Proxmox VE takes the name at the next boot; what is in /etc/pve/nodes/" + n.node + " stays there"
		}
	case n.kernel != want:
		c.From += ", the kernel says " + n.kernel
	case !resolves(n.hosts, want):
		c.From += ", " + hostsFile + " has no address of this host for it"
	case n.node != "" && n.node != want:
		c.From, c.Effect = c.From+", Proxmox VE runs as "+n.node, tasks.EffectReboot
	default:
		return nil
	}
	*d = append(*d, c)
	return nil
}

// refusal says why the node must keep its name. Proxmox VE keeps guests, certificates
// and firewall under the node's name; those of a renamed node are gone from its view.
func (t *task) refusal(h tasks.Host, n naming) (*tasks.RefusedError, error) {
	if n.node == "" {
		return nil, nil
	}
	what := fmt.Sprintf("renaming node %s to %s", n.node, t.spec.Hostname)
	if _, err := h.Stat(corosync); err == nil {
		return &tasks.RefusedError{What: what, Instead: "it is part of a cluster: take it out, rename it and let it join again"}, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data, err := h.ReadFile(vmlist)
	if err != nil {
		return nil, fmt.Errorf("see whether node %s has guests: %w", n.node, err)
	}
	guests, err := pve.ParseVMList(data)
	if err != nil {
		return nil, err
	}
	if len(guests) > 0 {
		return &tasks.RefusedError{What: what, Instead: fmt.Sprintf("it has %d guests: move them away or back them up first", len(guests))}, nil
	}
	return nil, nil
}

func (t *task) setHostname(ctx context.Context, h tasks.Host) error {
	n, err := readNaming(h)
	if err != nil {
		return err
	}
	want := t.spec.Hostname
	if n.file != want {
		refused, err := t.refusal(h, n)
		if err != nil {
			return err
		}
		if refused != nil {
			return refused
		}
	}
	// First of all the address: without one, Proxmox VE does not start under the name.
	if !resolves(n.hosts, want) {
		if err := t.setHosts(ctx, h, n); err != nil {
			return err
		}
	}
	if n.file == want && n.kernel == want {
		return nil
	}
	_, err = tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"hostnamectl", "set-hostname", want}})
	return err
}

func (t *task) setHosts(ctx context.Context, h tasks.Host, n naming) error {
	address := ""
	if !resolves(rename(n.hosts, n.file, t.spec.Hostname, ""), t.spec.Hostname) {
		var err error
		if address, err = ownAddress(ctx, h); err != nil {
			return err
		}
	}
	return h.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: hostsFile, Update: func(old []byte) ([]byte, error) {
		return []byte(rename(string(old), n.file, t.spec.Hostname, address)), nil
	}})
}

// ownAddress is the one that the machine speaks with to others: over IPv4, or over IPv6
// where there is no other.
func ownAddress(ctx context.Context, h tasks.Host) (string, error) {
	address, err := addressTowards(ctx, h, "192.0.2.1")
	if address == "" {
		if other, err6 := addressTowards(ctx, h, "2001:db8::1"); err6 == nil && other != "" {
			return other, nil
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("find an address for %s (or write the line by hand): %w", hostsFile, err)
	case address == "":
		return "", fmt.Errorf("find an address for %s: ip route get names none (write the line by hand)", hostsFile)
	}
	return address, nil
}

// addressTowards is the machine's own address on the way to another one, which is never
// sent anything.
func addressTowards(ctx context.Context, h tasks.Host, to string) (string, error) {
	out, err := tasks.Succeed(ctx, h, tasks.Cmd{Argv: []string{"ip", "-j", "route", "get", to}, ReadOnly: true})
	if err != nil {
		return "", err
	}
	var routes []struct {
		Source string `json:"prefsrc"`
	}
	if err := json.Unmarshal(out.Stdout, &routes); err != nil {
		return "", fmt.Errorf("read ip route get: %w", err)
	}
	for _, r := range routes {
		if a, err := netip.ParseAddr(r.Source); err == nil && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			return a.String(), nil
		}
	}
	return "", nil
}

// resolves tells whether the hosts file gives the name addresses, none of which is
// that of the loopback: Proxmox's cluster file system does not start with one.
func resolves(hosts, name string) bool {
	good := false
	for _, line := range tasks.Lines(hosts) {
		address, names := entry(line)
		for _, n := range names {
			if n != name {
				continue
			}
			if loopback(address) {
				return false
			}
			good = true
		}
	}
	return good
}

func entry(line string) (address string, names []string) {
	text, _, _ := strings.Cut(line, "#")
	f := strings.Fields(text)
	if len(f) == 0 {
		return "", nil
	}
	return f[0], f[1:]
}

func loopback(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.IsLoopback()
}

// rename gives the lines of a hosts file that have the old name the new one, with its
// domain, and takes both from the loopback. address, when given, is that of a new line.
func rename(hosts, from, to, address string) string {
	var b strings.Builder
	for _, line := range tasks.Lines(hosts) {
		b.WriteString(renameLine(line, from, to))
	}
	if address != "" {
		if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
			b.WriteByte('\n')
		}
		b.WriteString(address + " " + to + "\n")
	}
	return b.String()
}

func renameLine(line, from, to string) string {
	address, names := entry(line)
	var kept []string
	ours := false
	for _, n := range names {
		short, domain, dotted := strings.Cut(n, ".")
		if short != from && short != to || short == "localhost" {
			kept = append(kept, n)
			continue
		}
		if loopback(address) {
			ours = true
			continue
		}
		if ours = ours || short != to; dotted {
			kept = append(kept, to+"."+domain)
		} else {
			kept = append(kept, to)
		}
	}
	switch {
	case !ours:
		return line
	case len(kept) == 0:
		return "# " + line
	}
	text := address + " " + strings.Join(kept, " ")
	if _, comment, has := strings.Cut(strings.TrimSuffix(line, "\n"), "#"); has {
		text += " #" + comment
	}
	return text + "\n"
}
