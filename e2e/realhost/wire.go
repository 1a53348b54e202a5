package realhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// wireNet is the network on the wire; the operator's side has the first address in it.
const wireNet = "10.99.99"

// wire is a network of its own in which the cables of all hosts meet in a switch.
type wire struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// newWire makes the network. It lives as long as one process in it.
func newWire(ctx context.Context) (*wire, error) {
	const script = `ip link set lo up; ip link add wire type bridge; ip address add ` + wireNet + `.1/24 dev wire; ip link set wire up; echo ready; exec sleep infinity`
	w := &wire{cmd: exec.CommandContext(ctx, "unshare", "--net", "sh", "-ec", script), ended: make(chan struct{})}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var faults strings.Builder
	w.cmd.Stderr = &faults
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("make a wire: %w", err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	go func() {
		defer close(w.ended)
		_ = w.cmd.Wait()
	}()
	if line != "ready\n" {
		w.stop()
		return nil, fmt.Errorf("make a wire: %s", faults.String())
	}
	return w, nil
}

func (w *wire) stop() {
	_ = w.cmd.Process.Kill()
	<-w.ended
}

// enter is the command line of a program on the operator's side of the wire.
func (w *wire) enter(argv ...string) []string {
	return append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", w.cmd.Process.Pid), "--"}, argv...)
}

// plug puts a cable between a host that boots and the switch.
func (w *wire) plug(ctx context.Context, h *Host) error {
	if err := h.apart(ctx); err != nil {
		return fmt.Errorf("plug in host %s: %w", h.Name, err)
	}
	for _, line := range []string{
		fmt.Sprintf("ip link add cable-%s type veth peer name eno1 netns %d", h.Name, h.cmd.Process.Pid),
		fmt.Sprintf("ip link set cable-%s master wire up", h.Name),
	} {
		argv := w.enter(strings.Fields(line)...)
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("plug in host %s: %s: %w: %s", h.Name, line, err, out)
		}
	}
	return nil
}

// apart waits until the host's process has left the machine's network.
func (h *Host) apart(ctx context.Context) error {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", h.cmd.Process.Pid))
		if err == nil && its != own {
			return nil
		}
		select {
		case <-h.ended:
			return errors.New("it ended: " + h.Log())
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// listens tells whether the server has said that it listens; nobody off the wire can
// dial it.
func (h *Host) listens() error {
	if !strings.Contains(h.Log(), "Server listening on") {
		return errors.New("it does not listen yet")
	}
	return nil
}

// OnWire makes a prepared command run on the operator's side of the wire, where there
// is one.
func (f *Fleet) OnWire(cmd *exec.Cmd) *exec.Cmd {
	if f.wire == nil {
		return cmd
	}
	cmd.Args = f.wire.enter(append([]string{cmd.Path}, cmd.Args[1:]...)...)
	cmd.Path = "/usr/bin/nsenter"
	return cmd
}
