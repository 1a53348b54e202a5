package sim

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"phoenix/tasks"
)

// fresh is a new machine with the given options.
func fresh(t *testing.T, o Options) *Machine {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = 1
	}
	m, err := New(filepath.Join(t.TempDir(), "root"), "pve1", o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// execLine runs a program given as one line of words.
func execLine(t *testing.T, m *Machine, line string) (code int, stdout, stderr string) {
	t.Helper()
	return execv(t, m, strings.Fields(line)...)
}

func execv(t *testing.T, m *Machine, argv ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = m.Exec(t.Context(), argv, Streams{Stdout: &out, Stderr: &err})
	return code, out.String(), err.String()
}

// must runs a program that has to end well and returns its stdout.
func must(t *testing.T, m *Machine, line string) string {
	t.Helper()
	code, out, errs := execLine(t, m, line)
	if code != 0 {
		t.Fatalf("%s: exit %d\n%s%s", line, code, out, errs)
	}
	return out
}

func digest(t *testing.T, m *Machine) string {
	t.Helper()
	d, err := m.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAFreshMachineLooksLikeAnInstalledHost(t *testing.T) {
	for _, release := range []string{"8.4", "9.1"} {
		m := fresh(t, Options{Release: release, GPUs: 2})
		h := m.Host()
		link, err := h.Stat("/etc/pve/local")
		if err != nil || link.Mode&fs.ModeSymlink == 0 || link.Target != "nodes/pve1" {
			t.Errorf("%s: /etc/pve/local is %+v, %v", release, link, err)
		}
		for _, file := range []string{"/etc/pve/storage.cfg", "/var/lib/dpkg/status", "/etc/localtime", "/proc/net/unix", "/etc/pve/.vmlist", "/dev/nvidia1", "/usr/sbin/pct", "/lib/modules"} {
			if _, err := h.Stat(file); err != nil {
				t.Errorf("%s: %v", release, err)
			}
		}
		if zone, err := h.ReadFile("/etc/localtime"); err != nil || !strings.Contains(string(zone), "Etc/UTC") {
			t.Errorf("%s: the time zone is %q, %v", release, zone, err)
		}
		if _, out, _ := execLine(t, m, "pveversion"); !strings.HasPrefix(out, "pve-manager/"+release+".") {
			t.Errorf("%s: pveversion prints %q", release, out)
		}
	}
}

func TestAnExistingTreeIsKept(t *testing.T) {
	m := fresh(t, Options{Release: "9.1"})
	must(t, m, "apt-get install -y curl")
	before := digest(t, m)
	again, err := New(m.Root, "pve1", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Release != "9.1" {
		t.Errorf("the second machine of the tree has release %s", again.Release)
	}
	if digest(t, again) != before {
		t.Error("opening the tree again changed it")
	}
	if _, err := New(m.Root, "pve2", Options{}); err == nil {
		t.Error("a tree was opened under another node's name")
	}
}

func TestNamesThatAreNoNodesAreRefused(t *testing.T) {
	for _, name := range []string{"", "a b", "-x", "../x", "a/b", "under_score"} {
		if _, err := New(t.TempDir(), name, Options{}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestTheDigestSeesWhatCounts(t *testing.T) {
	m := fresh(t, Options{})
	h := m.Host()
	start := digest(t, m)
	put := func(p string) {
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: p, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"/var/log/a", "/run/a", "/run/lock/lxc/pve-config-900.lock"} {
		put(p)
		if digest(t, m) != start {
			t.Errorf("writing %s counts", p)
		}
	}
	if err := os.Chtimes(m.path("/etc/hosts"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	must(t, m, "pvesm status")
	if digest(t, m) != start {
		t.Error("times or reading count")
	}
	last := start
	for _, change := range []func(){
		func() { put("/etc/motd") },
		func() { must(t, m, "systemctl stop chrony") },
		func() { must(t, m, "systemctl disable chrony") },
		func() {
			if err := os.Chmod(m.path("/etc/motd"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		if now := digest(t, m); now == last {
			t.Error("a change does not count")
		} else {
			last = now
		}
	}
}

func TestTheHostRunsSimulatedProgramsOnly(t *testing.T) {
	m := fresh(t, Options{})
	h := m.Host()
	var said []tasks.Log
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Log: func(l tasks.Log) { said = append(said, l) }})
	out, err := h.Run(ctx, tasks.Cmd{Argv: []string{"sh", "-c", "echo one; cat; false"}, Stdin: []byte("two\n")})
	if err != nil || out.Code != 1 || string(out.Stdout) != "one\ntwo\n" {
		t.Errorf("run: %q, code %d, %v", out.Stdout, out.Code, err)
	}
	if len(said) != 2 || said[1].Text != "two" {
		t.Errorf("said %v, want both lines", said)
	}
	if _, err := h.Run(ctx, tasks.Cmd{Argv: []string{"mkfs.ext4", "/dev/sda"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("run of a program that the machine lacks: %v", err)
	}
	if code, _, _ := execLine(t, m, "/tmp/pct list"); code != 127 {
		t.Errorf("a program outside the bin folders ran: %d", code)
	}
}

func TestOutputIsCutOffAtOneMiB(t *testing.T) {
	m := fresh(t, Options{})
	big := bytes.Repeat([]byte("0123456789abcde\n"), 1<<17)
	out, err := m.Host().Run(t.Context(), tasks.Cmd{Argv: []string{"cat"}, Stdin: big})
	if err != nil || len(out.Stdout) != 1<<20 {
		t.Errorf("%d bytes, %v", len(out.Stdout), err)
	}
}

func TestTwoMachinesOfOneTreeShareTheirState(t *testing.T) {
	m := fresh(t, Options{})
	other, err := New(m.Root, "pve1", Options{Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i, on := range []*Machine{m, other} {
		for j := range 8 {
			all.Go(func() {
				name := string([]byte{'s', byte('a' + i), byte('a' + j)})
				if code, _, errs := execLine(t, on, "pvesm add dir "+name+" --path /srv/"+name); code != 0 {
					t.Errorf("add %s: %s", name, errs)
				}
			})
		}
	}
	all.Wait()
	if n := len(m.storages()); n != 2+16 {
		t.Errorf("%d storages after 16 were added side by side, want 18", n)
	}
}

func TestFaultsHappenWhenTheyAreDue(t *testing.T) {
	m := fresh(t, Options{})
	if err := m.Fault(Fault{Kind: FaultExit, Program: "pvesm", Verb: "status", Nth: 2, Code: 25, Stderr: "broken\n"}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 25, 0} {
		code, _, errs := execLine(t, m, "pvesm status")
		if code != want || (want == 25) != (errs == "broken\n") {
			t.Errorf("call %d: exit %d, %q", i+1, code, errs)
		}
	}
	if err := m.Fault(Fault{Kind: FaultMissing, Program: "pvesm"}); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := execLine(t, m, "pvesm status"); code != 127 {
		t.Errorf("a hidden program ran: %d", code)
	}
	if err := m.Heal(); err != nil {
		t.Fatal(err)
	}
	must(t, m, "pvesm status")
}

func TestAHungProgramEndsWithItsContext(t *testing.T) {
	m := fresh(t, Options{})
	if err := m.Fault(Fault{Kind: FaultHang, Program: "systemctl"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := m.Host().Run(ctx, tasks.Cmd{Argv: []string{"systemctl", "start", "ssh"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("run: %v", err)
	}
}

func TestAFullFileSystemRefusesWrites(t *testing.T) {
	m := fresh(t, Options{})
	if err := m.Fault(Fault{Kind: FaultFull, Path: "/etc/*"}); err != nil {
		t.Fatal(err)
	}
	before := digest(t, m)
	err := m.Host().Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/motd", Data: []byte("x")})
	if !errors.Is(err, errNoSpace) {
		t.Errorf("write: %v", err)
	}
	if digest(t, m) != before {
		t.Error("the refused write left something behind")
	}
}
