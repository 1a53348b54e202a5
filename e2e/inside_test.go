package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"phoenix/agentlet/dist"
	"phoenix/tasks"
	"phoenix/tasks/inside"
	"phoenix/tasks/local"
	"phoenix/tasks/sim"
)

// shells are root file systems with a shell and its few programs: BusyBox alone, as Alpine
// has it, and dash with GNU's, as Debian and Ubuntu have.
func shells() map[string]string {
	return map[string]string{
		"BusyBox": `mkdir bin; cp /bin/busybox bin/; chroot . /bin/busybox --install -s /bin`,
		"dash":    `mkdir usr; mount --rbind /usr usr; for d in bin lib lib64; do ln -s usr/$d $d; done; [ "$(readlink -f /usr/bin/sh)" = /usr/bin/dash ]`,
	}
}

// bareScript builds a root file system in memory, with processes and mounts of its own, and
// becomes its first process, which takes note of the end of every orphan. $1 is an empty folder; $LAY lays the shell in, $PREPARE is the
// trouble that the root file system has.
const bareScript = `set -eu
mount -t tmpfs -o mode=0755 tmpfs "$1"
cd "$1"
mkdir -p dev/shm etc proc root run sbin tmp var/lib var/tmp
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mount -t proc proc proc
eval "$LAY"
eval "$PREPARE"
exec chroot . /bin/sh -c 'cd /; exec 3<&0; cat <&3 >/dev/null & echo up; wait'
`

// folders are where a helper may be put, as the way in tries them.
const folders = "run tmp var/tmp root dev/shm var/lib"

// bare is such a root file system, with what stands for lxc-attach.
type bare struct {
	attach string // its folder
	target string // what nsenter takes
}

// newBare starts one.
func newBare(t *testing.T, lay, prepare string) *bare {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", bareScript, "bare", t.TempDir())
	cmd.Env = append(os.Environ(), "LAY="+lay, "PREPARE="+prepare)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var said liveText
	cmd.Stderr = &said
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); cancel(); _ = cmd.Wait() })
	if _, err := io.ReadFull(out, make([]byte, len("up\n"))); err != nil {
		t.Fatalf("start a bare root file system: %v: %s", err, said.String())
	}
	child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	b := &bare{attach: t.TempDir(), target: strings.TrimSpace(string(child))}
	script := `#!/bin/sh
while [ "$1" != -- ]; do
  [ "$1" != --set-var ] || path=$2
  shift
done
exec env -i "$path" /usr/bin/nsenter --target ` + b.target + ` --mount --pid --root --wdns=/ "$@"
`
	if err := os.WriteFile(filepath.Join(b.attach, "lxc-attach"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return b
}

// sh runs a script in it.
func (b *bare) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nsenter", "--target", b.target, "--mount", "--pid", "--root", "--wdns=/", "--", "/bin/sh", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// wantNothingLeft fails the test when the helper's folder is there, or one of its processes.
func (b *bare) wantNothingLeft(t *testing.T) {
	t.Helper()
	const look = `for d in ` + folders + `; do ls -d /$d/.phoenix* 2>/dev/null; done; for p in /proc/[0-9]*; do readlink $p/exe; done | grep phoenix; true`
	if left := b.sh(t, look); left != "" {
		t.Errorf("it left behind\n%s", left)
	}
}

// where names the folder that a program runs from.
const where = `for p in /proc/[0-9]*; do readlink $p/exe; done | sed -n 's|/\.phoenix.*||p'`

// unpacked is the built helper in a file.
func unpacked(t *testing.T) string {
	t.Helper()
	packed, _, err := dist.Helper(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	unzip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unzip)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "agentlet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// running900 is a machine on which container 900 runs, as its books say.
func running900(t *testing.T) tasks.Host {
	t.Helper()
	m, err := sim.New(t.TempDir(), "pve", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"pct create 900 local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst --storage local-lvm", "pct start 900"} {
		if code := m.Exec(t.Context(), strings.Fields(line), sim.Streams{Stdout: io.Discard, Stderr: io.Discard}); code != 0 {
			t.Fatalf("%s: status %d", line, code)
		}
	}
	return m.Host()
}

// dying is a machine whose way into a container ends after so many bytes.
type dying struct {
	*local.Host
	after int
}

func (d dying) Talk(c tasks.Cmd) (tasks.Talk, error) {
	talk, err := d.Host.Talk(c)
	talk.Stdin = &cut{talk.Stdin, d.after}
	return talk, err
}

type cut struct {
	io.WriteCloser
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	_, err := c.WriteCloser.Write(p[:min(len(p), c.left)])
	return len(p), errors.Join(err, c.Close())
}

// entry is a system that is entered.
type entry struct {
	name, prepare string
	// ends is after how many bytes of the helper whoever writes it dies; 0 is never.
	ends int
	// in is the folder that the helper is started from, or why is why it cannot be.
	in, why string
}

const (
	nowhere = "no folder was found from which a program can be started"
	unwhole = "the helper could not be written to /run and started"
	systemd = `mkdir -p lib/systemd; [ -e lib/systemd/systemd ] || : >lib/systemd/systemd; ln -s /lib/systemd/systemd sbin/init
printf '#!/bin/sh\necho >>/etc/asked; [ $(wc -l </etc/asked) -gt 2 ] && echo running || echo starting\n' >etc/systemctl; chmod 755 etc/systemctl
if [ -e usr/bin/systemctl ]; then mount --bind etc/systemctl usr/bin/systemctl; else ln -s /etc/systemctl bin/systemctl; fi`
	eachThen = "for d in " + folders + "; do "
)

func entries() []entry {
	return []entry{
		{name: "nothing is in the way", in: "/run"},
		{name: "its systemd still starts", prepare: systemd, in: "/run"},
		{name: "run and tmp are noexec", prepare: "for d in run tmp; do mount -t tmpfs -o noexec tmpfs $d; done", in: "/var/tmp"},
		{name: "run is read-only", prepare: "mount -t tmpfs -o ro tmpfs run", in: "/tmp"},
		{name: "run is full", prepare: "mount -t tmpfs -o size=64k tmpfs run; head -c 65536 /dev/urandom >run/full", in: "/tmp"},
		{name: "run has room for a third of it", prepare: "mount -t tmpfs -o size=2m tmpfs run", in: "/tmp"},
		{name: "every folder is noexec", prepare: eachThen + "mount -t tmpfs -o noexec tmpfs $d; done", why: nowhere},
		{name: "every folder is read-only", prepare: eachThen + "mount -t tmpfs -o ro tmpfs $d; done", why: nowhere},
		{name: "whoever writes it dies half-way", ends: 3 << 20, why: unwhole},
		{name: "whoever writes it dies one byte before its end", ends: -1, why: unwhole},
	}
}

// TestTheWayIntoABareSystem takes the way into containers by real shells, with the helper
// as it is built.
func TestTheWayIntoABareSystem(t *testing.T) {
	t.Parallel()
	helper, view := unpacked(t), running900(t)
	for shell, lay := range shells() {
		for _, e := range entries() {
			t.Run(shell+"/"+e.name, func(t *testing.T) { e.enter(t, newBare(t, lay, e.prepare), view, helper) })
		}
	}
}

func (e entry) enter(t *testing.T, b *bare, view tasks.Host, helper string) {
	machine := &local.Host{Path: b.attach + ":" + local.DefaultPath}
	c := &inside.Containers{Machine: machine, Helper: helper}
	if e.ends != 0 {
		info, err := os.Stat(helper)
		if err != nil {
			t.Fatal(err)
		}
		c.Machine = dying{machine, (e.ends + int(info.Size())) % int(info.Size())}
	}
	h, err := c.Enter(t.Context(), view, 900)
	if e.why != "" {
		if err == nil || !strings.HasPrefix(err.Error(), "enter container 900: no helper can be started in it: ") || !strings.Contains(err.Error(), e.why) {
			t.Errorf("the error is %v, want %q", err, e.why)
		}
		b.wantNothingLeft(t)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := b.sh(t, where); got != e.in {
		t.Errorf("the helper was started from %q, want %s", got, e.in)
	}
	if e.prepare == systemd {
		if got := b.sh(t, "wc -l </etc/asked"); got != "3" {
			t.Errorf("systemd was asked %s times, want 3", got)
		}
	}
	wantWork(t, b, h)
	c.Leave(900)
	b.wantNothingLeft(t)
}

// wantWork has the helper do what families do.
func wantWork(t *testing.T, b *bare, h tasks.Host) {
	t.Helper()
	if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: "/etc/motd", Data: []byte("hello\n")}); err != nil {
		t.Error(err)
	}
	if got, err := h.ReadFile("/etc/motd"); err != nil || string(got) != "hello\n" || b.sh(t, "cat /etc/motd") != "hello" {
		t.Errorf("what was written reads %q: %v", got, err)
	}
	out, err := h.Run(t.Context(), tasks.Cmd{Argv: []string{"sh", "-c", "cat; echo err >&2; exit 3"}, Stdin: []byte("in")})
	if err != nil || out.Code != 3 || string(out.Stdout) != "in" || string(out.Stderr) != "err\n" {
		t.Errorf("the program ended with %+v: %v", out, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := h.Run(ctx, tasks.Cmd{Argv: []string{"sh", "-c", "echo >/etc/begun; sleep 600"}})
		ended <- err
	}()
	eventually(t, "the program runs", func() bool { return exists("/proc/" + b.target + "/root/etc/begun") })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled program: %v", err)
	}
	if left := b.sh(t, `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline; echo; done 2>/dev/null | grep '^sleep' || true`); left != "" {
		t.Errorf("the cancelled program still runs: %s", left)
	}
	if _, err := h.Stat("/etc/motd"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
