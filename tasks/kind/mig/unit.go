package mig

import (
	"context"
	"sort"
	"strconv"
	"strings"

	"phoenix/tasks"
)

const (
	unitName = "phoenix-mig.service"
	unitFile = "/etc/systemd/system/" + unitName
	// cardMark begins the lines of one card in the unit.
	cardMark = "# card "
)

// The unit makes the instances, none of which outlives a boot, and the nodes of unified
// memory, which nvidia-smi does not make and every container with an instance has. A line
// that fails, as one of a card that was taken out, keeps no other card from its own: a
// check tells what is missing.
const (
	unitHead = `# Written by phoenix.
[Unit]
Description=MIG instances of NVIDIA cards, before guests start
After=systemd-modules-load.service nvidia-persistenced.service phoenix-nvidia-nodes.service
Before=pve-guests.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/usr/bin/nvidia-modprobe -u -c 0
`
	unitTail = `
[Install]
WantedBy=multi-user.target
`
	startSMI = "ExecStart=-/usr/bin/nvidia-smi "
)

func (c *card) mark() string { return cardMark + c.uuid + " " + c.wanted() + "\n" }

// lines are those of one card as it is divided now, in the order in which they are run.
// The card goes by its UUID: its index and its address may change.
func (c *card) lines() string {
	out := c.mark() + startSMI + "-i " + c.uuid + " -mig 1\n"
	mig := startSMI + "mig -i " + c.uuid
	for _, g := range c.instances {
		out += mig + " -cgi " + g.profile + ":" + strconv.Itoa(g.start)
		if len(g.parts) == 1 && g.parts[0] == g.profile {
			out += " -C\n"
		} else {
			out += "\n" + mig + " -gi " + strconv.Itoa(g.id) + " -cci " + strings.Join(g.parts, ",") + "\n"
		}
	}
	for _, file := range c.access() {
		out += "ExecStart=-/usr/bin/nvidia-modprobe -f " + file + "\n"
	}
	return out
}

// wantedText is the unit as it should be. Cards that the spec does not name keep their
// lines. So do those that are not as wanted: their places are known once they are made.
// With ideal, these have at least what they should be divided into.
func (m *machine) wantedText(ideal bool) string {
	all := make(map[string]string)
	id := ""
	for _, l := range tasks.Lines(m.text) {
		if rest, is := strings.CutPrefix(l, cardMark); is {
			id, _, _ = strings.Cut(strings.TrimSpace(rest), " ")
		} else if !strings.HasPrefix(l, "ExecStart=") {
			id = ""
		}
		if id != "" {
			all[id] += l
		}
	}
	for _, c := range m.cards {
		switch {
		case c.layout.off():
			delete(all, c.uuid)
		case c.asWanted():
			all[c.uuid] = c.lines()
		case ideal && !strings.HasPrefix(all[c.uuid], c.mark()):
			all[c.uuid] = c.mark()
		}
	}
	var blocks []string
	for _, b := range all {
		blocks = append(blocks, b)
	}
	if len(blocks) == 0 {
		return ""
	}
	sort.Strings(blocks)
	return unitHead + strings.Join(blocks, "") + unitTail
}

// diffUnit compares the unit. What is left of it where a card cannot be changed now waits
// for that.
func (m *machine) diffUnit(d *tasks.Diff) {
	const to = "as wanted, at boot"
	ideal, effect, from := m.wantedText(true), tasks.EffectLive, to
	switch {
	case ideal == "" && m.text != "":
		d.Add("unit", "there", "", effect)
		return
	case ideal == "":
		return
	case m.text == "":
		from = "no unit"
	case !m.unit.Enabled():
		from = "not at boot"
	case m.text != ideal:
		from = "another unit"
	}
	if m.text == m.wantedText(false) && (m.text == "" || m.unit.Enabled()) {
		for _, c := range m.cards {
			if !c.asWanted() && !c.free() {
				effect = tasks.EffectPending
			}
		}
		for _, c := range m.cards {
			if !c.asWanted() && c.free() {
				effect = tasks.EffectLive
			}
		}
	}
	d.Add("unit", from, to, effect)
}

// setUnit writes the unit and has systemd start it at boot. It is not started now: what
// it makes is there.
func (m *machine) setUnit(ctx context.Context, h tasks.Host) error {
	e := tasks.Edit{Verb: tasks.VerbPut, Path: unitFile, Data: []byte(m.wantedText(false))}
	verb := "enable"
	switch {
	case len(e.Data) == 0 && m.text == "", string(e.Data) == m.text && m.unit.Enabled():
		return nil
	case len(e.Data) == 0:
		e.Verb, verb = tasks.VerbRemove, "disable"
		if err := run(ctx, h, "systemctl", verb, unitName); err != nil {
			return err
		}
	}
	if err := h.Write(ctx, e); err != nil {
		return err
	}
	if err := run(ctx, h, "systemctl", "daemon-reload"); err != nil || verb == "disable" {
		return err
	}
	return run(ctx, h, "systemctl", verb, unitName)
}
