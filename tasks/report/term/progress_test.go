package term

import (
	"testing"

	"phoenix/tasks/report"
)

func TestAHostThatIsTurnedToAgainIsNotDone(t *testing.T) {
	var p progress
	turn := func(s report.HostStatus) {
		p.add(report.Event{Host: "pve1", HostStarted: &report.HostStarted{}})
		if p.done.Total != 0 || p.done.Drifted != 0 || len(p.busy) != 1 {
			t.Errorf("while it is under way, %+v are done and %d busy", p.done, len(p.busy))
		}
		p.add(report.Event{Host: "pve1", HostDone: &report.HostDone{Status: s}})
	}
	p.add(report.Event{RunStarted: &report.RunStarted{Hosts: []string{"pve1"}}})
	turn(report.HostDrifted)
	turn(report.HostChanged)
	if want := (report.HostCounts{Total: 1, Changed: 1}); p.done != want {
		t.Errorf("%+v are done, want %+v", p.done, want)
	}
}
