package sim

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// errNoSpace is what a write to a full file system ends with.
const errNoSpace = syscall.ENOSPC

// faultFile holds the faults that are waiting; beside the machine's own files so
// that every process that serves the tree sees them.
const faultFile = "/.sim/faults.json"

// FaultKind is what goes wrong.
type FaultKind string

// The kinds of faults.
const (
	// FaultExit ends the program at once with Code, after writing Stderr.
	FaultExit FaultKind = "exit"
	// FaultHang makes the program do nothing until its context ends.
	FaultHang FaultKind = "hang"
	// FaultKill ends the program at Point, in the middle of its work, as SIGKILL
	// does: it cleans nothing up.
	FaultKill FaultKind = "kill"
	// FaultMissing hides the program.
	FaultMissing FaultKind = "missing"
	// FaultFull makes writes of files that match Path fail with ENOSPC.
	FaultFull FaultKind = "full"
	// FaultDownload makes downloads fail; the programs say so in their own way.
	FaultDownload FaultKind = "download"
	// FaultDpkgLock makes apt and dpkg find their lock held by another program.
	FaultDpkgLock FaultKind = "dpkg lock"
)

// Fault is one thing that goes wrong on a machine.
type Fault struct {
	// Kind is what goes wrong.
	Kind FaultKind `json:"kind"`
	// Program is the program that it happens to: "pct"; empty is every one.
	Program string `json:"program,omitempty"`
	// Verb is the program's first argument: "create"; empty is every one.
	Verb string `json:"verb,omitempty"`
	// Nth is the matching call that it happens at, counted from 1; 0 is every one.
	Nth int `json:"nth,omitempty"`
	// Point is where a FaultKill hits: "unpacked" of apt-get, "download" of pveam;
	// empty is before the program does anything.
	Point string `json:"point,omitempty"`
	// Path is the pattern of a FaultFull, as for path.Match.
	Path string `json:"path,omitempty"`
	// Code is the exit status of a FaultExit.
	Code int `json:"code,omitempty"`
	// Stderr is what a FaultExit says.
	Stderr string `json:"stderr,omitempty"`
	// Seen counts the calls that matched so far.
	Seen int `json:"seen,omitempty"`
}

// Fault makes things go wrong from now on, in every process that serves the tree.
func (m *Machine) Fault(faults ...Fault) error {
	return m.holding(faultLock, func() error { return m.saveFaults(append(m.faults(), faults...)) })
}

// Heal takes back all faults.
func (m *Machine) Heal() error {
	return m.holding(faultLock, func() error { return m.saveFaults(nil) })
}

func (m *Machine) faults() []Fault {
	var list []Fault
	data, err := m.read(faultFile)
	if err != nil || json.Unmarshal(data, &list) != nil {
		return nil
	}
	return list
}

func (m *Machine) saveFaults(list []Fault) error {
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return m.write(faultFile, data, 0o600)
}

// fault tells whether a fault ends the program here, and with which status. Point
// is "" at the start of a program; elsewhere it names how far the program got.
// A program calls it where being killed would leave something half done.
func (c *call) fault(point string) (code int, hit bool) {
	kinds := []FaultKind{FaultKill}
	if point == "" {
		kinds = append(kinds, FaultExit, FaultHang)
	}
	f, hit := c.struck(point, kinds...)
	if !hit {
		return 0, false
	}
	switch f.Kind {
	case FaultHang:
		<-c.ctx.Done()
		return 143, true
	case FaultKill:
		return 137, true
	}
	c.errorf("%s", f.Stderr)
	return f.Code, true
}

// struck counts this call against the faults of the given kinds and returns the
// first whose turn it is.
func (c *call) struck(point string, kinds ...FaultKind) (Fault, bool) {
	if !c.m.exists(faultFile) {
		return Fault{}, false
	}
	verb := ""
	if len(c.argv) > 1 {
		verb = c.argv[1]
	}
	var found Fault
	hit := false
	_ = c.m.holding(faultLock, func() error {
		list := c.m.faults()
		for i := range list {
			f := &list[i]
			if !slices.Contains(kinds, f.Kind) || f.Point != point ||
				f.Program != "" && f.Program != c.argv[0] || f.Verb != "" && f.Verb != verb {
				continue
			}
			f.Seen++
			if !hit && (f.Nth == 0 || f.Nth == f.Seen) {
				found, hit = *f, true
			}
		}
		return c.m.saveFaults(list)
	})
	return found, hit
}

// missing tells whether a fault hides the program.
func (m *Machine) missing(program string) bool {
	return m.exists(faultFile) && slices.ContainsFunc(m.faults(), func(f Fault) bool {
		return f.Kind == FaultMissing && f.Program == program
	})
}

// full tells whether a fault leaves no space for the file.
func (m *Machine) full(p string) bool {
	return m.exists(faultFile) && slices.ContainsFunc(m.faults(), func(f Fault) bool {
		ok, err := filepath.Match(f.Path, p)
		return f.Kind == FaultFull && (ok || f.Path == "" || err != nil)
	})
}

// wait lets d pass on the real clock, or ends early with the call.
func (c *call) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}
