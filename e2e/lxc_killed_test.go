package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// door is a script in container 900 that waits until the test lets it go on.
type door struct {
	*rig
	name string
}

// door has the next run wait in container 900, and make a file in 902 after that.
func (r *rig) door(t *testing.T, name string) door {
	t.Helper()
	script := fmt.Sprintf("cd /root; touch %[1]s.reached; while ! [ -e %[1]s.open ]; do sleep 0.1; done; touch %[1]s.passed", name)
	r.write(t, "lxc.json", strings.NewReplacer(
		`"name": "privileged",`, `"name": "privileged", "application_script": { "apply": "`+script+`" },`,
		`"name": "unnested",`, `"name": "unnested", "files": { "/etc/after": { "content": "`+name+`" } },`,
	).Replace(realContainers))
	return door{r, name}
}

func (d door) path(what string) string {
	return d.Hosts[0].Path("/var/lib/lxc/900/rootfs/root/" + d.name + "." + what)
}

// reached starts a run, and returns once it waits.
func (d door) reached(t *testing.T) *running {
	t.Helper()
	run := d.start(t, "run", "-o", "json")
	eventually(t, "the script runs in the container", func() bool { return exists(d.path("reached")) })
	return run
}

// open lets the script come to its end, and all that run from now on.
func (d door) open(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(d.path("open"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// converges fails the test unless the next run mends what is left to do, and leaves nothing.
func (d door) converges(t *testing.T, want ...string) record {
	t.Helper()
	next := d.phoenix(t, "run", "-o", "json").want(t, 0)
	// The other container is worked on at the same time, and may have been done before.
	got := slices.DeleteFunc(next.report(t).changes(), func(c string) bool { return c == "pve1 file:902/etc/after content" })
	if !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	d.phoenix(t, "check").want(t, 0)
	if !exists(d.path("passed")) {
		t.Error("the script has not come to its end")
	}
	d.wantNoHelper(t)
	return next.report(t)
}

// wantNoHelper fails the test when container 900 has a helper or its folder.
func (d door) wantNoHelper(t *testing.T) {
	t.Helper()
	const look = "ls -d /run/.phoenix* /tmp/.phoenix* 2>/dev/null; readlink /proc/[0-9]*/exe | grep agentlet || true"
	eventually(t, "no helper is in the container", func() bool { return d.inside(t, 900, "sh", "-c", look) == "" })
}

// step is one step of the only host.
func (r record) step(id string) (status, why string) {
	for _, s := range r.Hosts[0].Steps {
		if s.ID == id {
			return s.Status, s.Why
		}
	}
	return "", ""
}

// killedInTheMiddle are the ends that a run can have while it works in a container.
func (r *rig) killedInTheMiddle(t *testing.T) {
	const script, after = "application_script:900", "file:902/etc/after"
	t.Run("a helper that is killed in a container fails its step alone", func(t *testing.T) {
		d := r.door(t, "guest")
		run := d.reached(t)
		r.inside(t, 900, "sh", "-c", `for p in /proc/[0-9]*; do case $(readlink $p/exe) in */agentlet*) kill -KILL ${p#/proc/};; esac; done`)
		got := run.wait(t).want(t, 1).report(t)
		for _, s := range got.Hosts[0].Steps {
			if bad := s.Status == "failed"; bad != (s.ID == script) {
				t.Errorf("%s is %s: %s", s.ID, s.Status, s.Why)
			}
		}
		if _, why := got.step(script); !strings.Contains(why, "talk with container 900: the helper in it has ended") {
			t.Errorf("it failed because %q", why)
		}
		if s, why := got.step(after); s != "changed" {
			t.Errorf("the file of the other container is %s: %s", s, why)
		}
		d.open(t)
		d.converges(t, "pve1 "+script+" apply")
	})
	t.Run("the host's helper that is killed takes the one in the container along", func(t *testing.T) {
		d := r.door(t, "host")
		run := d.reached(t)
		r.killHelper(t, 0)
		run.wait(t).want(t, 1).report(t).wantFault(t, "pve1", "lost")
		d.wantNoHelper(t)
		d.open(t)
		if exists(d.path("passed")) {
			t.Error("the script went on")
		}
		d.converges(t, "pve1 "+script+" apply")
	})
	t.Run("phoenix that is killed leaves nothing half done", func(t *testing.T) {
		d := r.door(t, "phoenix")
		run := d.reached(t)
		id := r.lastRun(t)
		run.signal(t, syscall.SIGKILL)
		run.wait(t)
		r.phoenix(t, "run", "-o", "json").want(t, 5).report(t).wantFault(t, "pve1", "locked", id)
		d.open(t)
		eventually(t, "the helper leaves", func() bool { return len(r.processes(0, "agentlet-")) == 0 })
		next := d.converges(t) // of this container, no further step was begun
		if finished, steps := next.earlier(t, "pve1", id); !finished || !strings.Contains(strings.Join(steps, ","), script+" changed") {
			t.Errorf("the earlier run: finished %v, steps %v", finished, steps)
		}
	})
	r.write(t, "lxc.json", realContainers)
}
