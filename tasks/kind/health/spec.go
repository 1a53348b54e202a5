package health

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/interp"
)

// Spec is one question to the host: by a command, to a web server or to a port.
type Spec struct {
	// Name of the check.
	Name string `json:"name"`
	// Command that asks.
	Command Command `json:"command,omitzero"`
	// HTTP is a question to a web server, asked from the host.
	HTTP *HTTP `json:"http,omitempty"`
	// TCP is a connection that the host must get.
	TCP *TCP `json:"tcp,omitempty"`
	// Expect is what the command must answer.
	Expect Expect `json:"expect,omitzero"`
	// Retries is how often it is asked again.
	Retries int `json:"retries,omitempty"`
	// IntervalS is the time between two attempts, in seconds; 0 means 5.
	IntervalS int `json:"interval_s,omitempty"`
	// TimeoutS bounds one attempt, in seconds; 0 means 30.
	TimeoutS int `json:"timeout_s,omitempty"`
}

// Expect is what the command must answer; the zero value wants status 0 alone.
type Expect struct {
	// ExitCode is the exit status.
	ExitCode int `json:"exit_code,omitempty"`
	// StdoutContains is a text that the standard output must have.
	StdoutContains string `json:"stdout_contains,omitempty"`
	// StdoutMatches is a regular expression (RE2) that the standard output must match.
	StdoutMatches string `json:"stdout_matches,omitempty"`
}

// Command is a program with its arguments or, as a string, a script for /bin/sh.
type Command struct {
	// Argv is the program and its arguments; there is no shell.
	Argv []string
	// Script is the text of a script; it is empty where there is an Argv.
	Script string
}

// MarshalJSON writes a list or a string.
func (c Command) MarshalJSON() ([]byte, error) {
	if c.Argv != nil {
		return json.Marshal(c.Argv)
	}
	return json.Marshal(c.Script)
}

// UnmarshalJSON reads a list or a string.
func (c *Command) UnmarshalJSON(data []byte) error {
	*c = Command{}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return json.Unmarshal(data, &c.Argv)
	}
	return json.Unmarshal(data, &c.Script)
}

// problems are the faults of the command.
func (c Command) problems() []tasks.Problem {
	if c.Argv == nil {
		return interp.Script{Text: c.Script}.Problems("command")
	}
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return []tasks.Problem{{Path: "command", Summary: "names no program", Hint: `such as ["systemctl", "is-active", "pveproxy"]`}}
	}
	var out tasks.Problems
	for i, a := range c.Argv {
		if strings.ContainsRune(a, 0) {
			out.Add(fmt.Sprintf("command.%d", i), "has a zero byte", "")
		}
	}
	return out
}

func (c Command) cmd() tasks.Cmd {
	if c.Argv != nil {
		return tasks.Cmd{Argv: c.Argv}
	}
	return interp.Script{Text: c.Script}.Cmd()
}

func (s *Spec) interval() time.Duration { return seconds(s.IntervalS, defaultIntervalS) }
func (s *Spec) timeout() time.Duration  { return seconds(s.TimeoutS, defaultTimeoutS) }

func seconds(n, otherwise int) time.Duration {
	if n == 0 {
		n = otherwise
	}
	return time.Duration(n) * time.Second
}

// AsksItself tells whether what is asked over the network is the machine that asks: the
// Proxmox host, and no container of it.
func (s *Spec) AsksItself() bool {
	host := ""
	switch {
	case s.HTTP != nil:
		if u, err := url.Parse(s.HTTP.URL); err == nil {
			host = u.Hostname()
		}
	case s.TCP != nil:
		host, _, _ = s.TCP.parts()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// LimitS is the longest time that the whole check can take, in seconds.
func (s *Spec) LimitS() int {
	const ending = 30 // a command that does not end on SIGTERM gets SIGKILL after a while
	all := time.Duration(s.Retries+1)*(s.timeout()+ending*time.Second) + time.Duration(s.Retries)*s.interval()
	return int(all / time.Second)
}

// asked are the faults of what is asked.
func (s *Spec) asked() []tasks.Problem {
	var out tasks.Problems
	asks := 0
	if s.Command.Argv != nil || s.Command.Script != "" {
		asks++
		out = append(out, s.Command.problems()...)
	} else if s.Expect != (Expect{}) {
		out.Add("expect", "is about the answer of a command", "http has status, contains and matches of its own")
	}
	if s.HTTP != nil {
		asks++
		out = append(out, s.HTTP.problems()...)
	}
	if s.TCP != nil {
		asks++
		out = append(out, s.TCP.problems()...)
	}
	switch {
	case asks == 0:
		out.Add("command", "is missing, and nothing else is asked", "say one of command, http and tcp")
	case asks > 1:
		out.Add("", fmt.Sprintf("%d things are asked", asks), "one of command, http and tcp; give each a health check of its own")
	}
	return out
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`).MatchString(s.Name) {
		out.Add("name", fmt.Sprintf("%q is no name of a health check", s.Name), "letters, digits and _ . - (64 at most)")
	}
	out = append(out, s.asked()...)
	if e := s.Expect.ExitCode; e < 0 || e > 255 {
		out.Add("expect.exit_code", fmt.Sprintf("%d is no exit status", e), "0 to 255")
	}
	if _, err := regexp.Compile(s.Expect.StdoutMatches); err != nil {
		out.Add("expect.stdout_matches", err.Error(), "regular expressions are those of RE2")
	}
	for _, n := range []struct {
		path       string
		value, top int
	}{{"retries", s.Retries, 1000}, {"interval_s", s.IntervalS, 3600}, {"timeout_s", s.TimeoutS, 3600}} {
		if n.value < 0 || n.value > n.top {
			out.Add(n.path, fmt.Sprintf("%d is out of range", n.value), fmt.Sprintf("0 to %d", n.top))
		}
	}
	return out
}
