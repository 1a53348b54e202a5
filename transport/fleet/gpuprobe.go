package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/findings"
	"phoenix/tasks/gpufacts/smixml"
	"phoenix/tasks/kind/gpus"
	"phoenix/transport"
	"phoenix/transport/deploy"
)

// probing is the helper's Agent on a host that is asked for its GPUs. Where the helper
// says that the GPU probe would know more and is not there, the probe is put there over
// the same connection and the helper asked again; nobody else hears of the first answer.
// Where that fails, the first answer stands, with the reason. A host without a card, and
// one that has the probe, are asked once. What nvidia-smi said there is read here.
type probing struct {
	ctx    context.Context
	conn   transport.Conn
	target transport.Target
	opts   deploy.Options
	step   tasks.Step
	arch   string
	first  *deploy.Agent

	mu    sync.Mutex
	agent *deploy.Agent // at work now; first, but while the host is asked again

	held *tasks.Event  // the first answer
	over *wire.Message // the end of the job, told after the answer
}

// withProbe is a, unless the job asks for GPUs.
func withProbe(ctx context.Context, conn transport.Conn, h Host, o deploy.Options, a *deploy.Agent) Agent {
	for _, s := range h.Job.Steps {
		if s.Kind == gpus.Name && h.Confirm == nil {
			p := &probing{ctx: ctx, conn: conn, target: h.Target, opts: o, step: s, arch: a.Hello.Arch, first: a, agent: a}
			if specOf(s).EveryMS > 0 {
				return &sampling{probing: p}
			}
			return p
		}
	}
	return a
}

// Receive is Agent's.
func (p *probing) Receive() (wire.Message, error) {
	if p.over != nil {
		m := *p.over
		p.over = nil
		return m, nil
	}
	for {
		m, err := p.first.Receive()
		switch {
		case err != nil:
			return m, err
		case m.Event != nil && p.held == nil && lacksProbe(*m.Event, p.step.ID):
			p.held = m.Event
		case m.Done != nil && p.held != nil:
			answer := *p.held
			if m.Done.Error == "" && m.Done.Holder == nil {
				answer = p.again()
			}
			p.held, p.over = nil, &m
			answer = typed(answer)
			return wire.Message{Event: &answer}, nil
		case m.Event != nil && m.Event.Step == p.step.ID && m.Event.Result != nil:
			answer := typed(*m.Event)
			return wire.Message{Event: &answer}, nil
		default:
			return m, nil
		}
	}
}

// Send is Agent's.
func (p *probing) Send(m wire.Message) error { return p.working().Send(m) }

// Close is Agent's.
func (p *probing) Close() error {
	if a := p.working(); a != p.first {
		_ = a.Close()
	}
	return p.first.Close()
}

func (p *probing) working() *deploy.Agent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.agent
}

func (p *probing) work(a *deploy.Agent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.agent = a
}

// lacksProbe tells whether an event is the answer of a helper that lacks the probe.
func lacksProbe(e tasks.Event, step string) bool {
	var h struct {
		ProbeMissing bool `json:"probe_missing"`
	}
	return e.Step == step && e.Result != nil && e.Result.Status == tasks.StatusOK &&
		json.Unmarshal(e.Result.Data, &h) == nil && h.ProbeMissing
}

// again puts the probe on the host and returns the new answer, or the held one with the
// reason why there is no better.
func (p *probing) again() tasks.Event {
	answer, err := p.better()
	if err != nil {
		return p.poorer(err)
	}
	answer.Result.DurationMS += p.held.Result.DurationMS
	return answer
}

// better is the answer once the probe is there.
func (p *probing) better() (tasks.Event, error) {
	_, hash, err := p.opts.GPUProbe(p.arch)
	if err != nil {
		return tasks.Event{}, err
	}
	// The job was sent before the host had said what it is, and named the probe of the
	// usual architecture.
	var asked gpus.Spec
	if json.Unmarshal(p.step.Spec, &asked) == nil && asked.Probe != hash {
		if e, err := p.ask(hash); err != nil || !lacksProbe(e, p.step.ID) {
			return e, err
		}
	}
	if err := deploy.PutGPUProbe(p.ctx, p.conn, p.target, p.opts); err != nil {
		return tasks.Event{}, err
	}
	e, err := p.ask(hash)
	if err == nil && lacksProbe(e, p.step.ID) {
		err = errNotFound
	}
	return e, err
}

// errNotFound is a helper that does not see what was put on its host.
var errNotFound = errors.New("it was put onto the host and the helper does not find it")

// errNoAnswer is a helper that was asked for the GPUs and ended without them.
var errNoAnswer = errors.New("the helper was asked again and gave no answer")

// ask takes the one step again. It looks only, so that it needs no lock and leaves no
// record.
func (p *probing) ask(hash string) (tasks.Event, error) {
	asked := specOf(p.step)
	asked.Probe = hash
	spec, err := json.Marshal(asked)
	if err != nil {
		return tasks.Event{}, err
	}
	o := p.opts
	step := p.step
	step.Spec, step.Needs = spec, nil
	o.Job.Mode, o.Job.Secrets, o.Job.Steps = tasks.ModeCheck, nil, []tasks.Step{step}
	a, err := deploy.Start(p.ctx, p.conn, p.target, o)
	if err != nil {
		return tasks.Event{}, err
	}
	p.work(a)
	defer func() {
		p.work(p.first)
		_ = a.Close()
	}()
	var answer *tasks.Event
	for {
		m, err := a.Receive()
		switch {
		case err != nil:
			return tasks.Event{}, err
		case m.Event != nil && m.Event.Step == step.ID && m.Event.Result != nil:
			answer = m.Event
		case m.Done != nil && answer == nil:
			return tasks.Event{}, errNoAnswer
		case m.Done != nil:
			return *answer, nil
		}
	}
}

// typed is an answer whose XML has become facts, and whose lost cards have their addresses.
func typed(e tasks.Event) tasks.Event {
	return changed(e, func(h *gpufacts.Host) bool {
		if h.SMI != "" {
			smixml.Read(h)
			findings.Place(h)
			return true
		}
		return findings.Place(h)
	})
}

// poorer is the held answer, with the reason why it is no better.
func (p *probing) poorer(why error) tasks.Event {
	return changed(*p.held, func(h *gpufacts.Host) bool {
		instead(h, why)
		return true
	})
}

// changed is an answer with other data. One that cannot be read stays as it is: whoever
// reads it says so.
func changed(e tasks.Event, change func(*gpufacts.Host) bool) tasks.Event {
	var h gpufacts.Host
	if json.Unmarshal(e.Result.Data, &h) != nil || !change(&h) {
		return e
	}
	data, err := json.Marshal(h)
	if err != nil {
		return e
	}
	r := *e.Result
	r.Data, e.Result = data, &r
	return e
}
