package docker_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	debian12 = "debian-12-standard_12.7-1_amd64.tar.zst"
	debian13 = "debian-13-standard_13.1-1_amd64.tar.zst"
	ubuntu24 = "ubuntu-24.04-standard_24.04-2_amd64.tar.zst"
	alpine   = "alpine-3.20-default_20240908_amd64.tar.xz"
)

// guest is the inside of a fresh container, with a user.
func guest(t *testing.T, template string) tasks.Host {
	t.Helper()
	g, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	h := g.Host()
	taskstest.Put(t, h, "/etc/passwd", taskstest.Get(t, h, "/etc/passwd")+"ann:x:1000:1000::/home/ann:/bin/sh\n")
	return h
}

func machine(template string) func(*testing.T) taskstest.Machine {
	return func(t *testing.T) taskstest.Machine { return taskstest.Machine{Host: guest(t, template)} }
}

// lay writes a file by hand.
func lay(path, text string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		for _, e := range []tasks.Edit{{Verb: tasks.VerbMkdir, Path: filepath.Dir(path)}, {Verb: tasks.VerbPut, Path: path, Data: []byte(text)}} {
			if err := h.Write(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// readable lets everybody read a file.
func readable(path string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		mode := fs.FileMode(0o644)
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbAttr, Path: path, Mode: &mode}); err != nil {
			t.Fatal(err)
		}
	}
}

// paths are those of a result's changes, on one line.
func paths(res tasks.Result) string {
	var out []string
	for _, c := range res.Changes {
		out = append(out, c.Path)
	}
	return strings.Join(out, " ")
}
