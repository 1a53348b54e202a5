package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"phoenix/inventory"
	"phoenix/tasks"
	"phoenix/tasks/kind/exec"
	"phoenix/tasks/report"
	"phoenix/tasks/report/term"
)

// execCmd is `phoenix exec`.
type execCmd struct {
	CT      string   `name:"ct" placeholder:"CTID" help:"Run it inside this container instead of on the host."`
	Command []string `arg:"" passthrough:"" help:"Program and arguments; there is no shell. Put -- before it."`
	Reach   reach    `embed:""`
	Out     output   `embed:""`
}

// Run is called by kong.
func (c *execCmd) Run(p *program, g *cli) error {
	argv := c.Command
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return &usageError{"no command to run: phoenix exec -- uptime"}
	}
	if len(argv) == 1 && strings.ContainsAny(argv[0], " \t") && !strings.HasPrefix(argv[0], "/") {
		return &usageError{fmt.Sprintf("no program is called %q, and there is no shell: phoenix exec -- sh -c '%s'", argv[0], strings.ReplaceAll(argv[0], "'", `'\''`))}
	}
	spec := &exec.Spec{Argv: argv}
	q := question{
		request: request{command: "exec", mode: tasks.ModeRun, reach: &c.Reach, output: c.Out, live: newExecSink(p, g)},
		kind:    exec.Name, id: exec.Name + ":host", spec: spec,
	}
	if c.CT == "" {
		return p.ask(g, q)
	}
	word, err := checkCTID(c.CT)
	if err != nil {
		return err
	}
	q.among = func(all, hosts []*inventory.Host) ([]*inventory.Host, error) {
		id, err := ctid(all, word)
		if err != nil {
			return nil, err
		}
		spec.CTID = id
		if found := carrying(hosts, id); len(found) > 0 {
			return found, nil
		}
		h, err := only(all, hosts, id)
		return []*inventory.Host{h}, err
	}
	q.id = fmt.Sprintf("%s:ct%s", exec.Name, word)
	return p.ask(g, q)
}

// question is one and the same step for every host.
type question struct {
	request
	kind, id string
	spec     tasks.Spec
	// also is asked with it, in the same job.
	also []tasks.Step
	// among picks the hosts that are asked from those selected, knowing all of the
	// inventory; nil asks all that are selected.
	among func(all, selected []*inventory.Host) ([]*inventory.Host, error)
	// ledger adds to the answers who has which GPU by the configuration.
	ledger bool
}

// ask puts a question to every selected host.
func (p *program) ask(g *cli, q question) error {
	ctx := context.Background()
	if problems := q.spec.Validate(); len(problems) > 0 {
		return &usageError{problems[0].String()}
	}
	fleet, hosts, err := p.selected(ctx, g)
	if err != nil {
		return err
	}
	if q.among != nil {
		if hosts, err = q.among(fleet.Hosts, hosts); err != nil {
			return err
		}
	}
	step, err := tasks.NewStep(q.kind, q.id, q.spec)
	if err != nil {
		return err
	}
	var work []assignment
	for _, h := range hosts {
		work = append(work, assignment{host: h, steps: append([]tasks.Step{step}, q.also...)})
	}
	if q.ledger {
		q.amend = gpuLedger{fleet}.event
	}
	rec, err := p.carryOut(ctx, g, fleet, work, q.request)
	if err != nil {
		return err
	}
	return rec.finish()
}

// execSink prints what the commands print, as it comes: each line behind the name
// of its host, stdout to stdout and stderr to stderr.
type execSink struct {
	// screen has the terminal to itself while it draws; set before the first event.
	screen   *term.Display
	out, err io.Writer
	style    term.Style
	errStyle term.Style
}

func newExecSink(p *program, g *cli) *execSink {
	return &execSink{out: p.stdout, err: p.stderr, style: p.style(g, p.stdoutTTY), errStyle: p.style(g, p.stderrTTY)}
}

// Event prints the lines of programs and drops everything else.
func (s *execSink) Event(e report.Event) {
	if e.Step == nil || e.Step.Log == nil || e.Step.Log.Stream == "task" {
		return
	}
	w, style := s.out, s.style
	if e.Step.Log.Stream == "stderr" {
		w, style = s.err, s.errStyle
	}
	var b bytes.Buffer
	for _, l := range style.Lines(e.Step.Log.Text) {
		fmt.Fprintf(&b, "%s | %s\n", style.Paint(term.Strong, style.Clean(e.Host)), l)
	}
	// A reader that left ends nothing on the hosts.
	s.screen.Interject(func() { _, _ = w.Write(b.Bytes()) })
}

// recap says on which hosts the command did not end well, same reasons together,
// and how many it went well on. It is for people, so it goes where progress goes.
func (s *execSink) recap(r report.Report, v term.Verbosity) {
	var reasons []string
	names := make(map[string][]string)
	for _, h := range r.Hosts {
		why := trouble(h)
		if why == "" {
			continue
		}
		if names[why] == nil {
			reasons = append(reasons, why)
		}
		names[why] = append(names[why], s.errStyle.Clean(h.Name))
	}
	for _, why := range reasons {
		lines := s.errStyle.Lines(why)
		fmt.Fprintf(s.err, "%s  %s\n", s.errStyle.Paint(term.Strong, strings.Join(names[why], ", ")), s.errStyle.Paint(term.Bad, lines[0]))
		for _, l := range lines[1:] {
			fmt.Fprintf(s.err, "  %s\n", l)
		}
	}
	switch {
	case r.Signal != "":
		fmt.Fprintln(s.err, s.errStyle.Paint(term.Bad, "! the run was interrupted"))
	case r.Stopped != "":
		fmt.Fprintln(s.err, s.errStyle.Paint(term.Bad, "! the run was stopped: "+s.errStyle.Clean(r.Stopped)))
	}
	if v == term.Quiet || len(reasons) == 0 && len(r.Hosts) == 1 {
		return
	}
	n := r.Totals.Hosts
	fmt.Fprintf(s.err, "%s: %s\n", term.Count(n.Total, "host"), s.errStyle.Tally(
		term.Part{N: n.Failed, Word: "failed", Role: term.Bad},
		term.Part{N: n.Unreachable, Word: "unreachable", Role: term.Bad},
		term.Part{N: n.NotStarted, Word: "not started", Role: term.Change},
		term.Part{N: n.OK + n.Changed + n.Drifted, Word: "ok"},
	))
}

// notFound is the exit status of a command that is not there; its reason has to be
// told, because nothing has said it.
const notFound = 127

// trouble is why a command did not end well on a host, or empty. What is wrong with
// a host as a whole has been told when it happened.
func trouble(h report.Host) string {
	for _, s := range h.Steps {
		var ended exec.Data
		if s.Why == "" {
			continue
		}
		if strings.HasPrefix(s.Why, "run ") && json.Unmarshal(s.Data, &ended) == nil && ended.Code != 0 && ended.Code != notFound {
			// What the program said of it has been shown.
			return fmt.Sprintf("exit status %d", ended.Code)
		}
		return s.Why
	}
	return ""
}
