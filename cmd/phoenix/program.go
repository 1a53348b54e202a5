package main

import (
	"cmp"
	"errors"
	"io"
	"os"
	"os/user"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"
)

// program is what the commands know of the world; nothing of it is global, so that
// a test can have a world of its own.
type program struct {
	stdin          *os.File
	stdout, stderr io.Writer
	// stdoutTTY and stderrTTY tell whether a person sees what is written there.
	stdoutTTY, stderrTTY bool
	// stdinTTY and stderrTTY together mean that a person can be asked.
	stdinTTY bool
	environ  func(string) string
	lookup   func(string) (string, bool)
	// variables lists the environment as NAME=VALUE.
	variables func() []string
	home      string
	now       func() time.Time
	operator  string
	version   string
}

// processProgram is the program that a person started.
func processProgram() *program {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	return &program{
		stdin: os.Stdin, stdout: &checked{Writer: os.Stdout}, stderr: os.Stderr,
		stdinTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		stdoutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		environ:   os.Getenv,
		lookup:    os.LookupEnv,
		variables: os.Environ,
		home:      home,
		now:       time.Now,
		operator:  operator(),
		version:   buildVersion(),
	}
}

// operator is who is shown to others: "ann@laptop".
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// buildVersion is the module's version, or the commit it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && version == "(devel)" {
			version = s.Value[:min(12, len(s.Value))]
		}
	}
	return version
}

// interactive tells whether a person can be asked a question.
func (p *program) interactive() bool { return p.stdinTTY && p.stderrTTY }

// size is the terminal's, in columns and rows; 80 by 24 where it cannot be told.
func (p *program) size() (columns, rows int) {
	f, ok := p.stderr.(*os.File)
	if !ok {
		return 80, 24
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80, 24
	}
	return columns, rows
}

// columns is how wide the terminal of standard output is; 0 where it cannot be told.
func (p *program) columns() int {
	out, _ := p.stdout.(*checked)
	if out == nil {
		return 0
	}
	f, ok := out.Writer.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// checked remembers the first error of writing, so that data which did not arrive
// is never a success.
type checked struct {
	io.Writer
	mu  sync.Mutex
	err error
}

func (c *checked) Write(data []byte) (int, error) {
	n, err := c.Writer.Write(data)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = cmp.Or(c.err, err)
	}
	return n, err
}

// lost is why what was written to standard output did not all arrive.
func (p *program) lost() error {
	if c, ok := p.stdout.(*checked); ok {
		return c.lost()
	}
	return nil
}

// lost is why not all arrived. A reader that had enough and left is no reason.
func (c *checked) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.err, syscall.EPIPE) {
		return nil
	}
	return c.err
}

// forgetEmpty takes variables of ours that are set to nothing out of the
// environment: continuous integration exports every variable it was ever told of.
func forgetEmpty(environ []string) error {
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" && strings.HasPrefix(name, "PHOENIX_") {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	return nil
}
