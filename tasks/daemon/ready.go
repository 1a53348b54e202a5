package daemon

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/systemd"
)

// The defaults of Ready, and how often a wait that goes on is told of.
const (
	defaultTimeout  = 60 * time.Second
	defaultInterval = 2 * time.Second
	tellEvery       = 30 * time.Second
)

func (r *Ready) timeout() time.Duration {
	if r.TimeoutS == 0 {
		return defaultTimeout
	}
	return time.Duration(r.TimeoutS) * time.Second
}

func (r *Ready) interval() time.Duration {
	if r.IntervalS == 0 {
		return defaultInterval
	}
	return time.Duration(r.IntervalS) * time.Second
}

// Get is curl for an address inside the machine: without a configuration file and a
// proxy, with a bound, and with the status of HTTP as its own.
func Get(url string) tasks.Cmd {
	return tasks.Cmd{Argv: []string{"curl", "--disable", "--globoff", "--noproxy", "*", "--fail-with-body", "--silent", "--show-error", "--max-time", "10", url}, ReadOnly: true}
}

// Inside is the address at which a server is asked from its own machine; an empty host
// stands for all of IPv4.
func Inside(host string, port int) string {
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return HostPort(host, strconv.Itoa(port))
}

// ask asks once: empty is the right answer, any other text says what came instead. An
// error says that it could not be asked.
func (t *task) ask(ctx context.Context, h tasks.Host) (said string, err error) {
	c := Get(t.Ready.URL)
	if t.Ready.URL == "" {
		c = tasks.Cmd{Argv: t.Ready.Command, ReadOnly: true}
	}
	if t.Token != nil {
		value, err := tasks.SecretValue(ctx, t.Token.Name)
		if err != nil {
			return "", err
		}
		c.Argv = slices.Insert(c.Argv, 1, "--header", "@-")
		c.Stdin = []byte("Authorization: Bearer " + value + "\n")
	}
	out, err := h.Run(ctx, c)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", t.Name, err)
	}
	if err := tasks.Failed(c, out, nil); err != nil {
		text := strings.TrimSpace(string(out.Stderr) + string(out.Stdout))
		if text == "" {
			text = fmt.Sprintf("exit status %d", out.Code)
		}
		return lastLines(c.Name()+": "+text, 3), nil
	}
	if t.Answers != nil {
		if err := t.Answers(out.Stdout); err != nil {
			return err.Error(), nil
		}
	}
	return "", nil
}

// await asks until the answer comes, the service has ended, or the time is over.
func (t *task) await(ctx context.Context, h tasks.Host) error {
	begin := time.Now()
	var told time.Time
	for {
		u, err := systemd.Show(ctx, h, t.unitName())
		if err != nil {
			return err
		}
		if !u.Running() && u.Active != "activating" {
			return fmt.Errorf("start %s: systemd says that it is %s%s", t.Name, u.Active, t.journal(ctx, h))
		}
		if t.Ready == nil {
			return nil
		}
		said, err := t.ask(ctx, h)
		if err != nil || said == "" {
			return err
		}
		waited := time.Since(begin)
		if waited >= t.Ready.timeout() {
			return fmt.Errorf("wait for %s: no answer within %s: %s%s", t.Name, t.Ready.timeout(), said, t.journal(ctx, h))
		}
		if told.IsZero() || time.Since(told) >= tellEvery {
			told = time.Now()
			tasks.Logf(ctx, "%s does not answer yet, after %s of %s: %s", t.Name, waited.Round(time.Second), t.Ready.timeout(), said)
		}
		timer := time.NewTimer(t.Ready.interval())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for %s: %w", t.Name, ctx.Err())
		}
	}
}

// journal is the end of what the service said, for the end of a message.
func (t *task) journal(ctx context.Context, h tasks.Host) string {
	c := tasks.Cmd{Argv: []string{"journalctl", "--unit", t.unitName(), "--lines", "10", "--no-pager", "--output", "cat"}, ReadOnly: true}
	out, err := tasks.Succeed(ctx, h, c)
	text := strings.TrimSpace(string(out.Stdout))
	if err != nil || text == "" {
		return ""
	}
	return "\nits journal ends with:\n" + lastLines(text, 10)
}

// lastLines is the end of a text, each line fit to be shown.
func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-n):]
	for i := range lines {
		lines[i] = tasks.LogLine([]byte(lines[i]))
	}
	return strings.Join(lines, "\n")
}

// HostPort is a host and a port as addresses have them: an IPv6 address in brackets. It
// is net.JoinHostPort, with which the helper would have all of package net.
func HostPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}
