package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"phoenix/tasks"
	cards "phoenix/tasks/kind/gpus"
	"phoenix/tasks/report"
	"phoenix/tasks/secret"
	"phoenix/transport/deploy"
	"phoenix/transport/fleet"
)

// gpuWatch shows the GPUs again and again. The connections stay open in between; each
// sample is a job of its own, for which the helper is started anew. No sample is kept
// among the runs.
type gpuWatch struct {
	p     *program
	g     *cli
	every time.Duration
	hosts func(id string) []fleet.Host
	fleet fleet.Fleet
	kept  *fleet.Kept
	intr  *interrupts
	// redact takes secrets out of what hosts say.
	redact func(string) string
	show   func(io.Writer, report.Report) error
}

// watch is `phoenix gpus --watch`.
func (c *gpusCmd) watch(p *program, g *cli) error {
	ctx := context.Background()
	inv, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	step, err := tasks.NewStep(cards.Name, cards.Name+":host", gpuQuestion())
	if err != nil {
		return err
	}
	var work []assignment
	for _, h := range hosts {
		work = append(work, assignment{host: h, steps: []tasks.Step{step}})
	}
	values, err := p.resolve(ctx, inv, work)
	if err != nil {
		return err
	}
	w := &gpuWatch{p: p, g: g, every: c.Every, redact: secret.NewRedactor(mapValues(values)...).Text}
	w.intr = watchSignals(ctx, func(string) {})
	defer w.intr.release()
	dialer := p.dialer(&c.Reach, p.warn, p.asker())
	defer dialer.Close()
	w.kept = &fleet.Kept{Dialer: dialer}
	defer w.kept.Close()
	w.fleet = fleet.Fleet{
		Dialer: w.kept, Start: fleet.Deploy(deploy.Options{Stop: w.intr.Stop}), Forks: c.Reach.Forks,
		HostTimeout: c.Reach.HostTimeout, Interrupt: w.intr.Interrupt, Now: p.now,
	}
	w.hosts = func(id string) []fleet.Host {
		var out []fleet.Host
		for _, a := range work {
			out = append(out, fleet.Host{Target: target(a.host, &c.Reach, values), Job: tasks.Job{
				RunID: id, Operator: p.operator, Mode: tasks.ModeCheck, Steps: a.steps, StepTimeoutS: int(c.Reach.StepTimeout.Seconds()),
			}})
		}
		return out
	}
	w.show = p.showGPUs(g, c.Out)
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
func (p *program) showGPUs(g *cli, o output) func(io.Writer, report.Report) error {
	return func(w io.Writer, r report.Report) error { return p.gpuTable(o)(w, r, p.style(g, p.stdoutTTY)) }
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

// follow takes samples until the operator has seen enough, or nobody reads them.
func (w *gpuWatch) follow() error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		r, err := w.sample()
		if err != nil {
			return err
		}
		if r.Signal != "" {
			return exitError(r.ExitCode)
		}
		if w.intr.Stop.Err() != nil {
			return nil // the time is over
		}
		if w.draw(r) != nil {
			return nil // main tells what was lost of standard output
		}
		select {
		case <-tick.C:
		case <-w.intr.Stop.Done():
		}
	}
}

// sample asks every host once.
func (w *gpuWatch) sample() (report.Report, error) {
	id, err := report.NewRunID(w.p.now(), rand.Reader)
	if err != nil {
		return report.Report{}, err
	}
	stream := report.NewStream(report.StreamOptions{RunID: id, Now: w.p.now, Redact: w.redact})
	hosts := w.hosts(id)
	var names []string
	for _, h := range hosts {
		names = append(names, h.Target.Name)
	}
	stream.Emit(report.Event{RunStarted: &report.RunStarted{Command: "gpus", Mode: tasks.ModeCheck, Operator: w.p.operator, Version: w.p.version, Hosts: names, Limit: w.g.Limit}})
	f := fleet.Fleet{
		Dialer: w.fleet.Dialer, Start: w.fleet.Start, Forks: w.fleet.Forks, HostTimeout: w.fleet.HostTimeout, Interrupt: w.fleet.Interrupt, Now: w.fleet.Now,
		Emit: func(e report.Event) {
			if e.HostDone != nil && e.HostDone.Error != nil {
				w.kept.Drop(e.Host) // what broke is dialed again
			}
			stream.Emit(e)
		},
	}
	f.Run(w.intr.leave, hosts)
	return stream.Finish(report.RunDone{Signal: w.intr.signal()}), nil
}

// draw shows a sample: in place on a terminal, below the one before elsewhere.
func (w *gpuWatch) draw(r report.Report) error {
	var sheet bytes.Buffer
	fmt.Fprintln(&sheet, w.p.now().UTC().Format("2006-01-02 15:04:05 UTC"))
	if err := w.show(&sheet, r); err != nil {
		return err
	}
	text := sheet.String() + "\n"
	if w.p.style(w.g, w.p.stdoutTTY).Live {
		_, rows := w.p.size()
		// To the first line; each line to its end, and then the rest, is wiped.
		text = "\x1b[H" + strings.ReplaceAll(firstRows(sheet.String(), rows-1), "\n", "\x1b[K\r\n") + "\x1b[J"
	}
	_, err := io.WriteString(w.p.stdout, text)
	return err
}

// firstRows is as much of a text as a screen has rows for: what scrolled away could not
// be drawn over.
func firstRows(text string, rows int) string {
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1] // the empty one behind the last
	if len(lines) <= rows || rows < 1 {
		return text
	}
	left := len(lines) - rows + 1
	return strings.Join(lines[:rows-1], "") + fmt.Sprintf("%s more: --limit shows fewer hosts\n", counted(left, "line"))
}
