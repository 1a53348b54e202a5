package inside

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/guest"
)

// Containers are those of a machine, as tasks.Guests.
type Containers struct {
	// Machine that they are on; it must be a tasks.Talker, too.
	Machine tasks.Host
	// Helper is the path, on the machine, of the program that goes into containers.
	Helper string

	mu   sync.Mutex // guards open
	open map[int]*entered
}

// entered is a container that is entered once, however many ask.
type entered struct {
	once sync.Once
	host *container
	quit chan struct{}
	err  error
}

// Enter starts the helper in a running container, or gives what an earlier Enter has
// started. view is the machine as the step may see it. Of a container that does not run
// the error is a *tasks.AwayError. ctx is that of the whole job.
func (c *Containers) Enter(ctx context.Context, view tasks.Host, ctid int) (tasks.Host, error) {
	if err := away(view, ctid); err != nil {
		return nil, err
	}
	e := c.entry(ctid)
	e.once.Do(func() { e.host, e.err = c.enter(ctx, ctid, e.quit) })
	if e.err == nil && e.host.ended() == nil {
		return e.host, nil
	}
	c.Leave(ctid) // it may have been restarted since: the next step tries anew
	if e.err != nil {
		return nil, e.err
	}
	return nil, e.host.ended()
}

// entry is what is known of a container.
func (c *Containers) entry(ctid int) *entered {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[int]*entered)
	}
	e := c.open[ctid]
	if e == nil || e.host != nil && e.host.ended() != nil {
		e = &entered{quit: make(chan struct{})}
		c.open[ctid] = e
	}
	return e
}

// Leave ends what Enter has started.
func (c *Containers) Leave(ctid int) {
	c.mu.Lock()
	e := c.open[ctid]
	delete(c.open, ctid)
	c.mu.Unlock()
	if e == nil {
		return
	}
	close(e.quit)
	if e.host != nil {
		_ = e.host.talk.End() // what it said is of no interest any more
	}
}

// away is the error of a container that cannot be entered, nil where it runs.
func away(h tasks.Host, ctid int) error {
	g, err := guest.Read(h, ctid)
	switch {
	case errors.Is(err, guest.ErrNone):
		return &tasks.AwayError{CTID: ctid, Absent: true}
	case err != nil:
		return err
	case g.Running():
		return nil
	}
	return &tasks.AwayError{CTID: ctid, Receipt: g.Receipt()}
}

// entryTime bounds the way into a container: a program that starts, and six megabytes.
const entryTime = time.Minute

// enter starts the helper in the container and waits until it answers.
func (c *Containers) enter(ctx context.Context, ctid int, quit <-chan struct{}) (*container, error) {
	helper, err := c.Machine.ReadFile(c.Helper)
	if err != nil {
		return nil, fmt.Errorf("enter container %d: %w", ctid, err)
	}
	nonce := strconv.FormatUint(rand.Uint64(), 36)
	talk, err := c.start(ctid, nonce, len(helper))
	if err != nil {
		return nil, fmt.Errorf("enter container %d: %w", ctid, err)
	}
	come := make(chan error, 2)
	from := bufio.NewReaderSize(talk.Stdout, 64<<10)
	go func() {
		if _, err := talk.Stdin.Write(helper); err != nil {
			come <- err
		}
	}()
	go func() { come <- greeted(from, nonce) }()
	limit := time.NewTimer(entryTime)
	defer limit.Stop()
	select {
	case err = <-come:
	case <-limit.C:
		err = fmt.Errorf("nothing came from it within %s", entryTime)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, refused(ctid, err, talk.End())
	}
	g := &container{ctid: ctid, life: context.WithoutCancel(ctx), talk: talk, turn: make(chan struct{}, 1), frames: make(chan received)}
	go g.listen(from, quit)
	return g, nil
}

// refused is the error of a container into which there was no way, with what was said.
func refused(ctid int, err error, said string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		err = errors.New("no helper can be started in it")
	}
	if said = strings.TrimSpace(said); said != "" {
		err = fmt.Errorf("%w: %s", err, tasks.LogLine([]byte(said)))
	}
	return fmt.Errorf("enter container %d: %w", ctid, err)
}

// maxNoise is how much of a container's own words is read over before the greeting.
const maxNoise = 64 << 10

// greeted reads up to the greeting.
func greeted(r *bufio.Reader, nonce string) error {
	want := []byte(greeting(nonce))
	var tail []byte
	for n := 0; n < maxNoise; n++ {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		tail = append(tail, b)
		tail = tail[max(0, len(tail)-len(want)):]
		if bytes.Equal(tail, want) {
			return nil
		}
	}
	return fmt.Errorf("it said %d bytes that are no greeting", maxNoise)
}

func (c *Containers) start(ctid int, nonce string, size int) (tasks.Talk, error) {
	talker, ok := c.Machine.(tasks.Talker)
	if !ok {
		return tasks.Talk{}, errors.New("the machine cannot talk with programs")
	}
	return talker.Talk(tasks.Cmd{Argv: append(guest.Attach(ctid), "/bin/sh", "-c", bootstrap, Bootstrap, nonce, strconv.Itoa(size))})
}

// Bootstrap is the name under which the shell in a container takes the helper in.
const Bootstrap = "phoenix-inside"

// bootstrap finds a folder with room from which programs can be started, which /run and
// /tmp are not in every container, writes the helper there from its input and becomes it. The helper
// takes the folder away. A folder that is there already is somebody else's.
//
// One that has only just been started is waited for, as far as systemd tells: while it
// comes up, file systems are laid over /run and /tmp, and nobody answers systemctl.
const bootstrap = `umask 077
case $(readlink -f /sbin/init 2>/dev/null) in
*/systemd)
  n=0
  until case $(systemctl is-system-running </dev/null 2>/dev/null) in running|degraded|maintenance|stopping) ;; *) [ $n -ge 200 ] ;; esac; do
    n=$((n + 1))
    sleep 0.1
  done ;;
esac
for at in /run /tmp /var/tmp /root /dev/shm /var/lib; do
  d=$at/.phoenix-$1
  mkdir "$d" 2>/dev/null || continue
  f=$d/agentlet
  if { head -c "$2" /dev/zero >"$f" && printf '#!/bin/sh\n' >"$f" && chmod 700 "$f" && "$f"; } 2>/dev/null; then
    head -c "$2" >"$f" && [ "$(wc -c <"$f")" -eq "$2" ] && exec "$f" inside "$1" "$d"
    rm -rf "$d"
    echo "the helper could not be written to $at and started" >&2
    exit 1
  fi
  rm -rf "$d"
done
echo "no folder was found from which a program can be started: /run, /tmp, /var/tmp, /root, /dev/shm and /var/lib are full, read-only or mounted noexec" >&2
exit 1
`
