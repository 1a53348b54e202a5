// Package guest knows the containers of a Proxmox VE host as they are now: which run,
// since when, with what memory and addresses, and whether one can be used yet. It also
// starts and stops them.
//
// Looking reads files and starts no program; only NotReady enters the container, which
// no file can stand for. Changes go through pct, whose exit status is not believed: what
// runs is looked at afterwards. It never takes off a lock and never writes a
// configuration. Facts are those of pve-container 5.3.5 and Linux's cgroup v2.
// Start reading at Read, Start and NotReady.
package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/pve"
)

// Guest is a container of this node.
type Guest struct {
	// CTID is its number.
	CTID int
	// Config is its whole configuration, snapshots included.
	Config *pve.Config
	// Start names the present start; empty when it is stopped.
	Start string
}

// dir has the configurations of the containers of this node.
const dir = "/etc/pve/lxc"

// Running tells whether the container runs.
func (g *Guest) Running() bool { return g.Start != "" }

// Name is its host name, or Proxmox's name for one without.
func (g *Guest) Name() string {
	if name := g.option("hostname"); name != "" {
		return name
	}
	return fmt.Sprintf("CT%d", g.CTID)
}

// Template tells whether it is a template of Proxmox, which never runs.
func (g *Guest) Template() bool { return g.on("template") }

// Protected tells whether Proxmox refuses to destroy it.
func (g *Guest) Protected() bool { return g.on("protection") }

// Lock is why Proxmox refuses to touch it: "backup". Empty when it does not.
func (g *Guest) Lock() string { return g.option("lock") }

func (g *Guest) on(key string) bool {
	on, _ := pve.ParseBool(g.option(key))
	return on
}

func (g *Guest) option(key string) string {
	value, _ := g.Config.Head().Get(key)
	return value
}

// Unlocked is an error when the container has a lock. It is never taken off here: only
// the one who locked it knows whether the work is over.
func (g *Guest) Unlocked() error {
	if g.Lock() == "" {
		return nil
	}
	return fmt.Errorf("look at container %d: it is locked (%s): %s", g.CTID, g.Lock(), LockAdvice(g.CTID, g.Lock(), g.Config))
}

// Read reads one container. One that this node does not have is an error, which says
// where it is.
func Read(h tasks.Host, ctid int) (*Guest, error) {
	node, err := pve.Node(h)
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", ctid, err)
	}
	data, exists, err := tasks.ReadIfExists(h, confPath(ctid))
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", ctid, err)
	}
	if !exists {
		return nil, absent(h, ctid, node)
	}
	start, err := pve.ContainerStart(h, ctid)
	if err != nil {
		return nil, fmt.Errorf("read container %d: %w", ctid, err)
	}
	return &Guest{CTID: ctid, Config: pve.ParseConfig(data), Start: start}, nil
}

// List reads the containers of this node, by their number, all but the given ones.
func List(h tasks.Host, but ...int) ([]*Guest, error) {
	if _, err := pve.Node(h); err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	names, err := h.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	starts, err := pve.ContainerStarts(h)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var out []*Guest
	for _, name := range names {
		digits, isConf := strings.CutSuffix(name, ".conf")
		id, err := strconv.Atoi(digits)
		if err != nil || !isConf || slices.Contains(but, id) {
			continue
		}
		data, exists, err := tasks.ReadIfExists(h, path.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("list containers: %w", err)
		}
		if exists { // it may have been destroyed in between
			out = append(out, &Guest{CTID: id, Config: pve.ParseConfig(data), Start: starts[id]})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].CTID < out[j].CTID })
	return out, nil
}

// Cluster lists all guests of the cluster by number; none where there is no list.
func Cluster(h tasks.Host) (map[int]pve.Guest, error) {
	data, err := tasks.ReadTable(h, "/etc/pve/.vmlist")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read /etc/pve/.vmlist: %w", err)
	}
	return pve.ParseVMList(data)
}

// absent says that this node has no such container, and who has the number.
func absent(h tasks.Host, ctid int, node string) error {
	all, err := Cluster(h)
	if err != nil {
		return fmt.Errorf("find container %d: %w", ctid, err)
	}
	switch g, taken := all[ctid]; {
	case taken && g.Type != "lxc":
		return fmt.Errorf("find container %d: the number belongs to a virtual machine on node %s", ctid, g.Node)
	case taken && g.Node != node:
		return fmt.Errorf("find container %d: it is on node %s, and this is node %s", ctid, g.Node, node)
	}
	return fmt.Errorf("find container %d: %w", ctid, ErrNone)
}

// ErrNone says that no machine of the cluster has a container of that number.
var ErrNone = errors.New("there is none on this host")

func confPath(ctid int) string { return path.Join(dir, strconv.Itoa(ctid)+".conf") }

// HighlyAvailable tells whether the cluster's resource manager starts and stops the
// container: it has a section in resources.cfg and is not ignored there.
func HighlyAvailable(h tasks.Host, ctid int) (bool, error) {
	data, _, err := tasks.ReadIfExists(h, "/etc/pve/ha/resources.cfg")
	if err != nil {
		return false, fmt.Errorf("look for container %d in high availability: %w", ctid, err)
	}
	mine, managed := false, false
	for _, line := range tasks.Lines(string(data)) {
		switch f := strings.Fields(line); {
		case len(f) == 0:
		case line[0] != ' ' && line[0] != '\t':
			mine = slices.Equal(f, []string{"ct:", strconv.Itoa(ctid)})
			managed = managed || mine
		case mine && slices.Equal(f, []string{"state", "ignored"}):
			managed = false
		}
	}
	return managed, nil
}

// startLog is what LXC said at the last start, where it said something.
func startLog(h tasks.Host, ctid int) string {
	data, err := h.ReadFile(fmt.Sprintf("/run/pve/ct-%d.stderr", ctid))
	text := strings.TrimSpace(string(data))
	if err != nil || text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	return "\n" + strings.Join(lines[max(0, len(lines)-10):], "\n")
}
