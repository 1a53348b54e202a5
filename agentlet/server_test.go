package agentlet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/local"
)

const nonce = "0123456789abcdef0123456789abcdef"

// spec is a step whose outcome the test decides.
type spec struct {
	Do string `json:"do"`
	in *stage
}

// stage is what the steps of a test share.
type stage struct {
	entered chan string   // receives the name of a step whose Apply began
	leave   chan struct{} // Apply of a "hold" step waits for it
	mu      sync.Mutex
	applied []string
}

func newStage() *stage { return &stage{entered: make(chan string, 8), leave: make(chan struct{})} }

func (s *stage) registry() tasks.Registry {
	return tasks.NewRegistry(tasks.Kind{Name: "play", New: func() tasks.Spec { return &spec{in: s} }})
}

func (p *spec) Validate() []tasks.Problem { return nil }
func (p *spec) Task() tasks.Task          { return &play{do: p.Do, in: p.in} }

type play struct {
	do   string
	in   *stage
	made bool
}

func (p *play) Check(context.Context, tasks.Host) (tasks.Diff, error) {
	if p.do == "ok" || p.made {
		return nil, nil
	}
	return tasks.Diff{{Path: "x", From: "a", To: "b", Effect: tasks.EffectLive}}, nil
}

func (p *play) Apply(ctx context.Context, h tasks.Host, _ tasks.Diff) error {
	p.in.mu.Lock()
	p.in.applied = append(p.in.applied, p.do)
	p.in.mu.Unlock()
	switch p.do {
	case "panic":
		panic("boom")
	case "tell":
		tasks.Logf(ctx, "the password is %s", tasks.ScopeOf(ctx).Secrets["root"])
	case "chatter":
		for range 5000 {
			tasks.Logf(ctx, "%s", strings.Repeat("x", 8000))
		}
	case "flood":
		return errors.New(strings.Repeat("long ", 4<<20))
	case "million":
		_, err := h.Run(ctx, tasks.Cmd{Argv: []string{"sh", "-c", `yes "the password is correct horse" | head -n 1000000`}})
		p.made = err == nil
		return err
	case "hold":
		p.in.entered <- p.do
		select {
		case <-p.in.leave:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.made = true
	return nil
}

func step(id, do string) tasks.Step {
	return tasks.Step{ID: id, Kind: "play", Spec: json.RawMessage(`{"do":"` + do + `"}`)}
}

func job(mode tasks.Mode, runID string, steps ...tasks.Step) *tasks.Job {
	return &tasks.Job{RunID: runID, Operator: "ann@laptop", Mode: mode, Steps: steps}
}

// session is a server with somebody to talk to.
type session struct {
	t     *testing.T
	stage *stage
	dir   string
	in    *io.PipeWriter
	out   *wire.Reader
	w     *wire.Writer
	ended chan error

	passed []wire.Passed
}

func newServer(t *testing.T, s *stage, dir string) *Server {
	return &Server{
		Host:     func(string) tasks.Host { return &local.Host{Root: dir} },
		Registry: s.registry(), SHA256: "cafe", Hostname: "pve1", Arch: "amd64", PID: 42,
		Dirs:      Dirs{State: filepath.Join(dir, "state"), Lock: filepath.Join(dir, "phoenix.lock"), Helpers: []string{filepath.Join(dir, "state")}},
		Heartbeat: time.Hour, Linger: 5 * time.Second,
	}
}

// open starts a server and reads its greeting.
func open(t *testing.T, dir string, change ...func(*Server)) *session {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	stage := newStage()
	srv := newServer(t, stage, dir)
	for _, f := range change {
		f(srv)
	}
	s := &session{t: t, stage: stage, dir: dir, in: inW, out: wire.NewReader(outR), w: wire.NewWriter(inW), ended: make(chan error, 1)}
	go func() {
		s.ended <- srv.Serve(t.Context(), inR, outW, nonce)
		_ = outW.Close()
	}()
	t.Cleanup(func() { _, _ = inW.Close(), outR.Close() })
	if _, err := s.out.ReadGreeting(nonce); err != nil {
		t.Fatal(err)
	}
	if m := s.read(); m.Hello == nil || m.Hello.SHA256 != "cafe" || m.Hello.PID != 42 {
		t.Fatalf("first message %+v, want the hello", m)
	}
	return s
}

// read returns the next message; those of steps that share one come one by one.
func (s *session) read() wire.Message {
	s.t.Helper()
	if len(s.passed) == 0 {
		m, err := s.out.Read()
		if err != nil {
			s.t.Fatal(err)
		}
		if m.Passed == nil {
			return m
		}
		s.passed = m.Passed
	}
	e := s.passed[0].Event()
	s.passed = s.passed[1:]
	return wire.Message{Event: &e}
}

func (s *session) send(m wire.Message) {
	s.t.Helper()
	if err := s.w.Write(m); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) start(j *tasks.Job) {
	s.t.Helper()
	if _, err := s.in.Write(wire.Greeting(nonce)); err != nil {
		s.t.Fatal(err)
	}
	s.send(wire.Message{Job: j})
}

// rest reads up to the done message, confirms the run and waits for the end.
func (s *session) rest(runID string) []wire.Message {
	s.t.Helper()
	var all []wire.Message
	for {
		m := s.read()
		all = append(all, m)
		if m.Done != nil {
			break
		}
	}
	if runID != "" {
		s.send(wire.Message{Confirm: &wire.Confirm{Token: runID}})
	}
	if err := s.in.Close(); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.out.Read(); err != io.EOF {
		s.t.Errorf("behind the done message: %v", err)
	}
	return all
}

// story is what happened, one word each.
// The start of a step that ended well is not part of the story: whether it is told
// depends on how long the step took.
func story(ms []wire.Message) string {
	var words []string
	well := map[string]bool{}
	for _, m := range ms {
		if m.Event != nil && m.Event.Result != nil {
			well[m.Event.Step] = m.Event.Result.Status == tasks.StatusOK
		}
	}
	for _, m := range ms {
		switch {
		case m.Journal != nil:
			words = append(words, "journal:"+m.Journal.RunID)
		case m.Done != nil && m.Done.Error != "":
			words = append(words, "refused")
		case m.Done != nil:
			words = append(words, "done")
		case m.Heartbeat != nil:
			words = append(words, "beat")
		case m.Event.Started != nil && well[m.Event.Step]:
		case m.Event.Started != nil:
			words = append(words, m.Event.Step+":started")
		case m.Event.Log != nil:
			words = append(words, m.Event.Step+":log")
		case m.Event.Result != nil:
			words = append(words, m.Event.Step+":"+string(m.Event.Result.Status))
		}
	}
	return strings.Join(words, " ")
}

func expect(t *testing.T, got []wire.Message, want string) {
	t.Helper()
	if s := story(got); s != want {
		t.Errorf("story\n got %s\nwant %s", s, want)
	}
}

func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		out = append(out, strings.TrimPrefix(path, dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestACheckWritesNothingOnTheMachine(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.start(job(tasks.ModeCheck, "r1", step("a", "ok"), step("b", "change")))
	expect(t, s.rest(""), "a:ok b:started b:would change done")
	if got := tree(t, dir); len(got) != 1 {
		t.Errorf("a check left %q", got)
	}
	if len(s.stage.applied) != 0 {
		t.Errorf("a check applied %q", s.stage.applied)
	}
}

func TestARunIsRecordedAndCollected(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.start(job(tasks.ModeRun, "r1", step("a", "change"), step("b", "panic")))
	expect(t, s.rest("r1"), "a:started a:changed b:started b:failed done")
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	run := filepath.Join(dir, "state", "runs", "r1")
	for _, name := range []string{metaFile, eventsFile, doneFile, collectedFile, outputFolder} {
		if !exists(filepath.Join(run, name)) {
			t.Errorf("no %s was left", name)
		}
	}
	if got := readEvents(filepath.Join(run, eventsFile)); len(got) != 4 || got[3].Result.Status != tasks.StatusFailed {
		t.Errorf("the journal has %+v", got)
	}
	s = open(t, dir)
	s.start(job(tasks.ModeRun, "r2", step("a", "ok")))
	expect(t, s.rest("r2"), "a:ok done") // r1 is not sent again
}

func TestARunThatNobodySawTheEndOfIsTold(t *testing.T) {
	synctest.Test(t, nobodySawTheEnd)
}

func nobodySawTheEnd(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.start(job(tasks.ModeRun, "r1", step("a", "hold"), step("b", "change")))
	<-s.stage.entered
	if err := s.in.Close(); err != nil { // the connection breaks in mid-step
		t.Fatal(err)
	}
	synctest.Wait() // until the helper has seen it
	close(s.stage.leave)
	if err := <-s.drained(); err != nil {
		t.Fatal(err)
	}
	if got := s.stage.applied; !slices.Equal(got, []string{"hold"}) {
		t.Errorf("applied %q, want the step under way and no other", got)
	}
	s = open(t, dir)
	s.start(job(tasks.ModeRun, "r2", step("a", "ok")))
	m := s.read()
	if m.Journal == nil || m.Journal.RunID != "r1" || !m.Journal.Finished || m.Journal.Operator != "ann@laptop" {
		t.Fatalf("got %+v, want the journal of r1", m)
	}
	var got []wire.Message
	for _, e := range m.Journal.Events {
		got = append(got, wire.Message{Event: &e})
	}
	expect(t, got, "a:started a:changed b:skipped")
	s.send(wire.Message{Confirm: &wire.Confirm{Token: "r1"}})
	s.rest("r2")
	s = open(t, dir)
	s.start(job(tasks.ModeRun, "r3", step("a", "ok")))
	expect(t, s.rest("r3"), "a:ok done")
}

// drained reads what is left, so that nothing waits for us, and tells how Serve ended.
func (s *session) drained() <-chan error {
	go func() {
		for {
			if _, err := s.out.Read(); err != nil {
				return
			}
		}
	}()
	return s.ended
}

func TestCancelStopsSoftlyOrHard(t *testing.T) {
	for name, hard := range map[string]bool{"softly": false, "hard": true} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			s.start(job(tasks.ModeRun, "r1", step("a", "hold"), step("b", "change")))
			<-s.stage.entered
			s.send(wire.Message{Cancel: &wire.Cancel{Hard: hard}})
			want := "a:started a:failed b:skipped done"
			if !hard {
				s.send(wire.Message{Confirm: &wire.Confirm{Token: "barrier"}}) // the cancel has been read
				close(s.stage.leave)
				want = "a:started a:changed b:skipped done"
			}
			expect(t, s.rest("r1"), want)
		})
	}
}

func TestAChannelThatIsGoneDoesNotStopTheStep(t *testing.T) {
	dir := t.TempDir()
	stage := newStage()
	srv := newServer(t, stage, dir)
	inR, inW := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(t.Context(), inR, broken{}, nonce) }()
	if _, err := inW.Write(wire.Greeting(nonce)); err != nil {
		t.Fatal(err)
	}
	if err := wire.NewWriter(inW).Write(wire.Message{Job: job(tasks.ModeRun, "r1", step("a", "hold"), step("b", "change"))}); err != nil {
		t.Fatal(err)
	}
	<-stage.entered
	close(stage.leave)
	if err := inW.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !exists(filepath.Join(dir, "state/runs/r1", doneFile)) || exists(filepath.Join(dir, "state/runs/r1", collectedFile)) {
		t.Error("the journal of the run is not complete, or is taken as collected")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestNoSecretLeavesTheMachine(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	j := job(tasks.ModeRun, "r1", step("a", "tell"))
	j.Secrets = map[string]string{"root": "correct horse"}
	s.start(j)
	all, err := json.Marshal(s.rest("r1"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(all, []byte("correct horse")) || !bytes.Contains(all, []byte("the password is ***")) {
		t.Errorf("sent %s", all)
	}
	for _, path := range tree(t, filepath.Join(dir, "state")) {
		data, err := os.ReadFile(filepath.Join(dir, "state", path))
		if err == nil && bytes.Contains(data, []byte("correct horse")) {
			t.Errorf("%s holds the secret", path)
		}
	}
}
