package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// errInterrupted is the answer of an operator who pressed Ctrl-C at a question.
var errInterrupted = errors.New("interrupted")

// askSecret asks a question on the terminal without showing the answer.
func (p *program) askSecret(ctx context.Context, question string) (string, error) {
	if !p.interactive() {
		return "", errNoTerminal
	}
	fd := int(p.stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask for a secret: %w", err)
	}
	fmt.Fprintf(p.stderr, "%s: ", strings.TrimSuffix(strings.TrimSpace(question), ":"))
	defer fmt.Fprintln(p.stderr)
	answer, err := answered(ctx, func() (string, error) {
		typed, err := term.ReadPassword(fd)
		return string(typed), err
	})
	if errors.Is(err, errInterrupted) {
		// The read goes on and would leave the terminal without its echo.
		return "", errors.Join(err, term.Restore(fd, before))
	}
	return answer, err
}

// confirmName asks the operator to type the name of what is to be lost. Anything
// else, the end of input included, is a no.
func (p *program) confirmName(ctx context.Context, what, name string) (bool, error) {
	if !p.interactive() {
		return false, errNoTerminal
	}
	fmt.Fprintf(p.stderr, "%s\nType %s to go on, anything else to leave it: ", what, name)
	line, err := answered(ctx, func() (string, error) { return readLine(p.stdin) })
	if err != nil {
		fmt.Fprintln(p.stderr)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return strings.TrimSpace(line) == name, nil
}

// consent has the operator type the name of what is to be lost. Without that nothing is
// contacted; the refusal says what was refused, and which flag agrees beforehand.
func (p *program) consent(ctx context.Context, what, name, doing, flag string) error {
	yes, err := p.confirmName(ctx, what, name)
	switch {
	case errors.Is(err, errInterrupted):
		return p.interrupted()
	case err == nil && yes:
		return nil
	}
	why := "the answer was not its name"
	if err != nil {
		why = err.Error()
	}
	fmt.Fprintf(p.stderr, "phoenix: %s is refused: %s; nothing was contacted\n", doing, why)
	fmt.Fprintf(p.stderr, "hint: %s agrees to it beforehand\n", flag)
	return exitError(exitStopped)
}

// answered waits for an answer, a signal, or the end of ctx. What was asked keeps
// reading in the last two cases, so nothing may be asked after them.
func answered(ctx context.Context, ask func() (string, error)) (string, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := ask()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		return "", errInterrupted
	}
}

// readLine reads byte by byte, so that nothing after the line is taken from
// whoever reads the same terminal next.
func readLine(f *os.File) (string, error) {
	var line strings.Builder
	var b [1]byte
	for {
		n, err := f.Read(b[:])
		if n == 1 && b[0] != '\n' {
			line.WriteByte(b[0])
		}
		if err != nil || n == 1 && b[0] == '\n' {
			return line.String(), err
		}
	}
}
