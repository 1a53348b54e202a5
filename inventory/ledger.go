package inventory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"phoenix/inventory/document"
	"phoenix/inventory/gpulock"
	"phoenix/tasks/gpu"
	"phoenix/tasks/kind/lxc"
)

// lockSuffix ends the name of a lock file.
const lockSuffix = ".lock.json"

// notChosen is why a request that nobody has answered yet cannot be met.
const notChosen = "which cards it gets is chosen at the first `phoenix run`"

// LockFile keeps which cards containers were given. It lies beside the file of the
// containers, and all hosts that read that file share it; it is not for several goroutines
// at once.
type LockFile struct {
	// Path of the file, also where there is none yet; empty for a host without containers.
	Path string
	// Raw is the file as it was read, so that whoever writes it can notice that somebody
	// else has by then; nil where there was none.
	Raw []byte
	// Lock is what it says, and what Host.Pin adds; never nil.
	Lock *gpulock.Lock
}

// Lock is the lock file of the host's containers, never nil.
func (h *Host) Lock() *LockFile {
	if h.lock == nil {
		h.lock = &LockFile{Lock: &gpulock.Lock{Version: gpulock.Version}}
	}
	return h.lock
}

// readLock reads the lock file of a host, once for all that share it.
func (l *loader) readLock(h *hostEntry) {
	if h.LXC == "" {
		return
	}
	name := strings.TrimSuffix(h.LXC, filepath.Ext(h.LXC)) + lockSuffix
	if f := l.locks[name]; f != nil {
		h.lock = f
		return
	}
	f := &LockFile{Path: name, Lock: &gpulock.Lock{Version: gpulock.Version}}
	l.locks[name], h.lock = f, f
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return
	}
	data, fault := l.readFile(name)
	if fault != nil {
		l.found.Add(*fault)
		return
	}
	f.Raw = data
	hint := "restore " + name + " from version control, or delete it: the cards are then chosen anew"
	src := document.NewSource(name, filepath.Dir(name), data)
	root, faults := document.ParseJSON(src, data)
	if len(faults) > 0 {
		for _, d := range faults {
			d.Hint = hint
			l.found.Add(d)
		}
		return
	}
	lock, err := gpulock.Parse(data)
	var wrong gpulock.Faults
	switch {
	case errors.As(err, &wrong):
		for _, w := range wrong {
			n, _ := root.Find(strings.Split(w.Path, "."))
			way := hint
			if w.Path == "version" {
				way = "use the phoenix that wrote it, or " + hint
			}
			l.found.Add(document.At(n.Pos, w.Path, w.Why, way))
		}
	case err != nil:
		l.found.Add(root.Fault(err.Error(), hint))
	default:
		f.Lock = lock
	}
}

// gpuKeys reads what a container says of its cards that the family does not read, and adds
// those keys to the ones that are left out.
func (l *loader) gpuKeys(c *Container, without []string) []string {
	if n := c.node.Get("gpu_memory_gb"); n != nil && n.Kind == document.Number {
		if gb, err := strconv.ParseFloat(n.Text, 64); err == nil && !l.faultyAt(n.Pos) {
			c.GPUMemoryGB = gb
		}
	}
	without = append(without, "gpu_memory_gb")
	if n := c.node.Get("gpu_assignment"); n != nil && n.Kind == document.Object {
		c.Request = new(gpulock.Request)
		l.decode(section{what: "gpu_assignment", node: n, at: n.Pos}, c.Request)
		without = append(without, "gpu_assignment")
	}
	return without
}

// keep gives the containers of a host what the lock file has for them. A request without an
// answer never becomes "no cards".
func (h *Host) keep() {
	kept := h.Lock().Lock.Kept(h.Name)
	for i := range h.Containers {
		c := &h.Containers[i]
		if c.Request != nil {
			h.Unmet(c.Spec.CTID, notChosen)
		}
		if p, there := kept.Containers[c.Spec.CTID]; there {
			h.take(c, p, kept.Cards)
		}
	}
}

// Unpinned lists the containers, but for absent ones, whose request the lock file does not
// answer: nobody has chosen yet, the request was changed, or a card is not as it asks, or
// has less memory than the container's budget. With
// requestsOnly false, those with an index that is not pinned to a UUID are among them.
func (h *Host) Unpinned(requestsOnly bool) []int {
	kept := h.Lock().Lock.Kept(h.Name)
	var out []int
	for i := range h.Containers {
		c := &h.Containers[i]
		p := kept.Containers[c.Spec.CTID]
		if c.Spec.State == lxc.StateAbsent {
			continue
		}
		missing := c.Request != nil && !p.Answers(*c.Request, h.GPUMemoryGB(c), kept.Cards)
		for _, name := range c.Spec.GPUAssignment.Cards() {
			missing = missing || c.Request == nil && !requestsOnly && gpu.IsIndex(name) && p.Names[name] == ""
		}
		if missing {
			out = append(out, c.Spec.CTID)
		}
	}
	return out
}

// Pin gives a container its cards, in memory and in Lock: the answer to its request, or
// what its indexes mean. A pin that answers another request changes nothing of the
// container.
func (h *Host) Pin(ctid int, p gpulock.Pin) {
	c := h.container(ctid)
	if c == nil {
		return
	}
	kept := h.Lock().Lock.Of(h.Name)
	kept.Containers[ctid] = p
	h.take(c, p, kept.Cards)
}

// Unmet says why the cards of a container cannot be had: its step fails with that and
// changes none of them.
func (h *Host) Unmet(ctid int, why string) {
	c := h.container(ctid)
	if c == nil {
		return
	}
	led := &lxc.GPULedger{File: filepath.Base(h.Lock().Path), Unmet: why}
	if c.Request != nil {
		led.Request, c.Spec.GPUAssignment = c.Request.String(), nil
	}
	c.Spec.GPULedger = led
}

func (h *Host) take(c *Container, p gpulock.Pin, cards map[string]gpulock.Card) {
	led := &lxc.GPULedger{File: filepath.Base(h.Lock().Path)}
	if c.Request != nil {
		if p.Answers(*c.Request, h.GPUMemoryGB(c), cards) {
			led.Request, c.Spec.GPUAssignment, c.Spec.GPULedger = c.Request.String(), lxc.Assignment(p.GPUs), led
		}
		return
	}
	for _, name := range c.Spec.GPUAssignment.Cards() {
		if id := p.Names[name]; id != "" && gpu.IsIndex(name) {
			if led.Pins == nil {
				led.Pins = make(map[string]string)
			}
			led.Pins[name] = id
		}
	}
	if led.Pins != nil {
		c.Spec.GPULedger = led
	}
}

func (h *Host) container(ctid int) *Container {
	for i := range h.Containers {
		if h.Containers[i].Spec.CTID == ctid {
			return &h.Containers[i]
		}
	}
	return nil
}
