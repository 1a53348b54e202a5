package mig

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
)

func golden(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTables_ofNvidiaSMI(t *testing.T) {
	list, err := parseInstances("0", golden(t, "lgi.txt"), golden(t, "lci.txt"))
	if err != nil || described(list) != "2c.3g.20gb 1c.3g.20gb 2g.10gb 1g.5gb+me 1g.5gb" && described(list) != "2c.3g.20gb 1c.3g.20gb 2g.10gb 1g.5gb 1g.5gb+me" {
		t.Errorf("instances %s, %v", described(list), err)
	}
	if other, err := parseInstances("1", golden(t, "lgi.txt"), golden(t, "lci.txt")); err != nil || described(other) != "7g.40gb without a compute instance" {
		t.Errorf("instances of the other card %s, %v", described(other), err)
	}
	offers, err := parseOffers("0", golden(t, "lgip.txt"), golden(t, "lgipp.txt"))
	if err != nil || len(offers) != 7 {
		t.Fatalf("%d offers, %v", len(offers), err)
	}
	if o := offerOf(offers, "1g.10gb"); o.total != 4 || o.size != 2 || !slices.Equal(o.starts, []int{0, 2, 4, 6}) {
		t.Errorf("1g.10gb is %+v", o)
	}
	if o := offerOf(offers, "7g.40gb"); o.total != 1 || o.size != 8 || !slices.Equal(o.starts, []int{0}) {
		t.Errorf("7g.40gb is %+v", o)
	}
	for _, text := range []string{"| 0 MIG 1g.5gb 19 7 |", "| 0 MIG 1g.5gb 19 x 0:1 |", "| 0 MIG gb 19 7 0:1 |", "| 0 MIG 1g.5gb 19 7 0:1 |\n| 0 MIG 1g.5gb 19 7 1:1 |"} {
		if got, err := parseInstances("0", text, ""); err == nil {
			t.Errorf("%q is read as %s", text, described(got))
		}
	}
}

func TestPlan(t *testing.T) {
	offers, err := parseOffers("0", golden(t, "lgip.txt"), golden(t, "lgipp.txt"))
	if err != nil {
		t.Fatal(err)
	}
	gi := func(id int, profile string, start int, parts ...string) *instance {
		return &instance{id: id, profile: profile, start: start, parts: parts, ids: make([]int, len(parts))}
	}
	for _, c := range []struct {
		name string
		now  []*instance
		want string
		is   string
	}{
		{"from nothing", nil, "3g.20gb 2g.10gb 1g.5gb 1g.5gb", "-cgi 3g.20gb:4,2g.10gb:2,1g.5gb:1,1g.5gb:0 -C"},
		{"what can be at one place only", nil, "4g.20gb 3g.20gb", "-cgi 4g.20gb:0,3g.20gb:4 -C"},
		{"beside what is there", []*instance{gi(1, "3g.20gb", 0, "3g.20gb")}, "3g.20gb 1g.5gb", "-cgi 1g.5gb:6 -C"},
		{"one of two goes", []*instance{gi(7, "1g.5gb", 0, "1g.5gb"), gi(8, "1g.5gb", 1, "1g.5gb")}, "1g.5gb", "-dci -gi 8;-dgi -gi 8"},
		{"parts of one", nil, "2c.3g.20gb 1c.3g.20gb", "-cgi 3g.20gb:4"},
		{"parts go into what is there", []*instance{gi(2, "3g.20gb", 4, "1c.3g.20gb")}, "1c.3g.20gb 1c.3g.20gb 1c.3g.20gb", "-gi 2 -cci 1c.3g.20gb,1c.3g.20gb"},
		{"an empty one is filled", []*instance{gi(2, "3g.20gb", 4)}, "3g.20gb", "-gi 2 -cci"},
		{"an empty one goes", []*instance{gi(2, "3g.20gb", 4)}, "1g.5gb", "-dgi -gi 2;-cgi 1g.5gb:6 -C"},
		{"all anew", []*instance{gi(1, "3g.20gb", 0, "3g.20gb")}, "4g.20gb 3g.20gb", "-dci -gi 1;-dgi -gi 1;-cgi 4g.20gb:0,3g.20gb:4 -C"},
		{"one engine only", nil, "1g.5gb+me 1g.5gb", "-cgi 1g.5gb+me:6,1g.5gb:5 -C"},
	} {
		p, err := planFor(c.now, strings.Fields(c.want), offers)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		card := &card{status: &status{address: "A", current: wordOn}, layout: strings.Fields(c.want), plan: p}
		got := strings.ReplaceAll(strings.Join(card.commands(), ";"), "mig -i A ", "")
		if got != c.is {
			t.Errorf("%s: %q, want %q", c.name, got, c.is)
		}
	}
	for _, want := range []string{"1g.5gb+me 1g.5gb+me", "3g.20gb 3g.20gb 1g.5gb", "7g.40gb 1g.5gb"} {
		if _, err := planFor(nil, strings.Fields(want), offers); err == nil || !strings.Contains(err.Error(), "do not fit") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestSpec_faults(t *testing.T) {
	for text, want := range map[string]string{
		`{"mig":{"0":["1g.5gb","3g.20gb+me.all","2c.4g.48gb+gfx"],"0000:41:00.0":"off","GPU-00000000-0000-0000-0000-000000000001":[]}}`: "",
		`{"mig":{"gpu0":[]}}`:                      `mig.gpu0: "gpu0" is not the name of a card`,
		`{"mig":{"41:00.0":[],"0000:41:00.0":[]}}`: "is the card that 0000:41:00.0 names too",
		`{"mig":{"0":["3g"]}}`:                     `mig.0.0: "3g" is no profile`,
		`{"mig":{"0":["1g.5gb","4c.3g.20gb"]}}`:    `mig.0.1: "4c.3g.20gb" is no profile`,
		`{"mig":{"0":["3c.3g.20gb"]}}`:             `mig.0.0: "3c.3g.20gb" is no profile`,
		`{"mig":{"0":["1g.5gb\n"]}}`:               `is no profile`,
		`{"mig":{"0":["off","1g.5gb"]}}`:           `mig.0.0: "off" is no profile`,
		`{"mig":{"0":"on"}}`:                       `want a list of profiles, or "off"`,
		`{"mig":{"0":null}}`:                       `want a list of profiles, or "off"`,
		`{"mig":{"0":["1g.5gb","1g.5gb","1g.5gb","1g.5gb","1g.5gb","1g.5gb","1g.5gb","1g.5gb"]}}`: "no card has more than 7",
	} {
		s := new(Spec)
		err := tasks.UnmarshalStrict([]byte(text), s)
		said := ""
		if err != nil {
			said = err.Error()
		}
		for _, p := range s.Validate() {
			said += p.String()
		}
		if (want == "") != (said == "") || !strings.Contains(said, want) {
			t.Errorf("%s: %q, want %q", text, said, want)
		}
		raw, err := json.Marshal(s)
		again := new(Spec)
		if err != nil || want == "" && (tasks.UnmarshalStrict(raw, again) != nil || !again.Layouts["0000:41:00.0"].off()) {
			t.Errorf("%s is written as %s, %v", text, raw, err)
		}
	}
}

// TestUnit_isWhatSystemdTakes has systemd read the unit, in a folder where its programs
// exist.
func TestUnit_isWhatSystemdTakes(t *testing.T) {
	c := &card{status: &status{uuid: "GPU-00000000-0000-0000-0000-000000000001", current: wordOn}, minor: 1, layout: Layout{"3g.20gb", "1c.2g.10gb"}, instances: []*instance{
		{id: 2, start: 4, profile: "3g.20gb", parts: []string{"3g.20gb"}, ids: []int{0}}, {id: 3, profile: "2g.10gb", parts: []string{"1c.2g.10gb"}, ids: []int{0}},
	}}
	text := (&machine{cards: []*card{c}}).wantedText(false)
	if want := golden(t, unitName); text != want {
		t.Errorf("the unit is\n%s\nwant\n%s", text, want)
	}
	dir := t.TempDir()
	program, at := filepath.Join(dir, "program"), filepath.Join(dir, unitName)
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer("/usr/bin/nvidia-smi", program, "/usr/bin/nvidia-modprobe", program).Replace(text)
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", at).CombinedOutput()
	if err != nil || strings.Contains(string(out), unitName) {
		t.Errorf("systemd-analyze verify: %v (apt-get install systemd)\n%s", err, out)
	}
}

// FuzzInstances: every instance that is read has a number and a profile of the text.
func FuzzInstances(f *testing.F) {
	f.Add(golden(f, "lgi.txt"), golden(f, "lci.txt"))
	f.Fuzz(func(t *testing.T, gpus, computes string) {
		list, err := parseInstances("0", gpus, computes)
		if err != nil {
			return
		}
		for _, g := range list {
			if g.id < 0 || g.start < 0 || !strings.Contains(gpus, g.profile) || len(g.parts) != len(g.ids) || byID(list, g.id) != g {
				t.Errorf("%q is read as %+v", gpus, g)
			}
		}
	})
}

// FuzzOffers: every profile that has places has a size, and no place is below 0.
func FuzzOffers(f *testing.F) {
	f.Add(golden(f, "lgip.txt"), golden(f, "lgipp.txt"))
	f.Fuzz(func(t *testing.T, profiles, places string) {
		offers, err := parseOffers("0", profiles, places)
		for _, o := range offers {
			if len(o.starts) > 0 && (o.size < 1 || slices.Min(o.starts) < 0) || err != nil {
				t.Errorf("%q is read as %+v, %v", places, o, err)
			}
		}
	})
}

// FuzzStatus: what is read of a card has names in the form in which they are compared.
func FuzzStatus(f *testing.F) {
	f.Add("0, 0, GPU-00000000-0000-0000-0000-000000000000, , , 00")
	f.Add("0, 00000000:41:00.0, GPU-00000000-0000-0000-0000-000000000001, Enabled, Disabled, NVIDIA A100-SXM4-40GB\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseStatus(text)
		for _, s := range list {
			if err != nil || !strings.HasPrefix(s.uuid, "GPU-") || !strings.Contains(s.address, ":") || strings.ContainsAny(s.index+s.address+s.uuid, " \n") {
				t.Errorf("%q is read as %+v", text, s)
			}
		}
	})
}
