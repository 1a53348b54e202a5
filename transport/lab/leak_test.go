package lab

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"phoenix/tasks"
)

// A fleet of a thousand hosts is worked on by one process, which must not keep
// anything of a host that is over, however it ended.
func TestNothingOfAHostThatIsOverIsLeftInTheProcess(t *testing.T) {
	l := start(t, Options{Hosts: 12, Hostile: map[string]Hostility{
		"pve2": {Garbage: true}, "pve3": {Silent: true}, "pve4": {NoSFTP: true}, "pve5": {Full: true}, "pve6": {Banner: "Welcome\n"},
	}})
	round := func() {
		var g sync.WaitGroup
		for _, h := range l.Hosts {
			g.Go(func() { _, _, _ = run(t.Context(), l, h, options(tasks.ModeCheck, motd("x\n"))) })
		}
		g.Wait()
	}
	round() // what is made once and kept is not meant
	before := settled(0)
	for range 3 {
		round()
	}
	// Each round that leaves one goroutine per host would leave 36.
	if after := settled(before + 6); after > before+6 {
		t.Errorf("%d goroutines before, %d after three more rounds", before, after)
	}
}

// settled is the number of goroutines once it has not changed for a while, or is at
// most enough.
func settled(enough int) int {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last, same := -1, 0
	for range 500 {
		n := runtime.NumGoroutine()
		if n == last {
			same++
		} else {
			last, same = n, 0
		}
		if same > 50 || n <= enough {
			break
		}
		<-tick.C
	}
	return last
}
