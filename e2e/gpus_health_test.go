package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"phoenix/e2e/nvmlfake"
	"phoenix/e2e/realhost"
)

// illness is a state of a card, as the driver tells it, and what a check makes of it.
type illness struct {
	name, line string
	// status of the step, and what its reason or else one of its warnings says.
	status string
	says   string
	note   bool // it says so in a warning
}

func illnesses() []illness {
	return []illness{
		{name: "well", line: "temperature 33", status: "ok"},
		{name: "off the bus", line: "lost now", status: "failed", says: "it has fallen off the bus"},
		{name: "crashes", line: "fault nvmlDeviceGetPowerUsage segv", status: "failed", says: "the driver's library crashed over it"},
		{name: "row not replaced", line: "remapped_rows 0 1 0 1", status: "failed", says: "could not be replaced"},
		{name: "rows pending", line: "remapped_rows 0 1 1 0", status: "ok", says: "rows of its memory are to be replaced", note: true},
		{name: "pages pending", line: "retired_pending 1", status: "ok", says: "pages of its memory are to be used no more", note: true},
		{name: "errors now", line: "ecc_volatile 0 2", status: "failed", says: "2 errors of its memory could not be corrected since"},
		{name: "errors before", line: "ecc_aggregate 0 3", status: "ok", says: "3 errors of its memory could not be corrected over its life", note: true},
		{name: "too hot", line: "temperature 90", status: "failed", says: "it is 90 C hot"},
		{name: "slowed by heat", line: "throttle 64", status: "ok", says: "the hardware has at least halved its clocks", note: true},
		{name: "slowed by its supply", line: "throttle 128", status: "ok", says: "power supply", note: true},
	}
}

// card is one whose first line about a thing is the illness.
func (i illness) card() nvmlfake.Card {
	return nvmlfake.RTX4090(0, i.line, "ecc 1 1", "ecc_volatile 0 0", "ecc_aggregate 0 0", "temperature_limits 92 89", "remapped_rows 0 0 0 0", "retired_pages 0 0", "retired_pending 0")
}

func TestACheckJudgesTheCards(t *testing.T) {
	t.Parallel()
	all := illnesses()
	// Each kernel that may come up has its module.
	const modules = "for k in $(uname -r) $(ls /boot | sed -n 's/^vmlinuz-//p'); do mkdir -p /lib/modules/$k/updates/dkms; touch /lib/modules/$k/updates/dkms/nvidia.ko; done\n"
	r := newRig(t, len(all), realhost.Options{Cards: laidCards(t, nvmlfake.Machine{Lines: nvmlfake.Driver(), Cards: []nvmlfake.Card{all[0].card()}}), Prepare: modules})
	r.inventory(t, "")
	r.write(t, "hypervisor.json", `{"version": 1, "nvidia": {"gpu_policy": "shared"}}`)
	r.write(t, "lxc.json", `{"version": 1}`)
	for i, ill := range all {
		m := nvmlfake.Machine{Lines: nvmlfake.Driver(), Cards: []nvmlfake.Card{ill.card()}}
		if err := m.Write(r.Hosts[i].Path(nvmlfake.OnHost)); err != nil {
			t.Fatal(err)
		}
	}
	before := r.digestsOfFiles(t)
	var got struct {
		Hosts []struct {
			Name  string
			Steps []struct {
				ID, Status, Why string
				Warnings        []string
			}
		}
	}
	out := r.phoenix(t, "check", "-o", "json").want(t, 1)
	if err := json.Unmarshal([]byte(out.stdout), &got); err != nil {
		t.Fatal(err)
	}
	for i, ill := range all {
		t.Run(ill.name, func(t *testing.T) {
			for _, h := range got.Hosts {
				for _, s := range h.Steps {
					if h.Name != r.Hosts[i].Name || s.ID != "gpus:host" {
						continue
					}
					warned := strings.Join(s.Warnings, "\n")
					where := map[bool]string{true: warned, false: s.Why}[ill.note]
					if s.Status != ill.status || !strings.Contains(where, ill.says) || !ill.note && warned != "" || ill.status == "ok" && s.Why != "" {
						t.Errorf("the step is %s: %q, warnings %q; want %s: %q", s.Status, s.Why, s.Warnings, ill.status, ill.says)
					}
					return
				}
			}
			t.Errorf("nobody judged the cards:\n%s", out.stdout)
		})
	}
	if after := r.digestsOfFiles(t); before != after {
		t.Errorf("the check wrote on a host:\n%s\nbefore:\n%s", after, before)
	}
	r.phoenix(t, "check", "-l", "pve1").want(t, 0)
	r.phoenix(t, "check", "-l", "pve5").want(t, 0).says(t, "rows of its memory are to be replaced")
	r.phoenix(t, "check", "-l", "pve2", "--tags", "gpus").want(t, 1).says(t, "fallen off the bus")
}

// digestsOfFiles is the state of what a check of the cards could change on the hosts: the
// configuration, and the nodes.
func (r *rig) digestsOfFiles(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, h := range r.Hosts {
		out, err := h.Exec(t.Context(), "sh", "-c", "find /etc /lib/modules /boot -xdev -type f ! -name 'nvmlfake*' -exec md5sum {} + | sort | md5sum; stat -c '%n %F %t %T %a %u %g %i %Z' /dev/nvidia*")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s", h.Name, out)
	}
	return b.String()
}
