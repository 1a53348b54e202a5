package render

import (
	"bytes"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/report"
)

func drifted(name string, paths ...string) report.Host {
	h := report.Host{Name: name, Status: report.HostDrifted, Counts: report.StepCounts{Total: 3}}
	for _, p := range paths {
		h.Steps = append(h.Steps, report.Step{ID: p, Result: tasks.Result{
			Status: tasks.StatusWouldChange, Changes: tasks.Diff{{Path: "p", From: "a", To: "b", Effect: tasks.EffectLive}},
		}})
	}
	return h
}

func TestWhatHostsShareIsSaidOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		hosts []report.Host
		want  string
	}{
		"some steps are the same on all, and one is each host's own": {
			[]report.Host{drifted("pve1", "apt", "motd1"), drifted("pve2", "apt", "motd2"), drifted("pve3", "apt")},
			"pve1, pve2, pve3  drifted  3 steps - 0 ms\n" +
				"  ~ apt  would change\n      ~ p  a -> b  (live)\n" +
				"  pve1 besides:\n    ~ motd1  would change\n        ~ p  a -> b  (live)\n" +
				"  pve2 besides:\n    ~ motd2  would change\n        ~ p  a -> b  (live)\n\n",
		},
		"hosts that share nothing stand alone": {
			[]report.Host{drifted("pve1", "a"), drifted("pve2", "b")},
			"pve1  drifted  3 steps - 0 ms\n  ~ a  would change\n      ~ p  a -> b  (live)\n\n" +
				"pve2  drifted  3 steps - 0 ms\n  ~ b  would change\n      ~ p  a -> b  (live)\n\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Text(&out, report.Report{Hosts: tc.hosts}, Options{}); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); !bytes.HasPrefix(out.Bytes(), []byte(tc.want)) {
				t.Errorf("got\n%s\nwant it to begin with\n%s", got, tc.want)
			}
		})
	}
}
