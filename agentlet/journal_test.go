package agentlet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
)

func TestAClockThatWasSetBackDoesNotCostTheRunItsRecord(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	for i := range 25 {
		run := filepath.Join(state, "runs", fmt.Sprintf("future%02d", i))
		later := time.Now().Add(time.Duration(i+1) * time.Hour)
		if err := errors.Join(os.MkdirAll(run, 0o700), os.WriteFile(filepath.Join(run, collectedFile), nil, 0o600), os.Chtimes(run, later, later)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	s.start(job(tasks.ModeRun, "r1", step("a", "ok")))
	s.rest("r1")
	left := runFolders(filepath.Join(state, "runs"))
	if !exists(filepath.Join(state, "runs", "r1", eventsFile)) || len(left) != keepRuns {
		t.Errorf("%d runs are left, among them ours: %v", len(left), exists(filepath.Join(state, "runs", "r1")))
	}
}

func TestALineAfterHalfALineIsReadAgain(t *testing.T) {
	j := openJournal(t.TempDir(), *job(tasks.ModeRun, "r1"))
	if j.fault != nil {
		t.Fatal(j.fault)
	}
	j.write(tasks.Event{Step: "a", Log: logLine("before")})
	if _, err := j.events.WriteString(`{"step":"b","lo`); err != nil { // all that a full disk took
		t.Fatal(err)
	}
	j.torn = true
	j.write(tasks.Event{Step: "c", Log: logLine("after")})
	j.write(tasks.Event{Step: "d", Log: logLine("after")})
	var steps string
	for _, e := range readEvents(filepath.Join(j.dir, eventsFile)) {
		steps += e.Step
	}
	if steps != "acd" {
		t.Errorf("read the events of steps %q, want a, c, d", steps)
	}
}

func TestAFullDiskIsNoPlaceForTheOutputOfPrograms(t *testing.T) {
	j := openJournal(t.TempDir(), *job(tasks.ModeRun, "r1"))
	if got := j.outputDir(1); got != filepath.Join(j.dir, outputFolder) {
		t.Errorf("with room: %q", got)
	}
	if got := j.outputDir(1 << 62); got != "" {
		t.Errorf("without room: %q", got)
	}
}

func TestARecordThatIsTooLargeIsSentWithoutItsLines(t *testing.T) {
	j := openJournal(t.TempDir(), *job(tasks.ModeRun, "r1"))
	for range 600 {
		j.write(tasks.Event{Step: "a", Log: logLine(strings.Repeat("x", 8000))})
	}
	j.write(tasks.Event{Step: "a", Result: &tasks.Result{Status: tasks.StatusOK}})
	got := readEvents(filepath.Join(j.dir, eventsFile))
	if len(got) != 1 || got[0].Result == nil {
		t.Errorf("%d events, want the result alone", len(got))
	}
}

func TestAWorkstationThatVanishesBeforeItsJobIsNotWaitedForForever(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe() // nobody ever writes
		defer w.Close()
		begin := time.Now()
		err := newServer(t, newStage(), dir).Serve(t.Context(), r, io.Discard, nonce)
		if err == nil || !strings.Contains(err.Error(), "none came within 15m") || time.Since(begin) != jobLimit {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}
