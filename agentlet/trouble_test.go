package agentlet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/guard"
)

func TestASecondRunIsToldWhoHasTheLock(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	first.start(job(tasks.ModeRun, "r1", step("a", "hold")))
	<-first.stage.entered

	second := open(t, dir)
	second.start(job(tasks.ModeRun, "r2", step("a", "change")))
	got := second.rest("")
	expect(t, got, "refused")
	h := got[0].Done.Holder
	if h == nil || h.RunID != "r1" || h.Operator != "ann@laptop" || h.PID != 42 || h.Since.IsZero() {
		t.Errorf("holder %+v, want run r1 of ann@laptop", h)
	}
	check := open(t, dir)
	check.start(job(tasks.ModeCheck, "r3", step("a", "ok")))
	expect(t, check.rest(""), "a:ok done")

	close(first.stage.leave)
	first.rest("r1")
	third := open(t, dir)
	third.start(job(tasks.ModeRun, "r4", step("a", "change")))
	expect(t, third.rest("r4"), "a:started a:changed done")
}

func TestALockThatIsNotOursIsRefused(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir, "phoenix.lock")); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	s.start(job(tasks.ModeRun, "r1", step("a", "change")))
	got := s.rest("")
	expect(t, got, "refused")
	if !strings.Contains(got[0].Done.Error, "lock host: open ") {
		t.Errorf("error %q", got[0].Done.Error)
	}
	if data, err := os.ReadFile(target); err != nil || string(data) != "precious" {
		t.Errorf("the link was followed: %q, %v", data, err)
	}
}

func TestALockFileThatWasRemovedIsTakenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	first, _, err := takeLock(path, wire.Holder{RunID: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.release()
	if !current(first.f, path) {
		t.Error("the file that is there does not count as the lock")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if current(first.f, path) {
		t.Error("a removed file counts as the lock")
	}
	second, _, err := takeLock(path, wire.Holder{RunID: "r2"})
	if err != nil {
		t.Fatal(err)
	}
	second.release()
}

func TestAJobThatCannotBeTakenIsAnswered(t *testing.T) {
	frame := func(m wire.Message) string {
		b, err := wire.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	hello := string(wire.Greeting(nonce))
	for _, c := range []struct{ name, in, want string }{
		{"no greeting", "hunter2\n", "the workstation's greeting did not come"},
		{"garbage behind the greeting", hello + "garbage", "the length must be from 1"},
		{"half a job", hello + frame(wire.Message{Job: job(tasks.ModeCheck, "r1")})[:20], "unexpected EOF"},
		{"something else than a job", hello + frame(wire.Message{Cancel: &wire.Cancel{}}), "the first message is no job"},
		{"a run ID that leads elsewhere", hello + frame(wire.Message{Job: job(tasks.ModeRun, "../../etc")}), "check run ID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			go func() {
				_, _ = io.WriteString(s.in, c.in)
				_ = s.in.Close()
			}()
			m := s.read()
			if m.Done == nil || !strings.Contains(m.Done.Error, c.want) {
				t.Fatalf("answered %+v, want an error that says %q", m.Done, c.want)
			}
			if strings.Contains(m.Done.Error, "hunter2") {
				t.Error("what sudo did not read is repeated")
			}
			if err := <-s.drained(); err == nil {
				t.Error("Serve returned no error")
			}
		})
	}
}

func TestAPasswordLineThatSudoDidNotReadIsSkipped(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := io.WriteString(s.in, "hunter2\n"); err != nil {
		t.Fatal(err)
	}
	s.start(job(tasks.ModeCheck, "r1", step("a", "ok")))
	expect(t, s.rest(""), "a:ok done")
}

func TestHeartbeatsNameTheStepUnderWay(t *testing.T) {
	s := open(t, t.TempDir(), func(s *Server) { s.Heartbeat = time.Millisecond })
	s.start(job(tasks.ModeRun, "r1", step("a", "hold")))
	<-s.stage.entered
	for {
		if m := s.read(); m.Heartbeat != nil && m.Heartbeat.Step == "a" && m.Heartbeat.ForMS >= 5 {
			break
		}
	}
	close(s.stage.leave)
	s.rest("r1")
}

func TestAJournalThatCannotBeWrittenIsSaidOnceAndDoesNotFailTheJob(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state"), nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	s := open(t, dir)
	s.start(job(tasks.ModeRun, "r1", step("a", "change"), step("b", "change")))
	got := s.rest("r1")
	expect(t, got, "a:log a:started a:changed b:started b:changed done")
	if text := got[0].Event.Log.Text; !strings.Contains(text, "journal on the host is incomplete: open journal: mkdir") {
		t.Errorf("said %q", text)
	}
}

// slow is a channel that takes nothing until it is opened.
type slow struct {
	w    io.Writer
	open chan struct{}
}

func (s slow) Write(p []byte) (int, error) {
	<-s.open
	return s.w.Write(p)
}

func TestASlowChannelLosesLinesOfLogAndNoResult(t *testing.T) {
	outR, outW := io.Pipe()
	gate := slow{outW, make(chan struct{})}
	inR, inW := io.Pipe()
	stage := newStage()
	srv := newServer(t, stage, t.TempDir())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(t.Context(), inR, gate, nonce) }()
	if _, err := inW.Write(wire.Greeting(nonce)); err != nil {
		t.Fatal(err)
	}
	w := wire.NewWriter(inW)
	if err := w.Write(wire.Message{Job: job(tasks.ModeRun, "r1", step("a", "chatter"), step("b", "hold"))}); err != nil {
		t.Fatal(err)
	}
	<-stage.entered // step a has said 40 MB, and nobody has read a byte
	close(gate.open)
	close(stage.leave)
	r := wire.NewReader(outR)
	if _, err := r.ReadGreeting(nonce); err != nil {
		t.Fatal(err)
	}
	var gap, results, logs int
	for {
		m, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if m.Done != nil {
			break
		}
		if m.Event != nil && m.Event.Log != nil {
			logs++
			if strings.Contains(m.Event.Log.Text, "lines were left out here") {
				gap++
			}
		}
		if m.Event != nil && m.Event.Result != nil {
			results++
		}
	}
	if gap == 0 || results != 2 || logs > 700 {
		t.Errorf("%d gaps, %d results, %d lines; want a gap, 2 results, and about 500 lines", gap, results, logs)
	}
	_ = inW.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAResultThatIsTooLongIsCutAndArrives(t *testing.T) {
	s := open(t, t.TempDir())
	s.start(job(tasks.ModeRun, "r1", step("a", "flood")))
	got := s.rest("r1")
	expect(t, got, "a:started a:failed done")
	if why := got[1].Event.Result.Why; len(why) > maxText+100 || !strings.Contains(why, "bytes more") {
		t.Errorf("the reason has %d bytes", len(why))
	}
}

func TestOldRunsAndHelpersAreRemoved(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	now := time.Now()
	plant := func(name string, age time.Duration) {
		path := filepath.Join(state, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o700), os.Chtimes(path, now, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	plant("agentlet-cafe", 30*24*time.Hour)
	plant("agentlet-beef", 30*24*time.Hour)
	plant("agentlet-f00d", time.Hour)
	outdated, probe := "agentlet-nvml-"+strings.Repeat("0", 64), "agentlet-nvml-"+strings.Repeat("1", 64)
	plant(outdated, 60*24*time.Hour)
	plant(outdated+".stat", 60*24*time.Hour)
	plant(probe, 30*24*time.Hour)
	plant(probe+".stat", 30*24*time.Hour)
	plant(".agentlet-x.gz", 30*24*time.Hour)
	plant("notes", 30*24*time.Hour)
	for i := range 25 {
		name := "old" + string(rune('a'+i))
		plant("runs/"+name+"/"+collectedFile, 0)
		if err := os.Chtimes(filepath.Join(state, "runs", name), now, now.Add(time.Duration(i-60)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	s.start(job(tasks.ModeRun, "r1", step("a", "ok")))
	s.rest("r1")
	left := strings.Join(tree(t, state), " ") + " "
	for name, want := range map[string]bool{
		"/agentlet-cafe ": true, "/agentlet-beef ": false, "/agentlet-f00d ": true, "/.agentlet-x.gz ": false, "/notes ": true,
		"/" + outdated + " ": false, "/" + outdated + ".stat ": false, "/" + probe + " ": true, "/" + probe + ".stat ": true,
		"/runs/olda ": false, "/runs/oldf ": false, "/runs/oldg ": true, "/runs/oldy ": true, "/runs/r1 ": true,
	} {
		if strings.Contains(left, name) != want {
			t.Errorf("%s is there: %v, want %v", name, !want, want)
		}
	}
}

func TestAHelperThatWasKilledLeavesWholeLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), eventsFile)
	text := `{"time":"2026-01-01T00:00:00Z","step":"a","started":{"index":1,"total":1}}` + "\n" + `{"time":"2026-01-01T00:`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readEvents(path); len(got) != 1 || got[0].Step != "a" {
		t.Errorf("read %+v, want the one whole event", got)
	}
}

func TestTheOutboxKeepsTheOrderOfManySenders(t *testing.T) {
	r, w := io.Pipe()
	o := newOutbox(w)
	var g sync.WaitGroup
	for range 8 {
		g.Go(func() {
			for range 50 {
				o.send(wire.Message{Heartbeat: &wire.Heartbeat{Step: "a"}})
			}
		})
	}
	go func() {
		g.Wait()
		o.close(time.Minute)
		_ = w.Close()
	}()
	in, n := wire.NewReader(r), 0
	for {
		if _, err := in.Read(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 400 {
		t.Errorf("%d messages arrived, want 400", n)
	}
}

// Under a change that may be taken back at any moment, nothing that is found is true.
func TestNothingIsDoneUnderAnUndecidedChange(t *testing.T) {
	for _, mode := range []tasks.Mode{tasks.ModeCheck, tasks.ModeRun} {
		dir := t.TempDir()
		at := filepath.Join(dir, guard.Dir, strings.Repeat("a", 32))
		state := fmt.Sprintf(`{"what":"network","timeout":60000000000,"prepared":{"clock":%q}}`, time.Now().Format(time.RFC3339))
		if err := errors.Join(os.MkdirAll(at, 0o700), os.WriteFile(filepath.Join(at, "state.json"), []byte(state), 0o600)); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		s.start(job(mode, "r1", step("a", "change")))
		if m := s.read(); m.Done == nil || !strings.Contains(m.Done.Error, "a change of the network by another run waits to be confirmed") {
			t.Errorf("%s: %+v", mode, m)
		}
		if _, err := os.Stat(filepath.Join(at, "state.json")); err != nil {
			t.Error(err)
		}
	}
}
