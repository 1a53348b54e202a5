package lxc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/taskstest"
)

// many is how many containers a large host has.
const many = 100

// crowd is a host on which that many containers run, and the steps that ask for them.
// The kernel's table of sockets is as long as on such a host: each monitor has a few,
// and systemd, the journal and Proxmox's daemons have theirs.
func crowd(t testing.TB, count int) (*machine, []tasks.Step) {
	t.Helper()
	m := gpuMachine(t, "8.4")
	steps := make([]tasks.Step, count)
	for i := range steps {
		steps[i] = crowdStep(100 + i)
	}
	wantEach(t, m, tasks.ModeRun, steps, tasks.StatusChanged)
	sockets := taskstest.Get(t, m.sim.Host(), "/proc/net/unix")
	for i := range 4*count + 400 {
		sockets += fmt.Sprintf("0000000000000000: 00000003 00000000 00000000 0001 03 %d /run/systemd/journal/stdout\n", 500000+i)
	}
	taskstest.Put(t, m.sim.Host(), "/proc/net/unix", sockets)
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	return m, steps
}

// crowdStep asks for a container with some of everything: every tenth has a card, a
// directory of the host, raw options, and a snapshot or a device.
func crowdStep(ctid int) tasks.Step {
	more := `"description":"of many","tags":["many"],"swap_mb":0,"start_at_boot":true,"boot_order":3`
	switch ctid % 10 {
	case 0:
		more += `,"gpu_assignment":"all"`
	case 1:
		more += `,"mount_points":[{"host_path":"/srv/many","container_path":"/data","owner_uid":33,"create":true}]`
	case 2:
		more += `,"lxc_options":["lxc.prlimit.nofile: 4096"]`
	case 3:
		more += `,"template_snapshot_name":"base"`
	case 4:
		more += `,"devices":[{"path":"/dev/null","mode":"0666"}]`
	}
	s := strings.Replace(spec(more), `"ctid":900`, fmt.Sprintf(`"ctid":%d`, ctid), 1)
	return tasks.Step{ID: lxc.StepID(ctid), Kind: lxc.Name, Spec: json.RawMessage(s)}
}

// wantEach runs the steps in one job and wants all to end alike.
func wantEach(t testing.TB, h tasks.Host, mode tasks.Mode, steps []tasks.Step, want tasks.Status) {
	t.Helper()
	r := tasks.Runner{Host: h, Registry: tasks.NewRegistry(lxc.Kind()), Emit: func(e tasks.Event) {
		if e.Result != nil && e.Result.Status != want {
			t.Errorf("%s: %s: %s %+v", e.Step, e.Result.Status, e.Result.Why, e.Result.Changes)
		}
	}}
	if err := r.Run(t.Context(), tasks.Job{RunID: "many", Mode: mode, Steps: steps}); err != nil {
		t.Fatal(err)
	}
}

// TestCheckOfAHundredContainersReadsEachTableOnce counts, which no slow machine changes:
// no program at all, and what is about the whole host once. The time is for a machine
// ten times as slow as the slowest host; the benchmark and make bench tell it.
func TestCheckOfAHundredContainersReadsEachTableOnce(t *testing.T) {
	m, steps := crowd(t, many)
	fastest := time.Hour
	for range 3 {
		m.Recorder = taskstest.NewRecorder(m.sim.Host())
		begin := time.Now()
		wantEach(t, m, tasks.ModeCheck, steps, tasks.StatusOK)
		fastest = min(fastest, time.Since(begin))
	}
	if started := m.Commands(); len(started) > 0 {
		t.Errorf("the check started %q", started)
	}
	reads := map[string]int{}
	for _, o := range m.Ops() {
		reads[o.Read]++
	}
	for _, table := range []string{"/proc/net/unix", "/proc/devices", "/etc/pve/storage.cfg"} {
		if reads[table] != 1 {
			t.Errorf("%s was read %d times", table, reads[table])
		}
	}
	if len(m.Ops()) > 4*many {
		t.Errorf("%d files were looked at for %d containers: %v", len(m.Ops()), many, reads)
	}
	if fastest > 500*time.Millisecond {
		t.Errorf("the check took %s", fastest)
	}
}

// A run may have changed what a table says, so it reads it anew.
func TestRunLooksAtWhatItHasChanged(t *testing.T) {
	m := newMachine(t, "8.4")
	steps := []tasks.Step{crowdStep(105), crowdStep(106)}
	wantEach(t, m, tasks.ModeRun, steps, tasks.StatusChanged)
	wantEach(t, m, tasks.ModeRun, steps, tasks.StatusOK)
}

func BenchmarkCheckOf100Containers(b *testing.B) {
	m, steps := crowd(b, many)
	for b.Loop() {
		wantEach(b, m.sim.Host(), tasks.ModeCheck, steps, tasks.StatusOK)
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/check")
}
