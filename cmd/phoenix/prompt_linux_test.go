package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a program on a pseudo-terminal, and the other end of that.
func terminal(t *testing.T) (*program, *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(control.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close(); tty.Close() })
	return &program{stdin: tty, stdout: tty, stderr: tty, stdinTTY: true, stderrTTY: true}, control
}

// dialogue reads what the terminal shows up to the question, and types the answer.
func dialogue(t *testing.T, control *os.File, question, answer string) <-chan string {
	t.Helper()
	shown := make(chan string, 1)
	go func() {
		r := bufio.NewReader(control)
		var seen strings.Builder
		for !strings.Contains(seen.String(), question) {
			b, err := r.ReadByte()
			if err != nil {
				break
			}
			seen.WriteByte(b)
		}
		_, _ = control.WriteString(answer)
		for !strings.HasSuffix(seen.String(), "\n") || !strings.Contains(seen.String(), question) {
			b, err := r.ReadByte()
			if err != nil {
				break
			}
			seen.WriteByte(b)
		}
		shown <- seen.String()
	}()
	return shown
}

func TestOnlyTheTypedNameConfirms(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		want   bool
	}{
		"the name":                    {"web\n", true},
		"the name with blanks around": {"  web \n", true},
		"another name":                {"wev\n", false},
		"yes":                         {"y\n", false},
		"nothing":                     {"\n", false},
		"the end of input":            {"\x04", false},
	} {
		t.Run(name, func(t *testing.T) {
			p, control := terminal(t)
			go func() { <-dialogue(t, control, "leave it: ", tc.answer) }()
			yes, err := p.confirmName(t.Context(), "Container 900 will be destroyed.", "web")
			if err != nil || yes != tc.want {
				t.Errorf("%q confirms: %v, %v", tc.answer, yes, err)
			}
		})
	}
}

func TestASecretIsNotShown(t *testing.T) {
	p, control := terminal(t)
	shown := dialogue(t, control, "Passphrase of key: ", "")
	go func() {
		untilHidden(t, p.stdin)
		_, _ = control.WriteString("hunter2\n")
	}()
	got, err := p.askSecret(t.Context(), "Passphrase of key: ")
	if err != nil || got != "hunter2" {
		t.Errorf("got %q, %v", got, err)
	}
	if screen := <-shown; strings.Contains(screen, "hunter2") {
		t.Errorf("the terminal shows %q", screen)
	}
}

func TestAnInterruptedQuestionGivesTheTerminalItsEchoBack(t *testing.T) {
	p, control := terminal(t)
	before := echo(t, p.stdin)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		untilHidden(t, p.stdin)
		cancel()
	}()
	go func() { _, _ = bufio.NewReader(control).ReadString('\x00') }()
	_, err := p.askSecret(ctx, "Passphrase: ")
	if !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
	if !before || !echo(t, p.stdin) {
		t.Errorf("echo was %v and is %v", before, echo(t, p.stdin))
	}
}

// untilHidden waits for the terminal to show nothing, which is when the question
// waits for its answer.
func untilHidden(t *testing.T, f *os.File) {
	for echo(t, f) {
		<-time.After(time.Millisecond)
	}
}

func echo(t *testing.T, f *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Error(err)
		return false
	}
	return state.Lflag&unix.ECHO != 0
}

func TestNobodyIsAskedWithoutATerminal(t *testing.T) {
	p := &program{}
	if _, err := p.askSecret(t.Context(), "x"); !errors.Is(err, errNoTerminal) {
		t.Errorf("secret: %v", err)
	}
	if yes, err := p.confirmName(t.Context(), "x", "y"); yes || !errors.Is(err, errNoTerminal) {
		t.Errorf("name: %v, %v", yes, err)
	}
}
