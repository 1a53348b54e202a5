package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"phoenix/tasks"
	cards "phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
	"phoenix/tasks/secret"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
)

// gpuWatch shows the GPUs again and again. Each host is asked once, over one connection,
// and goes on with samples until it is told to end; what breaks is begun anew by gpuPulse.
// No sample is kept among the runs.
type gpuWatch struct {
	p     *program
	g     *cli
	every time.Duration
	hosts []fleet.Host
	// fleet is what each host is asked with.
	fleet fleet.Fleet
	// slots are for hosts that have not sent their first sample yet.
	slots chan struct{}
	intr  *interrupts
	// redact takes secrets out of what hosts say.
	redact func(string) string
	show   func(io.Writer, report.Report, map[string]string) error

	mu    sync.Mutex
	pulse map[string]gpuPulse
	heard chan struct{} // closed when each host has been heard of
}

// forever is longer than anybody looks on, in seconds: a watch ends when it is told to.
const forever = 10 * 365 * 24 * 60 * 60

// usualEvery is how often GPUs are shown where nothing is said.
const usualEvery = 2 * time.Second

// watch is `phoenix gpus --watch`.
func (c *gpusCmd) watch(p *program, g *cli) error {
	ctx := context.Background()
	every := usualEvery
	if c.Every != nil {
		every = *c.Every
	}
	inv, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	ask := gpuQuestion()
	ask.EveryMS = int(every.Milliseconds())
	step, err := tasks.NewStep(cards.Name, gpuStep, ask)
	if err != nil {
		return err
	}
	step.TimeoutS = forever
	var work []assignment
	for _, h := range hosts {
		work = append(work, assignment{host: h, steps: []tasks.Step{step}})
	}
	values, err := p.resolve(ctx, inv, work)
	if err != nil {
		return err
	}
	w := &gpuWatch{p: p, g: g, every: every, redact: secret.NewRedactor(mapValues(values)...).Text, slots: make(chan struct{}, c.Reach.Forks)}
	w.intr = watchSignals(ctx, func(string) {})
	defer w.intr.release()
	dialer := p.dialer(&c.Reach, p.warn, p.asker())
	defer dialer.Close()
	w.fleet = fleet.Fleet{
		Dialer: dialer, Start: fleet.Deploy(deploy.Options{Stop: w.intr.Stop}),
		HostTimeout: c.Reach.HostTimeout, Interrupt: w.intr.Interrupt, Now: p.now,
	}
	for _, a := range work {
		w.hosts = append(w.hosts, fleet.Host{Target: target(a.host, &c.Reach, values), Job: tasks.Job{
			Operator: p.operator, Mode: tasks.ModeCheck, Steps: a.steps,
		}})
	}
	w.show = gpuLedger{inv}.shown(p.showGPUs(g, c.Out))
	tell := fmt.Sprintf("--timeout %s was reached", c.Reach.Timeout)
	reached, stop := w.intr.within(c.Reach.Timeout, tell)
	defer stop()
	if err := w.follow(); err != nil || !reached() {
		return err
	}
	fmt.Fprintf(p.stderr, "phoenix: %s\n", tell)
	return exitError(exitStopped)
}

// showGPUs writes a sheet as wide as the terminal is by then.
func (p *program) showGPUs(g *cli, o output) func(io.Writer, report.Report, map[string]string) error {
	return func(w io.Writer, r report.Report, marks map[string]string) error {
		return gpuSheetOf(r, p.style(g, p.stdoutTTY), marks).write(w, p.gpuColumns(o))
	}
}

// asker asks for passphrases, one at a time; nil when nobody is there.
func (p *program) asker() func(context.Context, string) (string, error) {
	if !p.interactive() {
		return nil
	}
	var one sync.Mutex
	return func(ctx context.Context, question string) (string, error) {
		one.Lock()
		defer one.Unlock()
		return p.askSecret(ctx, question)
	}
}

// leaveWatch is how long hosts get, once nobody looks on any longer, to say that they have
// ended. They end all the same.
const leaveWatch = 3 * time.Second

// follow shows samples until the operator has seen enough, or nobody reads them.
func (w *gpuWatch) follow() error {
	stop, end := context.WithCancel(w.intr.Stop)
	defer end()
	leave, leaveNow := context.WithCancel(w.intr.leave)
	defer leaveNow()
	defer context.AfterFunc(stop, func() {
		patience := time.AfterFunc(leaveWatch, leaveNow)
		context.AfterFunc(leave, func() { patience.Stop() })
	})()
	w.fleet.Interrupt.Stop = stop
	w.pulse, w.heard = make(map[string]gpuPulse), make(chan struct{})
	var all sync.WaitGroup
	for _, h := range w.hosts {
		all.Go(func() { w.attend(leave, h) })
	}
	err := w.draws(stop)
	end()
	all.Wait()
	return err
}

// draws draws a sheet as soon as each host has been heard of, but no later than the next
// ones are due, and then one each time the interval has passed.
func (w *gpuWatch) draws(stop context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	select {
	case <-w.heard:
		tick.Reset(w.every)
	case <-tick.C:
	case <-stop.Done():
	}
	for {
		r, marks, err := w.report()
		switch {
		case err != nil:
			return err
		case r.Signal != "":
			return exitError(r.ExitCode)
		case stop.Err() != nil:
			return nil // the time is over
		case w.draw(r, marks) != nil:
			return nil // main tells what was lost of standard output
		}
		select {
		case <-tick.C:
		case <-stop.Done():
		}
	}
}

// draw shows a sample: in place on a terminal, below the one before elsewhere.
func (w *gpuWatch) draw(r report.Report, marks map[string]string) error {
	var sheet bytes.Buffer
	fmt.Fprintln(&sheet, w.p.now().UTC().Format("2006-01-02 15:04:05 UTC"))
	if err := w.show(&sheet, r, marks); err != nil {
		return err
	}
	text := sheet.String() + "\n"
	if w.p.style(w.g, w.p.stdoutTTY).Live {
		columns, rows := w.p.size()
		// To the first line; each line to its end, and then the rest, is wiped.
		text = "\x1b[H" + strings.ReplaceAll(firstRows(sheet.String(), columns, rows-1), "\n", "\x1b[K\r\n") + "\x1b[J"
	}
	_, err := io.WriteString(w.p.stdout, text)
	return err
}

// firstRows is as much of a text as a screen has rows for: what scrolled away could not
// be drawn over. A line that is wider than the screen takes several of them; a columns or
// rows below 1 is no limit.
func firstRows(text string, columns, rows int) string {
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1] // the empty one behind the last
	taken := func(line string) int {
		if columns < 1 {
			return 1
		}
		return max(1, (term.Width(unpainted(strings.TrimSuffix(line, "\n")))+columns-1)/columns)
	}
	all := 0
	for _, l := range lines {
		all += taken(l)
	}
	if all <= rows || rows < 1 {
		return text
	}
	kept, used := 0, 0
	for kept < len(lines) && used+taken(lines[kept]) <= rows-1 {
		used += taken(lines[kept])
		kept++
	}
	more := fmt.Sprintf("%s more: --limit shows fewer hosts", counted(len(lines)-kept, "line"))
	if columns > 0 {
		more = term.Style{}.Fit(more, columns, false)
	}
	return strings.Join(lines[:kept], "") + more + "\n"
}
