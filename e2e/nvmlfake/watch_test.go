package nvmlfake

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"phoenix/tasks/gpufacts"
)

// watching is a probe that prints samples until its input is closed.
type watching struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines *bufio.Scanner
}

func (r *rig) watch(t *testing.T, args ...string) *watching {
	t.Helper()
	w := &watching{cmd: r.command(t, append([]string{"--every", "20ms"}, args...)...)}
	in, err := w.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.in, w.lines = in, bufio.NewScanner(out)
	return w
}

// until reads documents up to the first that is wanted.
func (w *watching) until(t *testing.T, wanted func(gpufacts.Document) bool) gpufacts.Document {
	t.Helper()
	for range 200 {
		if !w.lines.Scan() {
			break
		}
		doc, err := gpufacts.Parse(w.lines.Bytes())
		if err != nil {
			t.Fatalf("%v: %s", err, w.lines.Text())
		}
		if wanted(*doc) {
			return *doc
		}
	}
	t.Fatalf("no such document; the last is %s", w.lines.Text())
	return gpufacts.Document{}
}

// end closes the probe's input and returns its exit status.
func (w *watching) end(t *testing.T) int {
	t.Helper()
	if err := w.in.Close(); err != nil {
		t.Error(err)
	}
	for w.lines.Scan() { // to its end
	}
	var exit *exec.ExitError
	if err := w.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	return w.cmd.ProcessState.ExitCode()
}

func TestWatch_samplesWithTheLibraryOpenUntilItsInputEnds(t *testing.T) {
	r := newRig(t, Current, Machine{Driver(), []Card{RTX4090(0)}})
	w := r.watch(t)
	at := func(percent int) func(gpufacts.Document) bool {
		return func(d gpufacts.Document) bool { return d.GPUs[0].Utilization.GPU == percent }
	}
	w.until(t, at(12))
	if err := (Machine{Driver(), []Card{RTX4090(0, "utilization 88 40")}}).Write(r.file + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		t.Fatal(err)
	}
	w.until(t, at(88))
	if status := w.end(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if inits, err := os.ReadFile(r.file + ".inits"); err != nil || string(inits) != "init\n" {
		t.Errorf("the library was opened %q, %v; want once", inits, err)
	}
}

func TestWatch_asksACardThatHungNoMore(t *testing.T) {
	r := newRig(t, Current, Machine{Driver(), []Card{RTX4090(0), RTX4090(1, "fault nvmlDeviceGetTemperature hang")}})
	w := r.watch(t, "--deadline", "4s")
	samples := 0
	doc := w.until(t, func(gpufacts.Document) bool { samples++; return samples == 5 })
	if !whole(doc.GPUs[0]) {
		t.Errorf("the good card is %+v", doc.GPUs[0])
	}
	if bad := doc.GPUs[1]; bad.Error == nil || bad.Error.Kind != gpufacts.KindTimeout || bad.UUID == "" || bad.Name == "" || bad.Memory != nil {
		t.Errorf("the other is %+v", bad)
	}
	if status := w.end(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if inits, err := os.ReadFile(r.file + ".inits"); err != nil || string(inits) != "init\ninit\n" {
		t.Errorf("the library was opened %q, %v; want twice", inits, err)
	}
}

func TestWatch_endsWithTheDriver(t *testing.T) {
	r := newRig(t, Current, Machine{Driver(), []Card{RTX4090(0)}})
	w := r.watch(t)
	w.until(t, func(gpufacts.Document) bool { return true })
	if err := (Machine{Lines: append(Driver(), "fault nvmlDeviceGetCount_v2 999")}).Write(r.file + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		t.Fatal(err)
	}
	w.until(t, func(d gpufacts.Document) bool { return d.Error != nil })
	if status := w.end(t); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
}

func TestAProbeThatIsKilled_leavesNoProcessThatHangsInTheDriver(t *testing.T) {
	r := newRig(t, Current, Machine{append(Driver(), "fault nvmlInit_v2 hang"), nil})
	w := r.watch(t)
	var child int
	eventually(t, "a reader that hangs in the library", func() bool {
		children, _ := os.ReadFile("/proc/" + strconv.Itoa(w.cmd.Process.Pid) + "/task/" + strconv.Itoa(w.cmd.Process.Pid) + "/children")
		child, _ = strconv.Atoi(strings.TrimSpace(string(children)))
		_, err := os.Stat(r.file + ".inits")
		return child > 0 && err == nil
	})
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Wait(); err == nil {
		t.Error("it ended well")
	}
	eventually(t, "the end of the reader", func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, there func() bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("there was never %s", what)
		}
	}
}
