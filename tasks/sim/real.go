package sim

import (
	"context"
	"time"
)

// Containers makes the containers of a machine real ones: pct keeps its books, its
// locks and its grammar, and somebody else keeps the files and the processes. The paths
// are the machine's. The kernel tells what runs, in /proc/net/unix.
type Containers interface {
	// Unpack lays the files of a template below root, which is not there yet.
	Unpack(ctx context.Context, id int, template, root string, unprivileged bool) error
	// Copy copies a root file system with its owners; one that is not there is empty.
	Copy(from, to string) error
	// Configure writes what the container is to be started from.
	Configure(id int) error
	// Start returns once the container runs.
	Start(id int) error
	// Stop asks the container to shut down and waits. Without time, and afterwards with
	// kill, it ends its processes; otherwise one that still runs is an error.
	Stop(id int, wait time.Duration, kill bool) error
}

// copyGuest copies the files of a container.
func (m *Machine) copyGuest(from, to string) error {
	if m.Containers != nil {
		return m.Containers.Copy(m.path(from), m.path(to))
	}
	return copyTree(m.path(from), m.path(to))
}

// shutReal shuts a real container down, as the verb says.
func (p *pctCall) shutReal() error {
	if p.verb.name == "stop" {
		return p.m.Containers.Stop(p.id, 0, true)
	}
	wait := time.Duration(p.number("timeout", 60)) * time.Second
	if err := p.m.Containers.Stop(p.id, wait, p.on("forceStop") || p.verb.name == "reboot"); err != nil {
		p.printf("%v\n", err)
		return die(255, "container did not stop")
	}
	return nil
}
