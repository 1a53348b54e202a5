// Package apt keeps packages installed, absent or at their version.
//
// A check reads dpkg's database and starts nothing. A change goes through apt-get
// without questions, waits for other package managers (a lock is never deleted),
// finishes what an interrupted dpkg left, and fetches the package lists only when
// they are missing or old. It installs no recommended packages, since a hypervisor
// should carry what its configuration lists; it never upgrades what is installed,
// and never lets Proxmox's own packages go as a side effect.
// Start reading at Spec; task.go compares, apply.go changes.
package apt

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"phoenix/tasks"
	"phoenix/tasks/aptget"
	"phoenix/tasks/dpkg"
)

// Name of the family in steps and in step IDs.
const Name = "apt"

// Kind describes the family to a registry.
func Kind() tasks.Kind {
	return tasks.Kind{Name: Name, New: func() tasks.Spec { return new(Spec) }}
}

// Validate returns every fault of the spec.
func (s *Spec) Validate() []tasks.Problem {
	var out tasks.Problems
	valid := regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]*(:[a-z0-9]+)?$`)
	seen := make(map[string]bool)
	for i, p := range s.Packages {
		at, name := fmt.Sprintf("packages.%d", i), strings.TrimPrefix(p, "-")
		switch {
		case !valid.MatchString(name):
			out.Add(at, fmt.Sprintf("%q is no package name", p), `lower-case letters, digits, + - . and an optional :architecture; "-NAME" for one to remove`)
		case seen[name]:
			out.Add(at, fmt.Sprintf("%s is named twice", name), "")
		case p == "-proxmox-ve":
			out.Add(at, "removing proxmox-ve removes Proxmox VE", "")
		}
		seen[name] = true
	}
	for i, p := range s.Hold {
		at := fmt.Sprintf("hold.%d", i)
		switch {
		case !valid.MatchString(p):
			out.Add(at, fmt.Sprintf("%q is no package name", p), "")
		case slices.Contains(s.Packages, "-"+p):
			out.Add(at, fmt.Sprintf("%s is to be removed and to be kept", p), "take it out of packages or of hold")
		case slices.Index(s.Hold, p) < i:
			out.Add(at, fmt.Sprintf("%s is named twice", p), "")
		}
	}
	if s.CacheMaxAgeS < 0 {
		out.Add("cache_max_age_s", "is negative", "seconds; 0 means a day")
	}
	if s.LockTimeoutS < 0 {
		out.Add("lock_timeout_s", "is negative", "seconds; 0 means five minutes")
	}
	return out
}

// Task returns the work that the spec describes.
func (s *Spec) Task() tasks.Task {
	return &task{spec: *s, tool: aptget.New(s.LockTimeoutS)}
}

type task struct {
	spec Spec
	tool aptget.Tool
}

// Check compares with dpkg's database, which it reads once.
func (t *task) Check(_ context.Context, h tasks.Host) (tasks.Diff, error) {
	status, err := dpkg.Read(h)
	if err != nil {
		return nil, err
	}
	return t.diff(status), nil
}

func (t *task) diff(status dpkg.Status) tasks.Diff {
	var d tasks.Diff
	for _, p := range t.spec.Packages {
		if name, remove := strings.CutPrefix(p, "-"); remove {
			if e, ok := status.Find(name); ok && !e.Gone() {
				d.Add("packages."+name, shown(e), "", tasks.EffectLive)
			}
			continue
		}
		if from, ok := missing(status, p); ok {
			d.Add("packages."+p, from, "installed", tasks.EffectLive)
		}
	}
	for _, name := range t.spec.Hold {
		if e, ok := status.Find(name); !ok || !e.Held() {
			d.Add("hold."+name, "", "held", tasks.EffectLive)
		}
	}
	return d
}

// missing tells whether a package is not there, and what there is instead. A name
// that an installed package provides is there.
func missing(status dpkg.Status, name string) (from string, is bool) {
	e, ok := status.Find(name)
	if ok && e.Installed() {
		return "", false
	}
	if _, virtual := status.Provider(name); virtual && (!ok || e.Gone()) {
		return "", false
	}
	if !ok || e.Gone() {
		return "", true
	}
	return shown(e), true
}

// shown is the state of a package for people: its version where it is installed,
// dpkg's word where it is broken.
func shown(e dpkg.Package) string {
	switch {
	case e.Installed():
		return e.Version
	case e.Flag != "ok":
		return e.State + ", " + e.Flag
	}
	return e.State
}
