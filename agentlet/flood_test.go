package agentlet

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/local"
)

// heap is what is in use, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A program that prints a million lines with a secret in each: its lines are bounded, in
// the message, on the machine and in memory, the secret is in none, and the step ends well.
func TestAMillionLinesAreBoundedAndRedactedOnTheirWay(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, func(s *Server) {
		s.Host = func(output string) tasks.Host { return &local.Host{OutputDir: output} }
	})
	before := heap()
	j := job(tasks.ModeRun, "r1", step("a", "million"))
	j.Secrets = map[string]string{"root": "correct horse"}
	s.start(j)
	var lines, cut, most int
	var last tasks.Result
	for {
		m := s.read()
		if m.Done != nil {
			break
		}
		switch e := m.Event; {
		case e == nil:
		case e.Result != nil:
			last = *e.Result
		case e.Log == nil:
		case strings.Contains(e.Log.Text, "is cut off here, at 1 MiB"):
			cut++
		case e.Log.Stream == "task": // that some were left out
		case strings.Contains(e.Log.Text, "horse"):
			t.Fatalf("sent %q", e.Log.Text)
		default:
			lines++
		}
		if lines%10000 == 1 {
			most = max(most, int(heap())-int(before))
		}
	}
	const each = len("the password is correct horse\n")
	if lines == 0 || lines > tasks.MaxOutput/each+1 || cut != 1 || last.Status != tasks.StatusChanged {
		t.Errorf("%d lines of %d, cut %d times, %+v", lines, tasks.MaxOutput/each, cut, last)
	}
	if most > 48<<20 {
		t.Errorf("the heap grew by %d MiB", most>>20)
	}
	data, err := os.ReadFile(filepath.Join(dir, "state/runs/r1", eventsFile))
	if err != nil || len(data) > 12<<20 || bytes.Contains(data, []byte("horse")) {
		t.Errorf("the journal has %d bytes, %v", len(data), err)
	}
	s.send(wire.Message{Confirm: &wire.Confirm{Token: "r1"}})
	if err := s.in.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.out.Read(); err != io.EOF {
		t.Error(err)
	}
}
