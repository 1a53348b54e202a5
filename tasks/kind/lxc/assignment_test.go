package lxc_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks/kind/lxc"
)

const (
	uuid1 = "GPU-b7bdd928-0000-0000-0000-000000000001"
	uuid2 = "GPU-3129ab86-0000-0000-0000-000000000002"
)

func TestAssignmentNamesCardsInOneForm(t *testing.T) {
	for text, want := range map[string]string{
		`"0,1"`:                            "0 1",
		`"0, 1"`:                           "0 1",
		`1`:                                "1",
		`[0,"1"]`:                          "0 1",
		`["0000:01:00.0"]`:                 "0000:01:00.0",
		`"00000000:0A:00.0"`:               "0000:0a:00.0",
		`"0a:00.0"`:                        "0000:0a:00.0",
		`"0001:01:00.0"`:                   "0001:01:00.0",
		`"00010000:01:00.0"`:               "10000:01:00.0",
		`"` + uuid1 + `,1"`:                uuid1 + " 1",
		`"gpu-` + uuid1[4:] + `"`:          uuid1,
		`"GPU-ABCDEF00` + uuid1[12:] + `"`: "GPU-abcdef00" + uuid1[12:],
		`"none"`:                           "",
		`"all"`:                            "",
	} {
		var a lxc.Assignment
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := strings.Join(a.Cards(), " "); got != want {
			t.Errorf("%s names %q, want %q", text, got, want)
		}
		if problems := (&lxc.Spec{CTID: 900, GPUAssignment: a}).Validate(); len(problems) > 0 {
			t.Errorf("%s: %v", text, problems)
		}
	}
	for _, text := range []string{`{}`, `true`, `[[0]]`, `[true]`, `null`} {
		var s lxc.Spec
		if err := json.Unmarshal([]byte(`{"gpu_assignment":`+text+`}`), &s); err == nil && text != "null" {
			t.Errorf("%s is read as %q", text, s.GPUAssignment)
		}
	}
}

func TestAssignmentFaults(t *testing.T) {
	for name, c := range map[string]struct{ more, path, summary string }{
		"an empty list":                  {`"gpu_assignment":[]`, "gpu_assignment", "names no card"},
		"an empty text":                  {`"gpu_assignment":""`, "gpu_assignment.0", `"" is not the name of a card`},
		"another separator":              {`"gpu_assignment":"0;1"`, "gpu_assignment.0", `"0;1" is not the name of a card`},
		"an index with a zero before it": {`"gpu_assignment":"00"`, "gpu_assignment.0", `"00" is not the name of a card`},
		"an index below 0":               {`"gpu_assignment":-1`, "gpu_assignment.0", `"-1" is not the name of a card`},
		"a fraction":                     {`"gpu_assignment":[0.5]`, "gpu_assignment.0", `"0.5" is not the name of a card`},
		"half a UUID":                    {`"gpu_assignment":"GPU-00000000"`, "gpu_assignment.0", `"GPU-00000000" is not the name of a card`},
		"a part of a card":               {`"gpu_assignment":"MIG-GPU-00000000-0000-0000-0000-000000000001/1/0"`, "gpu_assignment.0", "is not the UUID of a MIG instance"},
		"an address with a bad function": {`"gpu_assignment":"0000:01:00.9"`, "gpu_assignment.0", `"0000:01:00.9" is not the name of a card`},
		"a line break":                   {`"gpu_assignment":"0\nlxc.x: 1"`, "gpu_assignment.0", "is not the name of a card"},
		"a card twice":                   {`"gpu_assignment":"0,1,0"`, "gpu_assignment.2", "0 is named twice"},
		"a card twice in two forms":      {`"gpu_assignment":["01:00.0","0000:01:00.0"]`, "gpu_assignment.1", "0000:01:00.0 is named twice"},
		"all beside a card":              {`"gpu_assignment":"0,all"`, "gpu_assignment.1", `"all" stands alone`},
		"none beside a card":             {`"gpu_assignment":["none","1"]`, "gpu_assignment.0", `"none" stands alone`},
		"a node in devices as well":      {`"gpu_assignment":"none","devices":[{"path":"/dev/nvidia-uvm"}]`, "devices.0.path", "/dev/nvidia-uvm belongs to gpu_assignment"},
		"a mount in raw lines as well":   {`"gpu_assignment":"0","lxc_options":["lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind"]`, "lxc_options.0", "gpu_assignment gives these devices"},
		"a rule in raw lines as well":    {`"gpu_assignment":"0","lxc_options":["lxc.cap.drop:","lxc.cgroup2.devices.allow = c 195:* rwm"]`, "lxc_options.1", "gpu_assignment gives these devices"},
		"a rule of version 1 of cgroups": {`"gpu_assignment":"0","lxc_options":["lxc.cgroup.devices.allow: c 195:0 rw"]`, "lxc_options.0", "gpu_assignment gives these devices"},
	} {
		t.Run(name, func(t *testing.T) {
			var s lxc.Spec
			if err := json.Unmarshal([]byte(`{"ctid":900,`+c.more+`}`), &s); err != nil {
				t.Fatal(err)
			}
			got := s.Validate()
			if len(got) != 1 || got[0].Path != c.path || !strings.Contains(got[0].Summary, c.summary) {
				t.Errorf("problems %+v, want one at %s: %s", got, c.path, c.summary)
			}
		})
	}
}

func TestAssignmentLeavesOtherDevicesAndLinesToTheirKeys(t *testing.T) {
	var s lxc.Spec
	const text = `{"ctid":900,"gpu_assignment":"0","devices":[{"path":"/dev/nvidia-caps/nvidia-cap1"},{"path":"/dev/dri/card0"}],` +
		`"lxc_options":["lxc.mount.entry: /dev/net/tun dev/net/tun none bind","lxc.cgroup2.devices.allow: c 10:200 rwm","lxc.cgroup2.devices.allow: a"]}`
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if got := s.Validate(); len(got) > 0 {
		t.Errorf("problems %+v", got)
	}
}

// FuzzAssignment: names that are right come to the same cards when they are read again
// in their one form.
func FuzzAssignment(f *testing.F) {
	for _, text := range []string{`"0,1"`, `[0,"all"]`, `"00010000:0A:00.0"`, `"` + uuid1 + `"`, `3`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var a, again lxc.Assignment
		if json.Unmarshal(text, &a) != nil || len((&lxc.Spec{CTID: 900, GPUAssignment: a}).Validate()) > 0 {
			return
		}
		cards := a.Cards()
		if a.None() || a.All() {
			if len(cards) > 0 {
				t.Errorf("%s names %q", text, cards)
			}
			return
		}
		encoded, err := json.Marshal(strings.Join(cards, ","))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(encoded, &again); err != nil || !slices.Equal(again.Cards(), cards) || len(cards) != len(a) {
			t.Errorf("%s names %q, and again %q, %v", text, cards, again.Cards(), err)
		}
	})
}
