package deploy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"phoenix/agentlet/dist"
	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/transport"
)

// Options says how a helper is started. The zero value is right but for Job.
type Options struct {
	// Job is sent to the helper with the command that starts it.
	Job tasks.Job
	// Confirm, when set, is sent instead of a job: the helper answers it and leaves.
	Confirm *wire.Confirm
	// Helper returns the helper for an architecture, as dist.Helper does; nil means
	// dist.Helper.
	Helper func(arch string) (gz []byte, sha256hex string, err error)
	// Nonce draws the nonce of a session; nil means 16 random bytes.
	Nonce func() string
	// StartTimeout bounds the wait for the greeting; 0 means 30 s.
	StartTimeout time.Duration
	// ScriptTimeout bounds each script, the upload included; 0 means 5 min.
	ScriptTimeout time.Duration
	// Silence is how long a helper may say nothing before its host counts as gone;
	// 0 means three heartbeats.
	Silence time.Duration
	// Stop, when done, keeps a helper that is not on the host from being put there and
	// given the job. A nil Stop is never done.
	Stop context.Context
	// GPUProbe returns the GPU probe for an architecture, as dist.Probe does; nil means
	// dist.Probe.
	GPUProbe func(arch string) (gz []byte, sha256hex string, err error)
	// Uploading, when set, is called with the host's name before a program, "the helper"
	// or "the GPU probe", is put there: over a slow line that is most of the run.
	Uploading func(host, program string)
	// Grace is how long Close waits for the helper to leave by itself; 0 means 5 s.
	Grace time.Duration
}

func (o Options) helper(arch string) ([]byte, string, error) {
	if o.Helper != nil {
		return o.Helper(arch)
	}
	return dist.Helper(arch)
}

func (o Options) nonce() string {
	if o.Nonce != nil {
		return o.Nonce()
	}
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand never fails
	return hex.EncodeToString(b)
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}

func (o Options) startTimeout() time.Duration  { return orDefault(o.StartTimeout, 30*time.Second) }
func (o Options) scriptTimeout() time.Duration { return orDefault(o.ScriptTimeout, 5*time.Minute) }
func (o Options) silence() time.Duration       { return orDefault(o.Silence, 3*wire.HeartbeatInterval) }
func (o Options) grace() time.Duration         { return orDefault(o.Grace, 5*time.Second) }

// Start starts the helper on the host and gives it its job, after putting the helper
// there where it is not, or is not what it should be. The agent's session ends when
// ctx does. The error is an *Error, or one of the connection's.
func Start(ctx context.Context, conn transport.Conn, t transport.Target, o Options) (*Agent, error) {
	hashes, err := o.hashes()
	if err != nil {
		return nil, &Error{Host: t.Name, What: "start the helper", Why: err.Error(), Err: err}
	}
	r := &remote{conn: conn, target: t, opts: o}
	var first error
	for attempt := range 2 {
		r.nonce = o.nonce()
		if err := wire.CheckNonce(r.nonce); err != nil {
			return nil, err
		}
		if attempt > 0 {
			if err := r.installUnlessStopped(ctx, program{"the helper", "agentlet-", o.helper}); err != nil {
				return nil, err
			}
		}
		a, err := r.launch(ctx, hashes)
		if err == nil {
			a.Uploaded = attempt > 0
			return a, nil
		}
		var again *absentError
		if !errors.As(err, &again) {
			return nil, err
		}
		first = again.fault
	}
	return nil, first
}

// ErrStopped is the error of Start when Options.Stop ended before the job was given.
var ErrStopped = errors.New("the run was stopped")

// installUnlessStopped puts a program on the host, unless the run is stopped meanwhile.
func (r *remote) installUnlessStopped(ctx context.Context, p program) error {
	stop := r.opts.Stop
	if stop != nil && stop.Err() != nil {
		return ErrStopped
	}
	if r.opts.Uploading != nil {
		r.opts.Uploading(r.target.Name, p.called)
	}
	if stop == nil {
		return r.install(ctx, p)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(stop, cancel)()
	err := r.install(ctx, p)
	if stop.Err() != nil {
		return ErrStopped
	}
	return err
}

// hashes are what a helper of this build may be called.
func (o Options) hashes() (map[string]string, error) {
	out := make(map[string]string)
	for _, arch := range dist.Arches() {
		_, hash, err := o.helper(arch)
		if err != nil {
			return nil, err
		}
		out[arch] = hash
	}
	return out, nil
}

// absentError is a launch after which putting the helper there may help: it is not
// there, or what is there is not it.
type absentError struct{ fault error }

func (e *absentError) Error() string { return e.fault.Error() }

// launch starts the helper where it lies and checks that it is the one.
func (r *remote) launch(ctx context.Context, hashes map[string]string) (*Agent, error) {
	limit := r.opts.startTimeout()
	starting, started := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it said nothing that phoenix understands for %s", limit))
	defer started()
	c, err := r.start(ctx, starting, Launch, append([]string{r.nonce}, arches(hashes)...)...)
	if err != nil {
		return nil, r.fail(launching, err.Error(), "", err)
	}
	a := newAgent(c, r)
	// A command that does not execute the helper reads nothing, so the job need not
	// wait for the greeting. Only sudo, which reads a password, must be over first.
	if r.become() != becomeAsks {
		a.open(r.nonce)
	}
	g, err := within(starting, func() (greeting, error) { return a.greet(r.nonce) })
	if err == nil {
		err = r.accept(&g.hello, hashes)
	} else {
		err = r.launchFault(starting, c, err)
	}
	if err != nil {
		a.out.end()
		c.release()
		_ = c.Close()
		return nil, err
	}
	c.quiet()
	if r.become() == becomeAsks {
		a.open(r.nonce)
	}
	a.Hello, a.Noise = g.hello, g.noise
	a.listen(ctx)
	return a, nil
}

// launching is what is being done by launch, for messages.
const launching = "start the helper"

func arches(hashes map[string]string) []string {
	var out []string
	for _, arch := range dist.Arches() {
		out = append(out, hashes[arch])
	}
	return out
}

// accept checks what the helper says of itself.
func (r *remote) accept(h *wire.Hello, hashes map[string]string) error {
	if h.UID != 0 {
		return r.rootFault(launching, fmt.Sprint(h.UID))
	}
	if want := hashes[h.Arch]; want == "" || h.SHA256 != want {
		return &absentError{r.fail(launching, fmt.Sprintf("the helper there has SHA-256 %.64q, and should have %s: it was replaced", h.SHA256, want),
			"find out who changes files below /var/lib/phoenix; `phoenix clean` removes them", nil)}
	}
	return nil
}

// launchFault says why no helper answered, and whether putting it there may help.
func (r *remote) launchFault(starting context.Context, c *command, err error) error {
	fail := func(why, hint string, err error) *Error { return r.fail(launching, why, hint, err) }
	var noise *wire.NoiseError
	isNoise := errors.As(err, &noise)
	if isNoise && noise.Err == nil {
		return fail(err.Error(), "the login shell prints without end; look at its startup files", err)
	}
	if starting.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		if !errors.Is(err, errNoHello) && !errors.As(err, new(*wire.FrameError)) {
			return r.cutOff(err)
		}
		return &absentError{fail("what answers there is not the helper: "+err.Error()+quoted("", c.Stderr()), "", err)}
	}
	if starting.Err() == nil {
		_, ended := within(starting, func() (struct{}, error) { return struct{}{}, c.Wait() })
		if starting.Err() == nil {
			return r.endFault(c, err, ended)
		}
	}
	late := context.Cause(starting)
	return fail(late.Error()+quoted("", c.Stderr()), "", errors.Join(late, err))
}

// cutOff is the error of a connection that broke before the helper greeted. Nobody
// knows whether it has started by then: it has been sent its job.
func (r *remote) cutOff(err error) error {
	var noise *wire.NoiseError
	if errors.As(err, &noise) {
		err = noise.Err
	}
	return r.fail(launching, "the connection was lost before the helper greeted: "+err.Error(),
		"run again: if the helper had started, it goes on to the end of its step, and the next run collects its record", errors.Join(transport.ErrPeerGone, err))
}

// endFault is the error of a launch that ended, with err where a greeting should be.
func (r *remote) endFault(c *command, err, ended error) error {
	out := outcome{code: exitCode(ended), stderr: c.said()}
	if fault := r.sudoFault(launching, c, out); fault != nil {
		return fault
	}
	var exit *transport.ExitError
	if ended != nil && !errors.As(ended, &exit) {
		return r.cutOff(ended)
	}
	why := "it ended before it greeted"
	if ended != nil {
		why += ", with " + ended.Error()
	}
	var noise *wire.NoiseError
	if errors.As(err, &noise) {
		why += quoted(noise.Noise, out.stderr)
	} else {
		why += ": " + err.Error() + quoted("", out.stderr)
	}
	return &absentError{r.fail(launching, why, "", err)}
}
