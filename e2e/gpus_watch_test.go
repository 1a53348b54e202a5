package e2e

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"phoenix/e2e/nvmlfake"
	"phoenix/e2e/realhost"
)

// gpuWatch is `phoenix gpus --watch` while it goes on.
type gpuWatch struct {
	cmd            *exec.Cmd
	stdout, stderr liveText
}

func (r *rig) watchGPUs(t *testing.T) *gpuWatch {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	w := &gpuWatch{cmd: r.command(ctx, "gpus", "--watch", "--every", "500ms")}
	w.cmd.Stdout, w.cmd.Stderr = &w.stdout, &w.stderr
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = w.cmd.Wait() })
	return w
}

// more waits for that many more sheets of a host whose cards were told by the library.
func (w *gpuWatch) more(t *testing.T, sheets int) {
	t.Helper()
	before := len(w.stdout.String())
	eventually(t, "sheets with both cards", func() bool {
		n := 0
		for _, sheet := range strings.Split(w.stdout.String()[before:], "\n\n") {
			if strings.Contains(sheet, "pve1  2 GPUs") && strings.Contains(sheet, "driver 550.54.15") && !strings.Contains(sheet, "? pve1") {
				n++
			}
		}
		return n >= sheets
	})
}

// end sends a signal and returns the exit status.
func (w *gpuWatch) end(t *testing.T, s syscall.Signal) int {
	t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := w.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return w.cmd.ProcessState.ExitCode()
}

func TestGPUsAreWatchedByOneHelperAndOneProbe(t *testing.T) {
	cards := nvmlfake.Machine{Lines: nvmlfake.Driver(), Cards: []nvmlfake.Card{nvmlfake.RTX4090(0), nvmlfake.RTX4090(1)}}
	r := newRig(t, 1, realhost.Options{Cards: laidCards(t, cards)})
	r.configure(t, `{"version": 1}`, `{"version": 1}`)
	r.phoenix(t, "gpus").want(t, 0).says(t, "pve1  2 GPUs")
	opened, logins := r.asked(0), r.logins()
	gone := func(t *testing.T) {
		t.Helper()
		eventually(t, "the helper, the probe and its reader leave", func() bool { return len(r.processes(0, "agentlet-")) == 0 })
	}
	t.Run("five samples, and Ctrl-C", func(t *testing.T) {
		w := r.watchGPUs(t)
		w.more(t, 5)
		if pids := r.processes(0, "agentlet-"); len(pids) != 3 {
			t.Errorf("%d processes on the host, want the helper, the probe and its reader", len(pids))
		}
		if n, l := r.asked(0)-opened, r.logins()-logins; n != 1 || l != 1 {
			t.Errorf("the library was opened %d times, and the host logged in to %d times; want once", n, l)
		}
		if code := w.end(t, syscall.SIGINT); code != 130 || w.stderr.String() != "" {
			t.Errorf("exit status %d, stderr %q", code, w.stderr.String())
		}
		gone(t)
	})
	t.Run("the probe is killed: another goes on", func(t *testing.T) {
		w := r.watchGPUs(t)
		w.more(t, 1)
		helper := r.pidOfHelper(t)
		if err := syscall.Kill(r.processes(0, "agentlet-nvml-")[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		w.more(t, 2)
		if now := r.pidOfHelper(t); now != helper {
			t.Errorf("the helper was process %d and is %d", helper, now)
		}
		if code := w.end(t, syscall.SIGTERM); code != 143 {
			t.Errorf("exit status %d", code)
		}
		gone(t)
	})
	t.Run("the helper is killed: the probe goes with it, and another comes", func(t *testing.T) {
		w := r.watchGPUs(t)
		w.more(t, 1)
		helper, probes := r.pidOfHelper(t), r.processes(0, "agentlet-nvml-")
		if err := syscall.Kill(helper, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the host is shown as lost", func() bool { return strings.Contains(w.stdout.String(), "! pve1: follow the job on pve1") })
		w.more(t, 2)
		for _, pid := range probes {
			eventually(t, "the first probe has left", func() bool { return syscall.Kill(pid, 0) != nil })
		}
		w.end(t, syscall.SIGINT)
		gone(t)
	})
	t.Run("phoenix is killed", func(t *testing.T) {
		w := r.watchGPUs(t)
		w.more(t, 1)
		w.end(t, syscall.SIGKILL)
		gone(t)
	})
}

// pidOfHelper is the one helper that runs on the first host.
func (r *rig) pidOfHelper(t *testing.T) int {
	t.Helper()
	probes := map[int]bool{}
	for _, pid := range r.processes(0, "agentlet-nvml-") {
		probes[pid] = true
	}
	for _, pid := range r.processes(0, "agentlet-") {
		if !probes[pid] {
			return pid
		}
	}
	t.Fatal("no helper runs")
	return 0
}
