package sim

import (
	"os"
	"strings"
	"testing"
)

func TestStartAndStopShowInTheKernelsSockets(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	if b.m.running(900) {
		t.Fatal("a fresh container runs")
	}
	b.must("pct", "start", "900")
	if !strings.Contains(b.m.text(unixSockets), " @/var/lib/lxc/900/command\n") {
		t.Errorf("%s does not show the container:\n%s", unixSockets, b.m.text(unixSockets))
	}
	if out := b.must("pct", "status", "900"); out != "status: running\n" {
		t.Errorf("status prints %q", out)
	}
	b.refused(255, "CT 900 already running", "pct", "start", "900")
	b.must("pct", "stop", "900")
	if b.m.running(900) {
		t.Error("it still runs")
	}
	b.refused(255, "CT 900 not running", "pct", "stop", "900")
	b.refused(255, "CT 900 not running", "pct", "shutdown", "900")
	b.refused(255, "VM 900 not running", "pct", "reboot", "900")
}

func TestStartWritesTheGuestsOwnFilesAnew(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--hostname", "web.example.com", "--net0", "name=eth0,bridge=vmbr0,ip=10.0.0.5/24,gw=10.0.0.1", "--nameserver", "1.1.1.1", "--start", "1")
	read := func(file string) string { return b.must("pct", "exec", "900", "--", "cat", file) }
	if got := read("/etc/hostname"); got != "web\n" {
		t.Errorf("/etc/hostname is %q", got)
	}
	if got := read("/etc/resolv.conf"); got != block("nameserver 1.1.1.1\n") {
		t.Errorf("/etc/resolv.conf is %q", got)
	}
	if got := read("/etc/hosts"); !strings.HasSuffix(got, block("10.0.0.5 web.example.com web\n")) {
		t.Errorf("/etc/hosts is %q", got)
	}
	if got := read("/etc/network/interfaces"); !strings.Contains(got, "iface eth0 inet static\n\taddress 10.0.0.5/24\n\tgateway 10.0.0.1\n") {
		t.Errorf("/etc/network/interfaces is %q", got)
	}
	b.must("pct", "set", "900", "--hostname", "db")
	if got := b.must("pct", "exec", "900", "--", "hostname"); got != "web\n" {
		t.Errorf("the name changed before the next start: %q", got)
	}
	b.must("pct", "reboot", "900")
	if got := b.must("pct", "exec", "900", "--", "hostname"); got != "db\n" {
		t.Errorf("the name did not change at the next start: %q", got)
	}
}

func TestStartRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		message string
		spoil   func(b bench)
	}{
		"the bridge went away":   {"bridge 'vmbr0' does not exist", func(b bench) { b.remove("/sys/class/net/vmbr0") }},
		"the volume went away":   {"volume 'local:900/vm-900-disk-0.raw' does not exist", func(b bench) { b.remove("/var/lib/vz/images/900/vm-900-disk-0.raw") }},
		"the bind source is off": {"directory '/srv' does not exist", func(b bench) { b.remove("/srv") }},
		"it is a template":       {"you can't start a CT if it's a template", func(b bench) { b.must("pct", "set", "900", "--template", "1") }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{})
			b.create("--net0", "name=eth0,bridge=vmbr0", "--mp0", "/srv,mp=/srv")
			tc.spoil(b)
			b.refused(255, tc.message, "pct", "start", "900")
			if b.m.running(900) {
				t.Error("it runs all the same")
			}
		})
	}
}

func (b bench) remove(p string) {
	b.Helper()
	if err := os.RemoveAll(b.m.path(p)); err != nil {
		b.Fatal(err)
	}
}

func TestAGuestThatIgnoresShutdownKeepsRunningUnlessForced(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--start", "1")
	if err := os.Symlink("/dev/null", b.m.path(guestRoot(900)+"/etc/systemd/system/poweroff.target")); err != nil {
		t.Fatal(err)
	}
	r := b.run("pct", "shutdown", "900", "--timeout", "5")
	if r.code != 255 || r.errors != "container did not stop\n" || !b.m.running(900) {
		t.Errorf("shutdown: %+v", r)
	}
	b.must("pct", "shutdown", "900", "--timeout", "5", "--forceStop", "1")
	if b.m.running(900) {
		t.Error("it still runs")
	}
}

func TestDestroyRefusals(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--protection", "1", "--start", "1")
	b.refused(255, "can't remove CT 900 - protection mode enabled", "pct", "destroy", "900", "--force", "1")
	b.must("pct", "set", "900", "--protection", "0")
	b.refused(255, "unable to destroy CT 900 - container is running", "pct", "destroy", "900")
	if out := b.must("pct", "destroy", "900", "--force", "1", "--purge", "1"); out != "forced to stop CT 900 before destroying!\npurging CT 900 from related configurations..\n" {
		t.Errorf("destroy printed %q", out)
	}
	if b.conf(900) != "" || b.m.running(900) || strings.Contains(b.m.text(vmListFile), "900") || b.m.exists("/var/lib/vz/images/900") {
		t.Error("something is left")
	}
	b.refused(2, "Configuration file 'nodes/pve/lxc/900.conf' does not exist", "pct", "destroy", "900")
}

func TestDestroyTakesUnusedVolumesAndOrphansOnlyWhenAsked(t *testing.T) {
	b := newBench(t, Options{})
	orphan := "/var/lib/vz/images/900/vm-900-disk-7.raw"
	for _, args := range [][]string{nil, {"--destroy-unreferenced-disks", "1"}} {
		b.create("--mp0", "local:1,mp=/data")
		b.must("pct", "set", "900", "--delete", "mp0")
		if err := b.m.write(orphan, nil, 0o640); err != nil {
			t.Fatal(err)
		}
		b.must(append([]string{"pct", "destroy", "900"}, args...)...)
		if got := b.m.exists(orphan); got != (args == nil) {
			t.Errorf("with %v the orphan is there: %v", args, got)
		}
		if b.m.exists("/var/lib/vz/images/900/vm-900-disk-1.raw") {
			t.Errorf("with %v the unused volume is there", args)
		}
	}
}

func TestResizeOnlyGrows(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.must("pct", "resize", "900", "rootfs", "+1G")
	b.wantConf(900, "rootfs: local:900/vm-900-disk-0.raw,size=2G")
	if st, err := os.Stat(b.m.path("/var/lib/vz/images/900/vm-900-disk-0.raw")); err != nil || st.Size() != 2*gibi {
		t.Errorf("the volume: %v, %v", st, err)
	}
	b.refused(255, "unable to shrink disk size", "pct", "resize", "900", "rootfs", "1G")
	b.refused(255, "disk is already at specified size", "pct", "resize", "900", "rootfs", "2G")
	b.refused(2, "size: value does not match the regex pattern", "pct", "resize", "900", "rootfs", "1X")
	b.refused(2, "disk 'mp0' does not exist", "pct", "resize", "900", "mp0", "+1G")
}

func TestTwoMachinesServeTheSameTree(t *testing.T) {
	b := newBench(t, Options{})
	other, err := New(b.m.Root, "pve", Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.create("--start", "1")
	twin := bench{t, other}
	if out := twin.must("pct", "status", "900"); out != "status: running\n" {
		t.Errorf("the other machine sees %q", out)
	}
	twin.must("pct", "stop", "900")
	if b.m.running(900) {
		t.Error("the first machine does not see that the other stopped the container")
	}
}
