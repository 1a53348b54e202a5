package main

import (
	"testing"

	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/report/render"
)

func TestWhatHasOneCauseIsToldOnceWithItsMend(t *testing.T) {
	const mends = "set nvidia.device_nodes"
	node := func(option, device string) bootcheck.Finding {
		return bootcheck.Finding{Option: option, Effect: bootcheck.EffectStops, What: device + " exists now, and nothing makes it at boot", Mend: mends}
	}
	b := boot{host: "pve1", data: bootcheck.Data{Containers: []bootcheck.Container{
		{CTID: 951, Name: "ai", Starts: bootcheck.No, Findings: []bootcheck.Finding{node("dev0", "/dev/nvidia1"), node("dev1", "/dev/nvidiactl")}},
		{CTID: 950, Name: "plex", Starts: bootcheck.No, Findings: []bootcheck.Finding{
			node("dev0", "/dev/nvidia0"), {Option: "mp0", Effect: bootcheck.EffectDisturbs, What: "/srv is empty", Mend: "mount it"}, node("dev1", "/dev/nvidiactl"),
		}},
	}}}
	want := `
pve1 after a reboot: 0 of 2 start
  951 ai does not start: dev0, dev1: /dev/nvidia1, /dev/nvidiactl exists now, and nothing makes it at boot
  950 plex does not start: dev0, dev1: /dev/nvidia0, /dev/nvidiactl exists now, and nothing makes it at boot
  950 plex is disturbed: mp0: /srv is empty
  mend 950-951 by: set nvidia.device_nodes
  mend 950 by: mount it
`
	if got := b.text(render.Options{}); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}
