package gpulock

import (
	"reflect"
	"strings"
	"testing"

	"phoenix/tasks/gpufacts"
)

const soundMIG = "MIG-aaaaaaaa-1111-2222-3333-444455556666"

func TestSound_writesEveryNameInOneForm(t *testing.T) {
	told := *box("\u202eNVIDIA\x1b[2J RTX\x00 "+strings.Repeat("x", 200_000)+"/24", rtx3060, rtx3060, rtx3060)
	told.GPUs[0].UUID, told.GPUs[0].PCIAddress = strings.ToUpper(uuid("a")), "00000000:01:00.0"
	told.GPUs[0].MIG = &gpufacts.MIG{Enabled: true, Instances: []gpufacts.MIGInstance{
		{UUID: strings.ToUpper(soundMIG), Profile: "1g.5gb\n"}, {UUID: "MIG-" + uuid("a") + "/1/0"}, {UUID: soundMIG},
	}}
	told.GPUs[1].UUID, told.GPUs[1].PCIAddress = "GPU-\x1b[2J", "../../etc"
	told.GPUs[3].UUID = told.GPUs[2].UUID
	told.Cards[1].Address = "\n"
	before := told.GPUs[0].UUID
	got := Sound(told)
	if told.GPUs[0].UUID != before || told.GPUs[0].MIG.Instances[1].UUID == "" || told.Cards[1].Address != "\n" {
		t.Error("what was told is otherwise now")
	}
	g := got.GPUs
	if g[0].UUID != uuid("a") || g[0].PCIAddress != address(0) || g[1].UUID != "" || g[1].PCIAddress != "" || g[2].UUID != uuid("c") || g[3].UUID != "" {
		t.Errorf("cards %+v", g)
	}
	if n := g[0].Name; !strings.HasPrefix(n, "NVIDIA[2J RTX x") || len(n) > longestName {
		t.Errorf("the name is %q", n)
	}
	var parts []string
	for _, p := range g[0].MIG.Instances {
		parts = append(parts, p.UUID+" "+p.Profile)
	}
	if want := []string{soundMIG + " 1g.5gb", " ", " "}; !reflect.DeepEqual(parts, want) {
		t.Errorf("parts %q, want %q", parts, want)
	}
	if len(got.Cards) != 3 {
		t.Errorf("on the bus: %+v", got.Cards)
	}
}

// FuzzSound holds that what was chosen from what a host tells can be read again.
func FuzzSound(f *testing.F) {
	f.Add(uuid("a"), address(0), "NVIDIA RTX", soundMIG, "1g.5gb")
	f.Add("GPU-\x1b", "00000000:01:00.0", "\u202e", "MIG-"+uuid("a")+"/1/0", "\n")
	f.Fuzz(func(t *testing.T, id, at, name, part, profile string) {
		h := box("x/24", "y/24")
		for i := range h.GPUs {
			h.GPUs[i].UUID, h.GPUs[i].PCIAddress, h.GPUs[i].Name, h.Cards[i].Address = id, at, name, at
		}
		h.GPUs[1].MIG = &gpufacts.MIG{Enabled: true, Instances: []gpufacts.MIGInstance{{UUID: part, Profile: profile}}}
		sound := Sound(*h)
		wants := []Want{{CTID: 900, Names: []string{"0", "1"}}, {CTID: 901, Request: &Request{}}, {CTID: 902, Request: &Request{MIG: "1g.5gb"}}}
		choice := Pick(&sound, wants, policy(""), nil)
		l := &Lock{Version: Version}
		of := l.Of("pve1")
		of.Cards, of.Containers = choice.Cards, choice.Pins
		data, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(data); err != nil {
			t.Errorf("%v\n%s", err, data)
		}
	})
}
