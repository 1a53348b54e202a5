package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/report"
	"phoenix/tasks/report/render"
	"phoenix/tasks/report/term"
	"phoenix/tasks/secret"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
)

// recording is one run with everything that watches it: the screen, the files of
// the run, the outputs that were asked for.
type recording struct {
	p       *program
	g       *cli
	id      string
	stream  *report.Stream
	display *term.Display
	kept    *report.KeptRun
	outputs []sink
	live    *execSink
	table   func(io.Writer, report.Report, term.Style) error
	// intr ends the run early; stopped is the rule that did.
	intr    *interrupts
	stopped string
	closers []io.Closer
}

// sink is one output that was asked for.
type sink struct {
	render.Output
	w      io.Writer
	ndjson *render.NDJSON
}

// record opens a recording. Faults of -o and --log-file are found before anything
// is contacted.
func (p *program) record(ctx context.Context, g *cli, hosts []string, r request, redact func(string) string) (*recording, error) {
	rec := &recording{p: p, g: g, table: r.table}
	sinks, err := rec.files(g, r)
	if err != nil {
		rec.close()
		return nil, err
	}
	id, err := report.NewRunID(p.now(), rand.Reader)
	if err != nil {
		rec.close()
		return nil, err
	}
	rec.id = id
	rec.display = term.Open(term.Options{
		Out: p.stderr, Style: p.style(g, p.stderrTTY), Verbosity: rec.told(r), Size: p.size, Getenv: p.environ, Now: p.now,
	})
	sinks = append(sinks, rec.display)
	if r.watch != nil {
		sinks = append(sinks, r.watch)
	}
	if r.live != nil && len(r.output.Output) == 0 {
		r.live.screen = rec.display
		sinks = append(sinks, r.live)
		rec.live = r.live
	}
	if dir, err := report.StoreDir(p.environ); err != nil {
		p.warn(err.Error() + ": the run is not kept")
	} else {
		rec.kept = report.Store{Dir: dir}.Create(id, func(err error) { rec.display.Interject(func() { p.warn(err.Error()) }) })
		sinks = append(sinks, rec.kept, rec.logTo(rec.kept.Log()))
	}
	rec.stream = report.NewStream(report.StreamOptions{RunID: id, Now: p.now, Redact: redact, Sinks: sinks})
	rec.intr = watchSignals(ctx, func(line string) {
		// Not into the record: it has the signal, and these words are for now.
		rec.display.Interject(func() { fmt.Fprintf(p.stderr, "phoenix: %s\n", line) })
	})
	rec.stream.Emit(report.Event{RunStarted: &report.RunStarted{
		Command: r.command, Mode: r.mode, DryRun: r.dryRun, Operator: p.operator, Version: p.version,
		Hosts: hosts, Limit: g.Limit, Args: r.repeated(g),
	}})
	return rec, nil
}

// files opens the files that were asked for, before there is anything else to undo.
func (rec *recording) files(g *cli, r request) ([]report.Sink, error) {
	if err := rec.open(r.outputs()); err != nil {
		return nil, err
	}
	var sinks []report.Sink
	for _, s := range rec.outputs {
		if s.ndjson != nil {
			sinks = append(sinks, s.ndjson)
		}
	}
	if g.LogFile == "" {
		return sinks, nil
	}
	log, err := rec.logFile(g)
	return append(sinks, log), err
}

// told is how much the display tells. Where a command's own output runs by and
// nothing is drawn in place, lines of progress in between would only be in the way.
func (rec *recording) told(r request) term.Verbosity {
	v := rec.g.verbosity()
	if v == term.Normal && r.live != nil && len(r.output.Output) == 0 && !rec.p.style(rec.g, rec.p.stderrTTY).Live {
		return term.Quiet
	}
	return v
}

// outputs are the values of -o; by default there is the report in text, unless the
// command shows its result in a way of its own.
func (r request) outputs() []string {
	if len(r.output.Output) == 0 && r.live == nil {
		return []string{string(render.FormatText)}
	}
	return r.output.Output
}

// repeated are the arguments that a suggested next command needs again.
func (r request) repeated(g *cli) []string {
	var args []string
	for _, i := range g.Inventory {
		args = append(args, "-i", i)
	}
	for flag, tags := range map[string][]string{"--tags": r.selection.Tags, "--skip-tags": r.selection.SkipTags} {
		if len(tags) > 0 {
			args = append(args, flag, strings.Join(tags, ","))
		}
	}
	if r.reach.KnownHosts != "" {
		args = append(args, "--known-hosts", r.reach.KnownHosts)
	}
	for _, i := range r.reach.Identity {
		args = append(args, "--identity", i)
	}
	if !r.dryRun {
		return args
	}
	// What a dry run was told to agree to, the run after it has to be told, too.
	for _, ctid := range r.consent.Destroy {
		args = append(args, "--allow-destroy", strconv.Itoa(ctid))
	}
	if r.consent.Reboot {
		args = append(args, "--allow-reboot")
	}
	for _, disk := range r.consent.Wipe {
		args = append(args, "--allow-wipe", disk)
	}
	if !r.consent.Restart {
		args = append(args, "--no-restart")
	}
	return args
}

// open opens every output.
func (rec *recording) open(values []string) error {
	var faults []error
	toStdout := 0
	for _, v := range values {
		o, err := render.ParseOutput(v)
		if err != nil {
			faults = append(faults, &usageError{err.Error()})
			continue
		}
		if o.File != "" && slices.ContainsFunc(rec.outputs, func(other sink) bool { return other.File == o.File }) {
			faults = append(faults, &usageError{fmt.Sprintf("two -o write to %s", o.File)})
			continue
		}
		s := sink{Output: o, w: rec.p.stdout}
		if o.File == "" {
			toStdout++
		} else if s.w, err = rec.create(o.File); err != nil {
			faults = append(faults, err)
			continue
		}
		if o.Format == render.FormatNDJSON {
			s.ndjson = render.NewNDJSON(s.w)
		}
		rec.outputs = append(rec.outputs, s)
	}
	if toStdout > 1 {
		faults = append(faults, &usageError{"only one -o may go to standard output; give the others a file: -o json=report.json"})
	}
	return errors.Join(faults...)
}

func (rec *recording) create(path string) (io.Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("open output: %v", err)}
	}
	rec.closers = append(rec.closers, f)
	return f, nil
}

// logFile appends what a display without a terminal would show.
func (rec *recording) logFile(g *cli) (report.Sink, error) {
	f, err := os.OpenFile(g.LogFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("open --log-file: %v", err)}
	}
	w := &checked{Writer: f}
	log := rec.logTo(w)
	rec.closers = append(rec.closers, closeLog{f, w})
	return log, nil
}

// closeLog closes the log file and says what was lost of it.
type closeLog struct {
	f *os.File
	w *checked
}

func (c closeLog) Close() error {
	if err := errors.Join(c.w.lost(), c.f.Close()); err != nil {
		return fmt.Errorf("write --log-file: %w", err)
	}
	return nil
}

// logTo writes every event as a line of text, but for steps that were as wanted:
// a large fleet has hundreds of thousands of them, and the record has them all.
func (rec *recording) logTo(w io.Writer) report.Sink {
	d := term.Open(term.Options{Out: w, Style: term.Style{Unicode: true}, Verbosity: term.Logs, Now: rec.p.now})
	rec.closers = append(rec.closers, closeDisplay{d})
	return notable{d}
}

// notable passes on all but steps that were as wanted.
type notable struct{ report.Sink }

// Event is report.Sink's.
func (n notable) Event(e report.Event) {
	if e.Step == nil || e.Step.Result == nil || e.Step.Result.Status != tasks.StatusOK {
		n.Sink.Event(e)
	}
}

type closeDisplay struct{ *term.Display }

func (c closeDisplay) Close() error { c.Display.Close(); return nil }

func (rec *recording) close() {
	for _, c := range rec.closers {
		if err := c.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			rec.p.warn(err.Error())
		}
	}
}

func (rec *recording) note(level report.NoteLevel, text string) {
	rec.stream.Emit(report.Event{Note: &report.Note{Level: level, Text: text}})
}

// finish ends the run, writes every output, and returns the exit code as an error.
func (rec *recording) finish() error {
	r := rec.stream.Finish(report.RunDone{Signal: rec.intr.signal(), Stopped: rec.stopped})
	rec.intr.release()
	rec.display.Close()
	err := rec.write(r)
	if rec.live != nil {
		rec.live.recap(r, rec.g.verbosity())
	}
	rec.close()
	if rec.kept != nil {
		rec.kept.Finish(r)
		rec.prune()
	}
	switch {
	case err != nil && !errors.Is(err, syscall.EPIPE):
		return err
	case r.ExitCode != 0:
		return exitError(r.ExitCode)
	}
	return nil
}

// prune keeps the number of runs in bounds. Where this one could not be kept, that
// has been told, and there is nothing to do.
func (rec *recording) prune() {
	if _, err := os.Stat(rec.kept.Dir()); err != nil {
		return
	}
	if err := (report.Store{Dir: filepath.Dir(rec.kept.Dir())}).Prune(); err != nil {
		rec.p.warn(err.Error())
	}
}

func (rec *recording) write(r report.Report) error {
	var faults []error
	for _, s := range rec.outputs {
		if s.ndjson != nil {
			faults = append(faults, s.ndjson.Err())
			continue
		}
		terminal := s.File == "" && rec.p.stdoutTTY
		o := render.Options{Style: rec.p.style(rec.g, terminal), Verbosity: rec.g.verbosity()}
		if terminal {
			o.Columns = rec.p.columns()
		}
		if s.Format == render.FormatText && rec.table != nil && o.Verbosity < term.Steps {
			faults = append(faults, rec.table(s.w, r, o.Style))
			continue
		}
		if s.Format == render.FormatText {
			faults = append(faults, writeText(s.w, r, o))
			continue
		}
		faults = append(faults, render.Write(s.w, s.Format, r, o))
	}
	return errors.Join(faults...)
}

// warn tells people of what stops nothing.
func (p *program) warn(text string) { fmt.Fprintf(p.stderr, "phoenix: warning: %s\n", text) }

// carryOut sends every host its job and follows them all. The recording it returns
// is to be finished.
func (p *program) carryOut(ctx context.Context, g *cli, inv *inventory.Fleet, work []assignment, r request) (*recording, error) {
	values := r.values
	if values == nil {
		var err error
		if values, err = p.resolve(ctx, inv, work); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, a := range work {
		names = append(names, a.host.Name)
	}
	redactor := secret.NewRedactor(mapValues(values)...)
	rec, err := p.record(ctx, g, names, r, redactor.Text)
	if err != nil {
		return nil, err
	}
	jobs := func(work []assignment, id string) []fleet.Host {
		var hosts []fleet.Host
		for _, a := range work {
			consent := r.consent
			consent.Destroy, consent.Wipe = slices.Concat(consent.Destroy, a.agreed.Destroy), slices.Concat(consent.Wipe, a.agreed.Wipe)
			consent.Reboot = consent.Reboot || a.agreed.Reboot
			hosts = append(hosts, fleet.Host{Target: target(a.host, r.reach, values), GPUPolicy: a.host.GPUPolicy, GPUBudget: gpuBudget(a.host), GPUGiven: gpuGiven(a.host), Job: tasks.Job{
				RunID: id, Operator: p.operator, Mode: r.mode, Steps: untagged(a.steps), Limits: a.limits, Secrets: pick(values, a.secrets),
				Consent: consent, StepTimeoutS: int(r.reach.StepTimeout.Seconds()),
				QuietAfterS: a.host.QuietAfterS,
			}})
		}
		return hosts
	}
	rec.run(r, work, jobs)
	return rec, nil
}

// run takes the hosts, within the bound of the whole run, and those again for which the
// operator agrees to more.
func (rec *recording) run(req request, work []assignment, jobs func(work []assignment, id string) []fleet.Host) {
	r, start := req.reach, req.start
	if start == nil {
		start = fleet.Deploy(deploy.Options{Stop: rec.intr.Interrupt.Stop, Uploading: func(host, program string) {
			rec.stream.Emit(report.Event{Host: host, Note: &report.Note{Level: report.NoteInfo, Text: "uploading " + program}})
		}})
	}
	dialer := rec.p.dialer(r, func(w string) { rec.note(report.NoteWarning, w) }, req.answered.before(rec.ask()))
	defer dialer.Close()
	f := fleet.Fleet{
		Dialer: dialer, Start: start, Emit: req.amended(rec.stream.Emit), Forks: r.Forks,
		HostTimeout: r.HostTimeout, MaxFailures: r.MaxFailures, Interrupt: rec.intr.Interrupt, Now: rec.p.now,
	}
	tell := fmt.Sprintf("--timeout %s was reached", r.Timeout)
	reached, stop := rec.intr.within(r.Timeout, tell)
	defer stop()
	rec.stopped = f.Run(rec.intr.leave, jobs(work, rec.id))
	further := asking{rec: rec, work: work, asked: map[string]bool{}}
	for round := 1; req.asks && rec.stopped == "" && rec.intr.Stop.Err() == nil && !f.Over(); round++ {
		if work = further.more(); len(work) == 0 {
			break
		}
		// The record of each job is a folder on the host.
		rec.stopped = f.Run(rec.intr.leave, jobs(work, fmt.Sprintf("%s-more%d", rec.id, round)))
	}
	if rec.stopped == "" && reached() {
		rec.stopped = tell
	}
}

// ask returns how a passphrase is asked for, or nil when nobody is there. Questions
// come one at a time and have the terminal to themselves.
func (rec *recording) ask() func(context.Context, string) (string, error) {
	if !rec.p.interactive() {
		return nil
	}
	var one sync.Mutex
	return func(ctx context.Context, question string) (answer string, err error) {
		one.Lock()
		defer one.Unlock()
		rec.display.Suspend(func() { answer, err = rec.p.askSecret(ctx, question) })
		return answer, err
	}
}

func mapValues(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// untagged is the steps without their tags, which have selected them and are of no
// use on the host.
func untagged(steps []tasks.Step) []tasks.Step {
	out := slices.Clone(steps)
	for i := range out {
		out[i].Tags = nil
	}
	return out
}

// pick is the part of the values that one host needs: it is told no other.
func pick(values map[string]string, names []string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		out[n] = values[n]
	}
	return out
}
