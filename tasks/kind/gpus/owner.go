package gpus

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"phoenix/tasks"
	"phoenix/tasks/gpu"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/pve"
)

// container is how the path of a control group begins that is a container's: Proxmox VE's
// own, and the one of LXC itself. What follows is the guest's to choose, so that only the
// beginning says who it is.
var container = regexp.MustCompile(`^/lxc(?:/|\.payload[./])([1-9][0-9]{2,8})(?:/|$)`)

// inner is how Docker, Podman and containerd name the group of a container, with the
// driver cgroupfs and with systemd.
var inner = regexp.MustCompile(`/(docker/|docker-|libpod-|cri-containerd-)([0-9a-f]{64})(?:\.scope)?(?:/|$)`)

// ownerOf reads /proc/PID/cgroup: one line "0::PATH" of cgroup v2, or one
// "NUMBER:CONTROLLERS:PATH" for each hierarchy of v1. A process of a container is below
// its group in every hierarchy that the container has, and cannot leave it.
func ownerOf(text string) (ctid int, runtime, id string) {
	for _, line := range tasks.Lines(text) {
		_, rest, _ := strings.Cut(line, ":")
		_, at, _ := strings.Cut(rest, ":")
		at = strings.TrimSuffix(at, "\n")
		if m := container.FindStringSubmatch(at); m != nil {
			ctid, _ = strconv.Atoi(m[1])
		}
		if m := inner.FindStringSubmatch(at); m != nil && id == "" {
			runtime, id = "docker", m[2]
			switch m[1] {
			case "libpod-":
				runtime = "podman"
			case "cri-containerd-":
				runtime = "containerd"
			}
		}
	}
	return ctid, runtime, id
}

// maxName bounds a text that a guest or a driver chose.
const maxName = 256

// printable is one line that cannot do anything to a terminal.
func printable(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxName {
		text = text[:maxName]
	}
	return strings.Map(func(r rune) rune {
		if pve.IsControl(r) || r == '\uFFFD' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// gone tells whether a process ended while it was looked at.
func gone(err error) bool { return errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrNotExist) }

// containers notes which containers have a card, and the names of those and of the ones
// that use one.
func (g *gatherer) containers() error {
	const dir = "/etc/pve/lxc"
	names, err := g.h.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no Proxmox
	}
	if err != nil {
		return fmt.Errorf("find assigned cards: %w", err)
	}
	var ctids []int
	for _, n := range names {
		word, is := strings.CutSuffix(n, ".conf")
		if ctid, err := strconv.Atoi(word); is && err == nil {
			ctids = append(ctids, ctid)
		}
	}
	slices.Sort(ctids)
	for _, ctid := range ctids {
		data, there, err := tasks.ReadIfExists(g.h, path.Join(dir, strconv.Itoa(ctid)+".conf"))
		if err != nil {
			return fmt.Errorf("find assigned cards: %w", err)
		}
		if there {
			g.container(ctid, pve.ParseConfig(data).Head())
		}
	}
	return nil
}

// divided lists the MIG instances of the cards, and remembers them by the nodes of their
// capabilities.
func (g *gatherer) divided() {
	g.parts = map[string]*string{}
	for i := range g.f.Cards {
		c := &g.f.Cards[i]
		minor, is := strings.CutPrefix(c.Node, "/dev/nvidia")
		if !is {
			continue
		}
		dir := gpu.Capabilities + "/gpu" + minor + "/mig"
		var files []string
		for _, gi := range g.below(dir, "gi") {
			for _, ci := range g.below(dir+"/"+gi, "ci") {
				files = append(files, gi+"/"+ci)
			}
		}
		c.Parts = files
		for n := range files {
			node, err := gpu.CapabilityNode(g.h, dir+"/"+files[n]+"/access")
			if err != nil {
				g.unreadable(err)
				continue
			}
			g.parts[node] = &c.Parts[n]
		}
	}
}

// below are the folders of one sort in a folder, which need not be there.
func (g *gatherer) below(dir, sort string) (out []string) {
	names, err := g.h.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.unreadable(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, sort) {
			out = append(out, n)
		}
	}
	return out
}

func (g *gatherer) container(ctid int, head *pve.Section) {
	assigned := false
	for _, node := range gpu.Given(head) {
		assigned = assign(g.f.Cards, node, ctid) || assigned
		if p := g.parts[node]; p != nil {
			*p += " " + strconv.Itoa(ctid)
		}
	}
	for i := range g.f.Owners {
		assigned = assigned || g.f.Owners[i].CTID == ctid
	}
	if assigned {
		name, _ := head.Get("hostname")
		template, _ := head.Get("template")
		g.f.Containers = append(g.f.Containers, gpufacts.Container{CTID: ctid, Name: printable(name), Template: template == "1"})
	}
}

// assign notes that a container has a node.
func assign(cards []gpufacts.Card, node string, ctid int) (is bool) {
	for i := range cards {
		c := &cards[i]
		if node == c.Node && node != "" && !slices.Contains(c.Assigned, ctid) {
			c.Assigned = append(c.Assigned, ctid)
			is = true
		}
	}
	return is
}
