package sim

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// debian is the template that a fresh machine has.
const debian = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"

// bench is a machine with a short way to run programs on it.
type bench struct {
	*testing.T
	m *Machine
}

func newBench(t *testing.T, o Options) bench {
	t.Helper()
	if o.Layout == "" {
		o.Layout = LayoutRecorded
	}
	m, err := New(t.TempDir(), "pve", o)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.write("/sys/module/apparmor/parameters/enabled", []byte("Y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return bench{t, m}
}

// result is what a program left.
type result struct {
	code        int
	out, errors string
}

func (b bench) run(argv ...string) result {
	return b.runContext(context.Background(), argv...)
}

func (b bench) runContext(ctx context.Context, argv ...string) result {
	var out, errs bytes.Buffer
	code := b.m.Exec(ctx, argv, Streams{Stdout: &out, Stderr: &errs})
	return result{code, out.String(), errs.String()}
}

// must runs a program that has to succeed and returns what it printed.
func (b bench) must(argv ...string) string {
	b.Helper()
	r := b.run(argv...)
	if r.code != 0 {
		b.Fatalf("%s: exit %d: %s%s", strings.Join(argv, " "), r.code, r.out, r.errors)
	}
	return r.out
}

// refused runs a program that has to fail with a message.
func (b bench) refused(code int, message string, argv ...string) {
	b.Helper()
	r := b.run(argv...)
	if r.code != code || !strings.Contains(r.errors, message) {
		b.Errorf("%s: exit %d, %q; want exit %d with %q", strings.Join(argv, " "), r.code, r.errors, code, message)
	}
}

// conf returns the configuration file of a container.
func (b bench) conf(id int) string { return b.m.text(b.m.confPath(id)) }

func (b bench) wantConf(id int, lines ...string) {
	b.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+b.conf(id), "\n"+line+"\n") {
			b.Errorf("configuration lacks %q:\n%s", line, b.conf(id))
		}
	}
}

func (b bench) wantNoConf(id int, keys ...string) {
	b.Helper()
	for _, key := range keys {
		if strings.Contains("\n"+b.conf(id), "\n"+key) {
			b.Errorf("configuration has %q:\n%s", key, b.conf(id))
		}
	}
}

func (b bench) create(args ...string) {
	b.Helper()
	b.must(append([]string{"pct", "create", "900", debian, "--rootfs", "local:1"}, args...)...)
}

func TestOptionsAreReadAsPerlReadsThem(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"with two dashes and a blank":       {[]string{"--hostname", "a1"}, "hostname: a1"},
		"with one dash":                     {[]string{"-hostname", "a1"}, "hostname: a1"},
		"with an equals sign":               {[]string{"--hostname=a1"}, "hostname: a1"},
		"by a unique beginning":             {[]string{"--host", "a1"}, "hostname: a1"},
		"twice: the last one wins":          {[]string{"--memory", "64", "--memory", "128"}, "memory: 128"},
		"a boolean as a word is normalised": {[]string{"--onboot", "yes"}, "onboot: 1"},
		"a boolean without a value":         {[]string{"--onboot", "--memory", "64"}, "onboot: 1"},
		"in any letter case":                {[]string{"--HostName", "a1"}, "hostname: a1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{})
			b.create(tc.args...)
			b.wantConf(900, tc.want)
		})
	}
}

func TestAmbiguousAndUnknownOptionsAreRefused(t *testing.T) {
	b := newBench(t, Options{})
	b.refused(2, "Option s is ambiguous", "pct", "create", "900", debian, "--s", "1")
	b.refused(2, "Option net is ambiguous", "pct", "create", "900", debian, "--net", "name=eth0")
	b.refused(2, "Unknown option: net32\n400 unable to parse option", "pct", "create", "900", debian, "--net32", "name=eth0")
	b.refused(2, "400 not enough arguments", "pct", "create", "900")
	b.refused(2, "400 too many arguments", "pct", "start", "900", "901")
}

func TestAllBadParametersAreReportedTogetherInOrder(t *testing.T) {
	b := newBench(t, Options{})
	b.refused(2, "400 Parameter verification failed.\ncores: value must have a minimum value of 1\n"+
		"memory: type check ('integer') failed - got '1G'\nswap: value must have a minimum value of 0\npct create <vmid>",
		"pct", "create", "900", debian, "--swap", "-1", "--memory", "1G", "--cores", "0")
	if b.conf(900) != "" {
		t.Error("a refused create left a configuration")
	}
}

func TestALockThatStaysTakenEndsTheProgramAfterTheTimeout(t *testing.T) {
	b := newBench(t, Options{LockTimeout: 30 * time.Millisecond})
	b.create()
	c := &call{m: b.m, ctx: t.Context(), err: os.Stderr}
	unlock, err := c.lockConfig(900)
	if err != nil {
		t.Fatal(err)
	}
	const message = "can't lock file '/run/lock/lxc/pve-config-900.lock' - got timeout"
	b.refused(4, "trying to acquire lock...\n"+message, "pct", "set", "900", "--memory", "64")
	r := b.run("pct", "start", "900")
	if r.code != 255 || r.out != "trying to acquire lock...\n" || r.errors != message+"\n" {
		t.Errorf("start while locked: %+v", r)
	}
	unlock()
	b.must("pct", "set", "900", "--memory", "64")
}

func TestAProgramWaitsForALockThatIsFreedInTime(t *testing.T) {
	b := newBench(t, Options{LockTimeout: time.Minute})
	b.create()
	c := &call{m: b.m, ctx: t.Context(), err: os.Stderr}
	unlock, err := c.lockConfig(900)
	if err != nil {
		t.Fatal(err)
	}
	waiting := &signalWriter{seen: make(chan struct{})}
	done := make(chan int, 1)
	go func() {
		done <- b.m.Exec(t.Context(), []string{"pct", "set", "900", "--memory", "64"}, Streams{Stderr: waiting})
	}()
	select {
	case <-waiting.seen:
	case code := <-done:
		t.Fatalf("it did not wait for the lock, but ended with %d", code)
	}
	unlock()
	if code := <-done; code != 0 {
		t.Errorf("exit %d", code)
	}
	if got := waiting.text.String(); got != "trying to acquire lock...\n OK\n" {
		t.Errorf("printed %q", got)
	}
	b.wantConf(900, "memory: 64")
}

// signalWriter closes seen at the first write.
type signalWriter struct {
	text bytes.Buffer
	seen chan struct{}
}

func (w *signalWriter) Write(p []byte) (int, error) {
	if w.text.Len() == 0 {
		close(w.seen)
	}
	return w.text.Write(p)
}

func TestALockMarkRefusesEverythingButUnlock(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.must("pct", "set", "900", "--lock", "backup")
	for _, verb := range [][]string{{"start", "900"}, {"set", "900", "--memory", "64"}, {"destroy", "900"}, {"resize", "900", "rootfs", "+1G"}, {"clone", "900", "901"}} {
		b.refused(255, "CT is locked (backup)", append([]string{"pct"}, verb...)...)
	}
	b.must("pct", "unlock", "900")
	b.wantNoConf(900, "lock:")
	b.refused(255, "no lock found trying to remove any lock", "pct", "unlock", "900")
}
