package gpufacts

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParse_takesADocumentWithCardsOrWithAnError(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"cards", `{"gpus":[{"index":0}]}`, ""},
		{"no cards", `{"gpus":[]}`, ""},
		{"an error", `{"error":{"kind":"timeout","text":"x"}}`, ""},
		{"neither", `{}`, "neither cards nor an error"},
		{"both", `{"gpus":[],"error":{"kind":"other","text":"x"}}`, "or both"},
		{"two documents", `{"gpus":[]} {"gpus":[]}`, "invalid character"},
		{"cut off", `{"gpus":[{"index":0}`, "unexpected end"},
		{"too long", `{"gpus":[]}` + strings.Repeat(" ", maxDocument), "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Parse([]byte(c.text))
			if c.want == "" && (err != nil || d == nil) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %+v, %v, want %q", d, err, c.want)
			}
		})
	}
}

func TestAFactThatIsNotKnown_isAbsent(t *testing.T) {
	zero, no := 0, false
	for _, c := range []struct {
		name string
		gpu  GPU
		want string
	}{
		{"nothing known", GPU{}, `{"index":0}`},
		{"zeros that are known", GPU{Minor: &zero, PersistenceMode: &no, FansPercent: []int{0}, Temperature: &Temperature{GPU: &zero}},
			`{"index":0,"minor":0,"temperature":{"gpu_c":0},"fans_percent":[0],"persistence_mode":false}`},
		{"lists that are known to be empty", GPU{Processes: []Process{}, ThrottleReasons: []string{}, MIG: &MIG{Instances: []MIGInstance{}}},
			`{"index":0,"throttle_reasons":[],"mig":{"enabled":false,"instances":[]},"processes":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(c.gpu)
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
}
