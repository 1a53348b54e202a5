package deploy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/transport"
)

// remote is one host while the helper is put there and started.
type remote struct {
	conn   transport.Conn
	target transport.Target
	opts   Options
	nonce  string
}

func (r *remote) fail(what, why, hint string, err error) *Error {
	return &Error{Host: r.target.Name, What: what, Why: why, Hint: hint, Err: err}
}

func (r *remote) become() become {
	switch {
	case r.target.Become == "":
		return becomeNot
	case r.target.BecomePassword == "":
		return becomeNever
	}
	return becomeAsks
}

// command is a script that was started on the host.
type command struct {
	transport.Session
	// refused is set when sudo asked for the password a second time.
	refused atomic.Bool
	// quiet ends the answering of sudo's questions; release ends all that watches over
	// the command. Both may be called twice.
	quiet, release context.CancelFunc
}

// start starts a script, while opening lasts. The session is closed when ctx ends
// before release is called. Where sudo asks for a password, it is answered.
func (r *remote) start(ctx, opening context.Context, s Script, args ...string) (*command, error) {
	line, err := commandLine(r.become(), s, args...)
	if err != nil {
		return nil, err
	}
	sess, err := r.conn.Start(opening, line)
	if err != nil {
		return nil, err
	}
	asking, quiet := context.WithCancel(ctx)
	c := &command{Session: sess, quiet: quiet}
	stop := context.AfterFunc(ctx, func() { _ = sess.Close() })
	c.release = func() { stop(); quiet() }
	if r.become() == becomeAsks {
		go c.answer(asking, r.target.BecomePassword)
	}
	return c, nil
}

// said is what the command said on stderr, printable, without sudo's questions.
func (c *command) said() string {
	return wire.Printable([]byte(strings.ReplaceAll(c.Stderr(), sudoPrompt, "")))
}

// within waits for f while ctx lasts. A host that says nothing may leave f waiting
// until the connection is closed, whatever is done to the session.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// answer gives sudo the password when it asks, and ends the session when it asks
// again, which means that the password was wrong; otherwise sudo would wait.
func (c *command) answer(ctx context.Context, password string) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for asked := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n := strings.Count(c.Stderr(), sudoPrompt)
		if n > 0 && asked == 0 {
			_, _ = io.WriteString(c.Stdin(), password+"\n")
		}
		if n > 1 {
			c.refused.Store(true)
			_ = c.Close()
			return
		}
		asked = n
	}
}

// said is what a script printed in lines of ours: the word behind "phoenix-", then
// the rest of the line behind the nonce.
type said []struct{ word, rest string }

// first returns the first line of that word.
func (s said) first(word string) (string, bool) {
	for _, l := range s {
		if l.word == word {
			return l.rest, true
		}
	}
	return "", false
}

// all returns every line of that word.
func (s said) all(word string) []string {
	var out []string
	for _, l := range s {
		if l.word == word {
			out = append(out, l.rest)
		}
	}
	return out
}

// outcome is a script that has ended.
type outcome struct {
	said   said
	code   int // -1: it did not end by itself
	stderr string
}

// run starts a script and waits for its end, within Options.ScriptTimeout. Input is
// sent once the script says that it is ready.
func (r *remote) run(ctx context.Context, what string, s Script, input []byte, args ...string) (outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.opts.scriptTimeout(), fmt.Errorf("it took longer than %s", r.opts.scriptTimeout()))
	defer cancel()
	c, err := r.start(ctx, ctx, s, append([]string{r.nonce}, args...)...)
	if err != nil {
		return outcome{}, r.fail(what, err.Error(), "", err)
	}
	defer c.Close()
	defer c.release()
	type heard struct {
		lines said
		noise string
		ended error
	}
	h, err := within(ctx, func() (heard, error) {
		lines, noise, err := r.listen(c, input)
		if err != nil {
			return heard{noise: noise}, err
		}
		return heard{lines, noise, c.Wait()}, nil
	})
	if ctx.Err() != nil {
		return outcome{}, r.fail(what, context.Cause(ctx).Error(), "", context.Cause(ctx))
	}
	if err != nil {
		return outcome{}, r.fail(what, err.Error()+quoted(h.noise, c.Stderr()), "", err)
	}
	lines, noise, err := h.lines, h.noise, h.ended
	out := outcome{said: lines, code: exitCode(err), stderr: c.said()}
	if fault := r.sudoFault(what, c, out); fault != nil {
		return out, fault
	}
	var exit *transport.ExitError
	if err != nil && !errors.As(err, &exit) {
		return out, r.fail(what, err.Error()+quoted(noise, out.stderr), "", err)
	}
	if len(lines) == 0 && !slices.Contains([]int{65, 73, 74, 75, 76, 77}, out.code) { // the scripts' own
		return out, r.fail(what, fmt.Sprintf("a shell script gave no answer and exit status %d%s", out.code, quoted(noise, out.stderr)),
			"the login shell of the user must run commands: try `ssh HOST true`", nil)
	}
	return out, nil
}

// listen reads what a script prints to its end, at most 64 KiB of it.
func (r *remote) listen(c *command, input []byte) (lines said, noise string, err error) {
	var other strings.Builder
	limited := &io.LimitedReader{R: c.Stdout(), N: wire.MaxNoise}
	scan := bufio.NewScanner(limited)
	scan.Buffer(nil, wire.MaxNoise+1)
	for scan.Scan() {
		word, rest, ok := r.ours(scan.Text())
		if !ok {
			other.WriteString(scan.Text() + "\n")
			continue
		}
		if word == "ready" {
			go func() {
				_, _ = c.Stdin().Write(input)
				_ = c.Stdin().Close()
			}()
		}
		lines = append(lines, struct{ word, rest string }{word, rest})
	}
	if limited.N <= 0 {
		return nil, other.String(), fmt.Errorf("more than %d bytes came, which phoenix did not ask for", wire.MaxNoise)
	}
	if err := scan.Err(); err != nil && !c.refused.Load() {
		return lines, other.String(), fmt.Errorf("read answer: %w", err)
	}
	return lines, other.String(), nil
}

// ours takes a line of ours apart.
func (r *remote) ours(line string) (word, rest string, ok bool) {
	line = strings.TrimSuffix(line, "\r")
	// A banner without a line break at its end stands in front of our first word.
	if i := strings.LastIndex(line, "phoenix-"); i > 0 {
		line = line[i:]
	}
	word, rest, _ = strings.Cut(strings.TrimPrefix(line, "phoenix-"), " ")
	nonce, rest, _ := strings.Cut(rest, " ")
	if !strings.HasPrefix(line, "phoenix-") || nonce != r.nonce {
		return "", "", false
	}
	return word, rest, true
}

// sudoFault is the error of a command that sudo did not run.
func (r *remote) sudoFault(what string, c *command, out outcome) error {
	name := r.target.Name
	switch {
	case r.target.Become == "":
	case c.refused.Load():
		return r.fail(what, "sudo refused the password", "check the become password of "+name+" in the inventory", nil)
	case out.code == 127 && len(out.said) == 0 && strings.Contains(out.stderr, "sudo"):
		return r.fail(what, "there is no sudo", "Proxmox VE comes without it: apt-get install sudo on "+name+", or log in as root", nil)
	case out.code == 1 && len(out.said) == 0 && strings.Contains(out.stderr, "sudo"):
		return r.fail(what, "sudo refused: "+oneLine(out.stderr), "let the user run commands as root in /etc/sudoers.d, or give a become password", nil)
	}
	return nil
}

// quoted is what a host said instead of what was expected, to end a message with.
func quoted(noise, stderr string) string {
	var b strings.Builder
	if s := oneLine(noise); s != "" {
		b.WriteString("; it printed: " + s)
	}
	if s := oneLine(strings.ReplaceAll(stderr, sudoPrompt, "")); s != "" {
		b.WriteString("; on stderr: " + s)
	}
	return b.String()
}
