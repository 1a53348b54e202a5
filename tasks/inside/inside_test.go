package inside_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/inside"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// machine has a running container 900 of Debian, and 901, which is stopped.
func machine(t *testing.T) tasks.Host {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"pct create 900 local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --storage local-lvm",
		"pct create 901 local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --storage local-lvm",
		"pct start 900",
	} {
		var said strings.Builder
		if code := m.Exec(t.Context(), strings.Fields(line), sim.Streams{Stdout: &said, Stderr: &said}); code != 0 {
			t.Fatalf("%s: status %d: %s", line, code, said.String())
		}
	}
	taskstest.Put(t, m.Host(), "/root/agentlet", strings.Repeat("helper", 1000))
	return m.Host()
}

func enter(t *testing.T, m tasks.Host) (tasks.Host, *inside.Containers) {
	t.Helper()
	c := &inside.Containers{Machine: m, Helper: "/root/agentlet"}
	h, err := c.Enter(t.Context(), m, 900)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Leave(900) })
	return h, c
}

func TestTheInsideIsAHost(t *testing.T) {
	m := machine(t)
	h, _ := enter(t, m)
	release, err := h.ReadFile("/etc/os-release")
	if err != nil || !strings.Contains(string(release), "ID=debian") {
		t.Errorf("os-release: %q, %v", release, err)
	}
	if _, err := h.ReadFile("/etc/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if info, err := h.Stat("/etc"); err != nil || !info.Mode.IsDir() {
		t.Errorf("stat /etc: %+v, %v", info, err)
	}
	if names, err := h.ReadDir("/"); err != nil || len(names) == 0 || names[0] == "" {
		t.Errorf("list /: %q, %v", names, err)
	}
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/motd", Data: []byte("hello\n")}); err != nil {
		t.Fatal(err)
	}
	seen := ""
	err = h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/motd", Update: func(old []byte) ([]byte, error) {
		seen = string(old)
		return append(old, "again\n"...), nil
	}})
	if err != nil || seen != "hello\n" {
		t.Errorf("update saw %q: %v", seen, err)
	}
	out, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{"cat", "/etc/motd"}, ReadOnly: true})
	if err != nil || string(out.Stdout) != "hello\nagain\n" || out.Code != 0 {
		t.Errorf("cat: %+v, %v", out, err)
	}
	if data, err := m.ReadFile("/etc/motd"); err == nil && strings.Contains(string(data), "hello") {
		t.Error("what was written inside is on the machine")
	}
}

func TestAnUpdateThatFailsLeavesTheFile(t *testing.T) {
	h, _ := enter(t, machine(t))
	no := errors.New("no")
	err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/motd", Update: func(old []byte) ([]byte, error) {
		if old != nil {
			t.Errorf("a file that is not there has %q", old)
		}
		return nil, no
	}})
	if !errors.Is(err, no) {
		t.Errorf("the error is %v", err)
	}
	if _, err := h.Stat("/etc/motd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file: %v", err)
	}
}

func TestAProgramsLinesAreSaidWhileItRuns(t *testing.T) {
	h, _ := enter(t, machine(t))
	var said []string
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) { said = append(said, l.Stream+" "+l.Text) }})
	out, err := h.Run(ctx, tasks.Cmd{Argv: []string{"sh", "-c", "echo one; echo two; exit 3"}})
	if err != nil || out.Code != 3 || string(out.Stdout) != "one\ntwo\n" {
		t.Errorf("%+v, %v", out, err)
	}
	if strings.Join(said, ",") != "stdout one,stdout two" {
		t.Errorf("said %q", said)
	}
}

func TestACancelledProgramIsEnded(t *testing.T) {
	h, _ := enter(t, machine(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := h.Run(ctx, tasks.Cmd{Argv: []string{"sleep", "600"}})
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if _, err := h.ReadFile("/etc/os-release"); err != nil {
		t.Errorf("nothing can be asked afterwards: %v", err)
	}
}

func TestAContainerThatDoesNotRunIsAway(t *testing.T) {
	m := machine(t)
	c := &inside.Containers{Machine: m, Helper: "/root/agentlet"}
	for ctid, absent := range map[int]bool{901: false, 902: true} {
		_, err := c.Enter(t.Context(), m, ctid)
		var away *tasks.AwayError
		if !errors.As(err, &away) || away.Absent != absent || away.CTID != ctid {
			t.Errorf("container %d: %v", ctid, err)
		}
	}
}

func TestAContainerGoesBackToBeforeTheFirstChange(t *testing.T) {
	m := machine(t)
	h, c := enter(t, m)
	safety := tasks.Safety{Step: "lxc:900", Rollback: true, Keep: 2}
	put := func(h tasks.Host, text string) {
		t.Helper()
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/motd", Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	put(h, "before")
	for range 3 {
		if _, err := c.Save(t.Context(), 900, safety); err != nil {
			t.Fatal(err)
		}
	}
	conf := taskstest.Get(t, m, "/etc/pve/lxc/900.conf")
	if n := strings.Count(conf, "\n[phoenix-before-"); n != 2 {
		t.Errorf("%d snapshots are kept, want 2:\n%s", n, conf)
	}
	goBack, err := c.Save(t.Context(), 900, safety)
	if err != nil {
		t.Fatal(err)
	}
	put(h, "after")
	c.Leave(900)
	if err := goBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h, err = c.Enter(t.Context(), m, 900); err != nil {
		t.Fatal(err)
	}
	if got := taskstest.Get(t, h, "/etc/motd"); got != "before" {
		t.Errorf("the file is %q", got)
	}
	if conf := taskstest.Get(t, m, "/etc/pve/lxc/900.conf"); strings.Count(conf, "\n[phoenix-before-") > 2 {
		t.Errorf("the snapshot that was gone back to is still there:\n%s", conf)
	}
}
