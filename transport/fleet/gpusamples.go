package fleet

import (
	"encoding/json"
	"errors"
	"slices"

	"phoenix/agentlet/dist"
	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/findings"
	"phoenix/tasks/gpufacts/smixml"
	"phoenix/tasks/kind/gpus"
	"phoenix/transport/deploy"
)

// sampling is probing where the step goes on and hands over samples. The helper looks for
// the probe at each, so that one that is put there while the step goes on is used from then
// on. Only where the job named that of another architecture is it sent once more. A probe
// that cannot be put there is tried once; each sample then says why.
type sampling struct {
	*probing
	// lacks is set by the first sample without the probe, tried once that was seen to.
	lacks, tried bool
	why          error
}

// Receive is Agent's.
func (s *sampling) Receive() (wire.Message, error) {
	if s.lacks && !s.tried {
		s.tried = true
		if err := s.bring(); err != nil {
			return wire.Message{}, err
		}
	}
	m, err := s.working().Receive()
	if err != nil || m.Event == nil || m.Event.Step != s.step.ID {
		return m, err
	}
	e := *m.Event
	switch {
	case e.Sample != nil:
		e.Sample = s.told(e.Sample)
	case e.Result != nil:
		r := *e.Result
		r.Data = s.told(r.Data)
		e.Result = &r
	}
	return wire.Message{Event: &e}, nil
}

// told is an answer as people are told it: its XML has become facts, and what kept the
// probe from the host is said. One that cannot be read stays as it is.
func (s *sampling) told(data json.RawMessage) json.RawMessage {
	var h gpufacts.Host
	if json.Unmarshal(data, &h) != nil {
		return data
	}
	s.lacks = s.lacks || h.ProbeMissing
	if h.SMI == "" && (!h.ProbeMissing || s.why == nil) && !findings.Place(&h) {
		return data
	}
	smixml.Read(&h)
	findings.Place(&h)
	if h.ProbeMissing && s.why != nil {
		instead(&h, s.why)
	}
	out, err := json.Marshal(h)
	if err != nil {
		return data
	}
	return out
}

// bring puts the probe onto the host, or notes why it cannot; where the job named another,
// it sends the job again. The error is that of a helper that is at work no longer.
func (s *sampling) bring() error {
	_, hash, err := s.opts.GPUProbe(s.arch)
	asked := specOf(s.step)
	switch {
	case err != nil:
		s.why = err
	case asked.Probe != hash:
		asked.Probe = hash
		return s.restart(asked)
	default:
		s.why = deploy.PutGPUProbe(s.ctx, s.conn, s.target, s.opts)
	}
	return nil
}

// restart ends the job and sends it again with another spec. What the first one has to say
// until its end, nobody hears. The probe is put there when the second one lacks it.
func (s *sampling) restart(spec gpus.Spec) error {
	raw, err := json.Marshal(&spec)
	if err != nil {
		return err
	}
	if err := s.first.Send(wire.Message{Cancel: &wire.Cancel{}}); err != nil {
		return err
	}
	for {
		m, err := s.first.Receive()
		if err != nil {
			return err
		}
		if m.Done != nil {
			break
		}
	}
	o := s.opts
	o.Job.Steps = slices.Clone(o.Job.Steps)
	for i := range o.Job.Steps {
		if o.Job.Steps[i].ID == s.step.ID {
			o.Job.Steps[i].Spec = raw
			s.step = o.Job.Steps[i]
		}
	}
	a, err := deploy.Start(s.ctx, s.conn, s.target, o)
	if err != nil {
		return err
	}
	s.work(a)
	if ended(o.Stop) { // which the one before was told
		_ = a.Send(wire.Message{Cancel: &wire.Cancel{}})
	}
	s.lacks, s.tried = false, false
	return nil
}

// instead says of the probe why it could not be put there.
func instead(h *gpufacts.Host, why error) {
	missed := gpufacts.Missed{Source: gpufacts.SourceNVML, Fault: gpufacts.Fault{Kind: gpufacts.KindProbeMissing, Text: why.Error()}}
	if errors.Is(why, dist.ErrNoProbe) {
		missed.Kind = gpufacts.KindNoProbe
	}
	i := slices.IndexFunc(h.Missed, func(m gpufacts.Missed) bool { return m.Source == gpufacts.SourceNVML })
	if i < 0 {
		h.Missed = slices.Insert(h.Missed, 0, missed)
	} else {
		h.Missed[i] = missed
	}
}

// specOf is what a step asks; one that cannot be read asks for nothing special.
func specOf(s tasks.Step) (spec gpus.Spec) {
	if json.Unmarshal(s.Spec, &spec) != nil {
		return gpus.Spec{}
	}
	return spec
}
