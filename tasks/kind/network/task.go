// Package network keeps Linux bridges in /etc/network/interfaces and in the kernel as
// they are wanted: their ports, addresses, gateways, VLANs, MTU and masquerading.
//
// It edits the lines that differ, in whichever file has them, and leaves every other
// byte alone. What it writes is put into effect by ifreload, under a watchdog that
// brings the old network back unless the operator gets in over a new connection. It
// never removes a bridge, an address beside the wanted one, or a rule of somebody
// else, and it does not write while changes of the web interface wait to be applied.
// Start reading at Spec; written.go has what files say, kernel.go what runs, edit.go
// what is written, apply.go how it gets into effect.
package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/ifupdown"
)

// Name of the family in steps and in step IDs.
const Name = "network"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task { return &task{*s} }

type task struct{ spec Spec }

// Check compares each bridge with the files and, where those are as wanted, with the
// kernel: "bridges.vmbr0.mtu" is to be written, "bridges.vmbr0.live.mtu" is written
// and not in effect.
func (t *task) Check(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	refused, same, err := pending(h)
	if err != nil {
		return nil, err
	}
	d, err := t.differs(ctx, h)
	if err != nil || refused == nil || same && len(d) == 0 {
		return d, err
	}
	d = append(d, tasks.Change{Path: "pending", From: ifupdown.Pending, Effect: tasks.EffectLive})
	for i := range d {
		d[i].Note = refused.Note()
	}
	return d, nil
}

// pending is the refusal to write beside changes that somebody made in the web
// interface and has not applied: they would undo ours at the next boot. same says
// that they change nothing.
func pending(h tasks.Host) (refused *tasks.RefusedError, same bool, err error) {
	next, there, err := tasks.ReadIfExists(h, ifupdown.Pending)
	if err != nil || !there {
		return nil, false, err
	}
	now, _, err := tasks.ReadIfExists(h, ifupdown.Main)
	return &tasks.RefusedError{
		What:    "changing the network while changes wait in " + ifupdown.Pending,
		Instead: "press Apply Configuration or Revert in the web interface (node, System, Network) first",
	}, bytes.Equal(next, now), err
}

// differs compares files and kernel with what is wanted.
func (t *task) differs(ctx context.Context, h tasks.Host) (tasks.Diff, error) {
	cfg, err := ifupdown.Read(h)
	if err != nil {
		return nil, err
	}
	var d tasks.Diff
	for _, name := range tasks.Keys(t.spec.Bridges) {
		if err := t.reaches(h, cfg, name); err != nil {
			return nil, err
		}
		more, err := t.bridge(&kernel{ctx, h}, cfg, name)
		if err != nil {
			return nil, fmt.Errorf("compare bridge %s: %w", name, err)
		}
		d = append(d, more...)
	}
	return d, nil
}

// reaches refuses ports and ways out that there are not and that nothing makes:
// ifupdown2 would take the old network down before it complains.
func (t *task) reaches(h tasks.Host, cfg *ifupdown.Config, name string) error {
	b := t.spec.Bridges[name]
	type use struct{ name, what string }
	var uses []use
	for _, p := range b.Ports {
		uses = append(uses, use{p, "port"})
	}
	if b.NAT != nil {
		uses = append(uses, use{b.NAT.Out, "nat.out"})
	}
	for _, u := range uses {
		there, err := t.interfaceOf(h, cfg, u.name)
		if err != nil {
			return fmt.Errorf("find %s %s of bridge %s: %w", u.what, u.name, name, err)
		}
		if !there {
			return fmt.Errorf("find %s %s of bridge %s: the host has no such interface, and no iface stanza makes it (ls %s shows those that it has)", u.what, u.name, name, sysNet)
		}
	}
	return nil
}

// interfaceOf tells whether an interface is there, or is made by a stanza, by this
// configuration, or by ifupdown2 itself: eno1.30 is a VLAN of eno1.
func (t *task) interfaceOf(h tasks.Host, cfg *ifupdown.Config, name string) (bool, error) {
	if _, wanted := t.spec.Bridges[name]; wanted {
		return true, nil
	}
	i, err := cfg.Interface(name)
	if err != nil || len(i.Stanzas) > 0 {
		return err == nil, err
	}
	_, err = h.Stat(sysNet + name)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return false, nil
	}
	if vid, err := strconv.Atoi(name[dot+1:]); err != nil || vid < 1 || vid > maxVID {
		return false, nil
	}
	return t.interfaceOf(h, cfg, name[:dot])
}

func (t *task) bridge(k *kernel, cfg *ifupdown.Config, name string) (tasks.Diff, error) {
	want, at := t.spec.Bridges[name], "bridges."+name
	i, err := cfg.Interface(name)
	if err != nil {
		return nil, err
	}
	if len(i.Stanzas) == 0 {
		text, err := fresh(name, want)
		return tasks.Diff{{Path: at + ".exists", To: "bridge", Effect: tasks.EffectLive, Note: text}}, err
	}
	if err := editable(i); err != nil {
		return nil, err
	}
	var d tasks.Diff
	all := properties(want, i)
	for _, p := range all {
		d.Add(at+"."+p.name, p.written, p.want, tasks.EffectLive)
	}
	if !want.autostart() || !i.Auto {
		return d, nil // ifreload does not care for it
	}
	at += ".live"
	state, err := k.state(name)
	if err != nil || state != "" {
		d.Add(at, state, "up", tasks.EffectLive)
		return d, err
	}
	for _, p := range all {
		if p.running == nil || p.written != p.want {
			continue // once written, it is put into effect
		}
		running, err := p.running(k)
		if err != nil {
			return nil, err
		}
		d.Add(at+"."+p.name, running, p.want, tasks.EffectLive)
	}
	return d, nil
}

// editable refuses a stanza that another program writes anew.
func editable(i ifupdown.Interface) error {
	for _, f := range i.Files {
		if path.Clean(f.Path) == "/etc/network/interfaces.d/sdn" {
			return errors.New("it is made by Proxmox's software-defined network (change it in the web interface: Datacenter, SDN)")
		}
	}
	return nil
}
