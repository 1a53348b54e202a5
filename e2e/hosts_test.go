package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// eventually waits until the condition holds, which must be within 30 seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// helperPaths lists the helpers that lie on a host.
func (r *rig) helperPaths(t *testing.T, host int) []string {
	t.Helper()
	var out []string
	for _, dir := range []string{"/var/lib/phoenix", "/run/phoenix", "/root/.cache/phoenix"} {
		found, err := filepath.Glob(r.Hosts[host].Path(dir) + "/agentlet-*[0-9a-f]")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			out = append(out, filepath.Join(dir, filepath.Base(f)))
		}
	}
	return out
}

// processes lists the processes of a host whose program has that beginning of a name.
func (r *rig) processes(host int, name string) []int {
	namespace := func(root string) string {
		target, err := os.Readlink(filepath.Join(root, "ns/pid"))
		if err != nil {
			return ""
		}
		return target
	}
	own := namespace(filepath.Dir(r.Hosts[host].Path("/")))
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil || own == "" {
		return nil
	}
	var out []int
	for _, exe := range all {
		target, err := os.Readlink(exe)
		if err != nil || !strings.HasPrefix(filepath.Base(target), name) || namespace(filepath.Dir(exe)) != own {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(exe))); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// killHelper ends the helper on a host as the kernel does when memory runs out.
func (r *rig) killHelper(t *testing.T, host int) {
	t.Helper()
	pids := r.processes(host, "agentlet-")
	if len(pids) != 1 {
		t.Fatalf("%d helpers run on %s, want one", len(pids), r.Hosts[host].Name)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// gate is a command that waits on a host until the test lets it go on.
type gate struct {
	r    *rig
	host int
	name string
}

// gate makes a gate that nobody has reached yet.
func (r *rig) gate(host int, name string) gate { return gate{r, host, name} }

// argv is the command: it says that it was reached, waits, and says that it ended.
func (g gate) argv() []string {
	return []string{"sh", "-c", fmt.Sprintf("touch /run/%[1]s.reached; while ! [ -e /run/%[1]s.open ]; do sleep 0.02; done; touch /run/%[1]s.passed", g.name)}
}

func (g gate) is(what string) bool {
	return exists(g.r.Hosts[g.host].Path("/run/" + g.name + "." + what))
}

// reached waits until the command runs.
func (g gate) reached(t *testing.T) {
	t.Helper()
	eventually(t, "the command runs on "+g.r.Hosts[g.host].Name, func() bool { return g.is("reached") })
}

// open lets the command go on.
func (g gate) open(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(g.r.Hosts[g.host].Path("/run/"+g.name+".open"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// running is a command in the background.
type running struct {
	ended  chan struct{}
	out    outcome
	stderr liveText
	kill   func(os.Signal) error
}

// start starts a command that ends with the test at the latest.
func (r *rig) start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	cmd := r.command(ctx, args...)
	begun := make(chan struct{})
	run := &running{ended: make(chan struct{}), kill: func(s os.Signal) error { return cmd.Process.Signal(s) }}
	go func() {
		defer close(run.ended)
		run.out = finishing(t, cmd, &run.stderr, func() { close(begun) })
	}()
	t.Cleanup(func() { cancel(); <-run.ended })
	<-begun
	return run
}

// wait waits for the end of the command.
func (r *running) wait(t *testing.T) outcome {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(time.Minute):
		t.Fatal("the command does not end")
	}
	return r.out
}

// says waits until the command has said something on stderr.
func (r *running) says(t *testing.T, text string) {
	t.Helper()
	eventually(t, "phoenix says "+text, func() bool { return strings.Contains(r.stderr.String(), text) })
}

func (r *running) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := r.kill(s); err != nil {
		t.Fatal(err)
	}
}

// listener accepts connections on a loopback address of its own and counts them.
type listener struct {
	net.Listener
	accepted atomic.Int64
	mu       sync.Mutex
	conns    []net.Conn
}

// listen hands each connection to handle.
func listen(t *testing.T, handle func(net.Conn)) *listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.2.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: inner}
	t.Cleanup(func() { l.Close(); l.cut() })
	go func() {
		for {
			c, err := inner.Accept()
			if err != nil {
				return
			}
			l.accepted.Add(1)
			l.mu.Lock()
			l.conns = append(l.conns, c)
			l.mu.Unlock()
			go handle(c)
		}
	}()
	return l
}

func (l *listener) port() int { return l.Addr().(*net.TCPAddr).Port }

// cut ends every connection.
func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
}

// proxy passes connections on to a host.
func (r *rig) proxy(t *testing.T, host int) *listener {
	t.Helper()
	h := r.Hosts[host]
	return listen(t, func(c net.Conn) {
		defer c.Close()
		up, err := net.Dial("tcp", net.JoinHostPort(h.Address, strconv.Itoa(h.Port)))
		if err != nil {
			return
		}
		defer up.Close()
		go func() { _, _ = io.Copy(up, c); up.Close() }()
		_, _ = io.Copy(c, up)
	})
}

// known adds a line for an address to the workstation's known_hosts.
func (r *rig) known(t *testing.T, address string, port int, key string) {
	t.Helper()
	f, err := os.OpenFile(r.KnownHosts, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "[%s]:%d %s\n", address, port, key); err != nil {
		t.Fatal(err)
	}
}

// fault is the error of a host in a report; empty where it has none.
func (r record) fault(host string) (class, text string) {
	for _, h := range r.Hosts {
		if h.Name == host && h.Error != nil {
			return h.Error.Class, h.Error.What + ": " + h.Error.Why + "\n" + h.Error.Hint
		}
	}
	return "", ""
}

// status is how a host ended.
func (r record) status(host string) string {
	i := slices.IndexFunc(r.Hosts, func(h recordHost) bool { return h.Name == host })
	if i < 0 {
		return "not in the report"
	}
	return r.Hosts[i].Status
}

// wantFault fails the test unless the host has an error of that class that says all
// the texts.
func (r record) wantFault(t *testing.T, host, class string, texts ...string) {
	t.Helper()
	got, said := r.fault(host)
	if got != class {
		t.Errorf("%s (%s): an error of class %q, want %q: %s", host, r.status(host), got, class, said)
	}
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("%s: the error does not say %q:\n%s", host, text, said)
		}
	}
}

// workstationFile is the content of a file in the workstation's home, so far.
func (r *rig) workstationFile(name string) string {
	data, err := os.ReadFile(filepath.Join(r.home, name))
	if err != nil {
		return ""
	}
	return string(data)
}
