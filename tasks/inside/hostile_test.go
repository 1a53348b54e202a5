package inside

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"phoenix/tasks"
)

// hostile is a machine with one container, whose helper does what a test says.
type hostile struct {
	tasks.Host
	// guest speaks for the container: from takes requests, to goes to the machine.
	guest func(from io.Reader, to io.Writer, nonce string)
	// before speaks before the helper is read; over is closed when it is ended.
	before func(to io.Writer, over <-chan struct{})
	said   string
	ended  int
}

func (h *hostile) ReadFile(path string) ([]byte, error) {
	switch path {
	case "/etc/pve/.version", "/etc/pve/local":
		return []byte("{}"), nil
	case "/helper":
		return []byte("binary"), nil
	}
	return nil, fmt.Errorf("open %s: no", path)
}

func (h *hostile) Talk(c tasks.Cmd) (tasks.Talk, error) {
	nonce := c.Argv[len(c.Argv)-2]
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	done, over := make(chan struct{}), make(chan struct{})
	finish := sync.OnceFunc(func() { close(over) })
	go func() {
		defer close(done)
		defer out.Close()
		defer in.Close()
		if h.before != nil {
			h.before(out, over)
			return
		}
		if _, err := io.ReadFull(in, make([]byte, len("binary"))); err == nil {
			h.guest(in, out, nonce)
		}
	}()
	end := func() string {
		h.ended++
		finish()
		_, _ = stdin.Close(), stdout.Close()
		<-done
		return h.said
	}
	return tasks.Talk{Stdin: stdin, Stdout: stdout, End: end}, nil
}

// entered is the inside of the container, without a look at whether it runs.
func (h *hostile) entered(t *testing.T) (*container, error) {
	t.Helper()
	quit := make(chan struct{})
	t.Cleanup(func() { close(quit) })
	return (&Containers{Machine: h, Helper: "/helper"}).enter(context.WithoutCancel(t.Context()), 900, quit)
}

// answers is a guest that greets, takes one request, and answers with what it is given.
func answers(raw ...[]byte) func(io.Reader, io.Writer, string) {
	return func(from io.Reader, to io.Writer, nonce string) {
		_, _ = io.WriteString(to, greeting(nonce))
		var q request
		if _, err := readFrame(from, &q); err != nil {
			return
		}
		for _, b := range raw {
			if _, err := to.Write(b); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, from)
	}
}

func frame(t *testing.T, head any, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeFrame(&b, head, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sizes(head, body uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, head), body)
}

func TestAContainerThatLiesIsGivenUp(t *testing.T) {
	stat := func(c *container) error { _, err := c.Stat("/x"); return err }
	list := func(c *container) error { _, err := c.ReadDir("/x"); return err }
	run := func(c *container) error {
		_, err := c.Run(t.Context(), tasks.Cmd{Argv: []string{"x"}})
		return err
	}
	for name, tc := range map[string]struct {
		answer []byte
		ask    func(*container) error
		want   string
		lives  bool
	}{
		"another request's answer":         {frame(t, reply{ID: 7}, ""), stat, "it answers request 7, asked was 1", false},
		"a head that is too large":         {sizes(1<<30, 0), stat, "more than", false},
		"a body that is too large":         {sizes(10, 1<<30), stat, "more than", false},
		"a head that is no JSON":           {append(sizes(3, 0), "abc"...), stat, "invalid character", false},
		"a key that nobody knows":          {append(sizes(18, 0), `{"id":1,"boom":1} `...), stat, "unknown field", false},
		"a frame that ends early":          {append(sizes(100, 0), "{"...), stat, "ended", false},
		"a description that is missing":    {frame(t, reply{ID: 1}, ""), stat, "without a description", true},
		"a name that leads elsewhere":      {frame(t, reply{ID: 1, Names: []string{"../../etc"}}, ""), list, "is no name of a file", true},
		"an output longer than the body":   {frame(t, reply{ID: 1, Stdout: 100}, "abc"), run, "longer than what it sent", false},
		"an output of a negative length":   {frame(t, reply{ID: 1, Stdout: -1}, "abc"), run, "longer than what it sent", false},
		"a file that nobody asked for":     {frame(t, reply{ID: 1, Old: true}, "abc"), run, "a file that was not asked for", false},
		"an error of many pages":           {frame(t, reply{ID: 1, Error: strings.Repeat("x", 1<<19)}, ""), stat, strings.Repeat("x", 1000), true},
		"an error that claims to be known": {frame(t, reply{ID: 1, Error: "no", Is: "everything is fine"}, ""), stat, "no", true},
	} {
		t.Run(name, func(t *testing.T) {
			answer := tc.answer
			if name == "a frame that ends early" {
				answer = nil
			}
			h := &hostile{guest: answers(answer)}
			if answer == nil {
				h.guest = func(from io.Reader, to io.Writer, nonce string) {
					_, _ = io.WriteString(to, greeting(nonce))
					var q request
					_, _ = readFrame(from, &q)
					_, _ = to.Write(tc.answer)
				}
			}
			c, err := h.entered(t)
			if err != nil {
				t.Fatal(err)
			}
			err = tc.ask(c)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want %q", err, tc.want)
			}
			if len(fmt.Sprint(err)) > maxError+100 {
				t.Errorf("the error has %d bytes", len(fmt.Sprint(err)))
			}
			if again := c.ended(); (again == nil) != tc.lives {
				t.Errorf("afterwards it is lost: %v", again)
			}
			if !tc.lives && (h.ended == 0 || !strings.HasPrefix(err.Error(), "talk with container 900: ")) {
				t.Errorf("its helper was ended %d times: %v", h.ended, err)
			}
			_ = c.talk.End()
		})
	}
}

func TestAContainerThatSaysNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hostile{guest: answers()}
		c, err := h.entered(t)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = c.Run(t.Context(), tasks.Cmd{Argv: []string{"x"}})
		if took := time.Since(begin); !errors.Is(err, errSilent) || took != silence {
			t.Errorf("after %s: %v", took, err)
		}
		if _, err := c.ReadFile("/x"); !errors.Is(err, errSilent) || time.Since(begin) != silence {
			t.Errorf("the next question: %v after %s", err, time.Since(begin))
		}
	})
}

func TestAContainerThatHangsOnTheWayInIsGivenUp(t *testing.T) {
	for name, h := range map[string]*hostile{
		"one that takes nothing and says nothing":    {before: func(_ io.Writer, over <-chan struct{}) { <-over }},
		"one that takes the helper and says nothing": {guest: func(from io.Reader, _ io.Writer, _ string) { _, _ = io.Copy(io.Discard, from) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				_, err := h.entered(t)
				if took := time.Since(begin); took != entryTime || entryTime > time.Minute {
					t.Errorf("it is given up after %s, and the way in may take %s", took, entryTime)
				}
				if want := "enter container 900: nothing came from it within 1m0s"; err == nil || err.Error() != want {
					t.Errorf("the error is %v, want %s", err, want)
				}
				if h.ended != 1 {
					t.Errorf("the program that hangs was ended %d times", h.ended)
				}
			})
		})
	}
}

func TestAProgramMayTakeLongWhileItsContainerIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hostile{guest: func(from io.Reader, to io.Writer, nonce string) {
			_, _ = io.WriteString(to, greeting(nonce))
			var q request
			_, _ = readFrame(from, &q)
			for range 100 {
				<-time.After(aliveInterval)
				_ = writeFrame(to, reply{ID: 1, Alive: true}, nil)
			}
			_ = writeFrame(to, reply{ID: 1, Stdout: 4, Code: 3}, []byte("done"))
			_, _ = io.Copy(io.Discard, from)
		}}
		c, err := h.entered(t)
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.Run(t.Context(), tasks.Cmd{Argv: []string{"x"}})
		if err != nil || out.Code != 3 || string(out.Stdout) != "done" {
			t.Errorf("%+v, %v", out, err)
		}
		_ = c.talk.End()
	})
}

func TestACancelThatIsNotHeededGivesTheContainerUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hostile{guest: func(from io.Reader, to io.Writer, nonce string) {
			_, _ = io.WriteString(to, greeting(nonce))
			go func() { _, _ = io.Copy(io.Discard, from) }()
			for {
				<-time.After(time.Second)
				if writeFrame(to, reply{ID: 1, Alive: true}, nil) != nil {
					return
				}
			}
		}}
		c, err := h.entered(t)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		_, err = c.Run(ctx, tasks.Cmd{Argv: []string{"x"}})
		if took := time.Since(begin); err == nil || c.ended() == nil || took < cancelTime || took > 12*time.Second+cancelTime {
			t.Errorf("after %s: %v, then %v", took, err, c.ended())
		}
	})
}

func TestAFloodIsNoSignOfLife(t *testing.T) {
	for name, one := range map[string]reply{
		"signs of life": {ID: 1, Alive: true},
		"lines":         {ID: 1, Log: &tasks.Log{Stream: "stdout", Text: strings.Repeat("x", 1000)}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hostile{guest: func(from io.Reader, to io.Writer, nonce string) {
				_, _ = io.WriteString(to, greeting(nonce))
				var q request
				_, _ = readFrame(from, &q)
				many := bytes.Repeat(frame(t, one, ""), 1000)
				for {
					if _, err := to.Write(many); err != nil {
						return
					}
				}
			}}
			c, err := h.entered(t)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Run(t.Context(), tasks.Cmd{Argv: []string{"x"}}); err == nil || !strings.Contains(err.Error(), "it floods with "+name) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestAFloodOfLinesIsCutOff(t *testing.T) {
	h := &hostile{guest: func(from io.Reader, to io.Writer, nonce string) {
		_, _ = io.WriteString(to, greeting(nonce))
		var q request
		_, _ = readFrame(from, &q)
		for range 1500 {
			_ = writeFrame(to, reply{ID: 1, Log: &tasks.Log{Stream: "evil", Text: strings.Repeat("x", 2<<10) + "\x1b[31m\r"}}, nil)
		}
		_ = writeFrame(to, reply{ID: 1}, nil)
		_, _ = io.Copy(io.Discard, from)
	}}
	c, err := h.entered(t)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) {
		total += len(l.Text)
		if l.Stream != "task" {
			t.Errorf("a line of stream %q", l.Stream)
		}
	}})
	if _, err := c.Run(ctx, tasks.Cmd{Argv: []string{"x"}}); err != nil {
		t.Error(err)
	}
	if total < maxLogged/2 || total > maxLogged {
		t.Errorf("%d bytes were said, of at most %d", total, maxLogged)
	}
	_ = c.talk.End()
}

func TestTheWayInMayBeNoisyAndMayFail(t *testing.T) {
	for name, tc := range map[string]struct {
		guest func(io.Reader, io.Writer, string)
		said  string
		want  string
	}{
		"noise before the greeting": {func(from io.Reader, to io.Writer, nonce string) {
			_, _ = io.WriteString(to, "Welcome!\n\x00phoenix inside of another\n"+greeting(nonce))
			_, _ = io.Copy(io.Discard, from)
		}, "", ""},
		"noise without an end": {func(_ io.Reader, to io.Writer, _ string) {
			_, _ = to.Write(bytes.Repeat([]byte("x"), 2*maxNoise))
		}, "", "bytes that are no greeting"},
		"noise from one that takes nothing": {nil, "", "bytes that are no greeting"},
		"no folder to start it from":        {func(io.Reader, io.Writer, string) {}, "no folder was found\n", "no helper can be started in it: no folder was found"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &hostile{guest: tc.guest, said: tc.said}
			if tc.guest == nil {
				h.before = func(to io.Writer, _ <-chan struct{}) { _, _ = to.Write(bytes.Repeat([]byte("x"), 2*maxNoise)) }
			}
			c, err := h.entered(t)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("the error is %v, want %q", err, tc.want)
			case tc.want != "" && h.ended == 0:
				t.Error("the program that failed was not ended")
			}
			if c != nil {
				_ = c.talk.End()
			}
		})
	}
}

// FuzzFrames holds that whatever a container sends is taken or refused, and never takes
// more memory than a frame may.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x08\x00\x00\x00\x03{\"id\":1}abc"))
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r reply
		body, err := readFrame(bytes.NewReader(data), &r)
		if err == nil && len(body)+8 > len(data) {
			t.Errorf("a body of %d bytes out of %d", len(body), len(data))
		}
		if err == nil && r.failure() != nil && len(r.failure().Error()) > maxError+3 {
			t.Error("an error that is too long")
		}
	})
}

// TestALineIsSaidBeforeTheProgramEnds has a container, and then the helper in one, go on
// only once its line was said.
func TestALineIsSaidBeforeTheProgramEnds(t *testing.T) {
	said := make(chan struct{})
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(tasks.Log) { close(said) }})
	h := &hostile{guest: func(from io.Reader, to io.Writer, nonce string) {
		_ = Serve(t.Context(), waits{said: said}, from, to, nonce)
	}}
	c, err := h.entered(t)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.Run(ctx, tasks.Cmd{Argv: []string{"x"}}); err != nil || string(out.Stdout) != "line\n" {
		t.Errorf("%+v, %v", out, err)
	}
	_ = c.talk.End()
}

// waits is a host whose programs print a line and end when somebody has it.
type waits struct {
	tasks.Host
	said chan struct{}
}

func (w waits) Run(ctx context.Context, _ tasks.Cmd) (tasks.Output, error) {
	tasks.ScopeOf(ctx).Log(tasks.Log{Stream: "stdout", Text: "line"})
	select {
	case <-w.said:
		return tasks.Output{Stdout: []byte("line\n")}, nil
	case <-ctx.Done():
		return tasks.Output{}, ctx.Err()
	}
}
