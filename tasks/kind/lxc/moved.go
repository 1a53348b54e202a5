package lxc

import (
	"fmt"
	"path"

	"phoenix/tasks"
	"phoenix/tasks/guest"
)

// pathNode is the path of the change of a container that another node has.
const pathNode = "node"

// elsewhere looks for a container that this node has no configuration of. Proxmox's
// file system lets no two guests of a cluster have one number, and shows each node the
// configurations of all: one that has moved is read where it is, and never made anew.
// It fails where the CTID belongs to a virtual machine.
func (t *task) elsewhere(h tasks.Host, node string) (*found, error) {
	id := t.spec.CTID
	guests, err := guest.Cluster(h)
	if err != nil {
		return nil, fmt.Errorf("find who has CTID %d: %w", id, err)
	}
	g, taken := guests[id]
	switch {
	case !taken, g.Type == "lxc" && g.Node == node:
		return &found{}, nil
	case g.Type != "lxc":
		return nil, fmt.Errorf("find who has CTID %d: it belongs to a virtual machine on node %s; give the container another CTID", id, g.Node)
	}
	data, there, err := tasks.ReadIfExists(h, path.Join("/etc/pve/nodes", g.Node, "lxc", fmt.Sprintf("%d.conf", id)))
	if err != nil {
		return nil, fmt.Errorf("read container %d of node %s: %w", id, g.Node, err)
	}
	if !there {
		return nil, &tasks.UnknownError{Why: fmt.Sprintf("the cluster lists container %d on node %s, which has no configuration of it: it may be on its way; check again", id, g.Node)}
	}
	f := &found{node: g.Node, here: node}
	f.parse(data)
	return f, nil
}

// checkMoved compares a container of another node by its configuration alone: whether
// it runs, and the directories and cards that it has there, only that node can tell.
func (t *task) checkMoved(h tasks.Host, f *found) (tasks.Diff, error) {
	refused := t.moved(f)
	if t.spec.state() == StateAbsent {
		return tasks.Diff{{Path: pathExists, From: fmt.Sprintf("container %s on node %s", f.now["hostname"], f.node),
			Effect: tasks.EffectReplace, Note: refused.Note()}}, nil
	}
	note := "a run does not migrate it"
	if f.lock != "" {
		note += fmt.Sprintf("; it is locked there (%s)", f.lock)
	}
	d := tasks.Diff{{Path: pathNode, From: f.node, To: f.here, Effect: tasks.EffectRestart, Note: joinLines(note, refused.Note())}}
	raw, err := t.rawFindings(h, f)
	if err != nil {
		return nil, err
	}
	rest := (&tasks.RefusedError{Instead: "it is on node " + f.node}).Note()
	for _, x := range append(append(t.spec.staged(f.now, f.next), raw...), t.snapshotFinding(f)...) {
		x.Note = joinLines(x.Note, rest)
		d = append(d, x.Change)
	}
	return d, nil
}

// moved is why nothing is done to a container of another node, and what can be.
func (t *task) moved(f *found) *tasks.RefusedError {
	id := t.spec.CTID
	place := fmt.Sprintf("place it on the inventory's host of node %s", f.node)
	if host := t.spec.Nodes[f.node]; host != "" {
		place = fmt.Sprintf("place it on host %s, which is node %s", host, f.node)
	}
	if t.spec.state() == StateAbsent {
		return &tasks.RefusedError{What: fmt.Sprintf("destroying container %d of node %s from node %s", id, f.node, f.here), Instead: place}
	}
	return &tasks.RefusedError{
		What:    fmt.Sprintf("changing container %d, which is on node %s and not on node %s,", id, f.node, f.here),
		Instead: fmt.Sprintf("%s, or bring it here with pct migrate %d %s on node %s (--restart while it runs)", place, id, f.here, f.node),
	}
}
