package sim

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestCreateWritesTheConfigurationWithDefaults(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	want := "arch: amd64\nhostname: CT900\nmemory: 512\nostype: debian\nrootfs: local:900/vm-900-disk-0.raw,size=1G\nswap: 512\n"
	if got := b.conf(900); got != want {
		t.Errorf("configuration\n%s\nwant\n%s", got, want)
	}
	if list := b.m.text(vmListFile); !strings.Contains(list, `"900": { "node": "pve", "type": "lxc"`) {
		t.Errorf("%s does not know the container:\n%s", vmListFile, list)
	}
}

func TestProxmox9MakesUnprivilegedContainersUnlessToldOtherwise(t *testing.T) {
	b := newBench(t, Options{Release: "9.1"})
	b.create()
	b.wantConf(900, "unprivileged: 1")
	b.must("pct", "create", "901", debian, "--rootfs", "local:1", "--unprivileged", "0")
	b.wantNoConf(901, "unprivileged")
}

func TestCreateKeepsAGivenHardwareAddressAndDrawsAMissingOne(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--net0", "type=veth,hwaddr=bc:24:11:aa:bb:cc,bridge=vmbr0,name=eth0", "--net1", "name=eth1,bridge=vmbr0")
	b.wantConf(900, "net0: name=eth0,bridge=vmbr0,hwaddr=bc:24:11:aa:bb:cc,type=veth")
	if !strings.Contains(b.conf(900), "net1: name=eth1,bridge=vmbr0,hwaddr=BC:24:11:") {
		t.Errorf("net1 has no address of Proxmox's prefix:\n%s", b.conf(900))
	}
}

func TestAFailedCreateLeavesNothingBehind(t *testing.T) {
	for name, tc := range map[string]struct {
		message string
		args    []string
	}{
		"template missing, seen only after the disk was made": {
			"unable to create CT 900 - volume 'local:vztmpl/nosuch.tar.zst' does not exist", []string{"local:vztmpl/nosuch.tar.zst", "--rootfs", "local:1"}},
		"source of a bind mount missing": {
			"unable to create CT 900 - directory '/nosuch' does not exist", []string{debian, "--rootfs", "local:1", "--mp0", "/nosuch,mp=/x"}},
		"second disk on a name that is no volume": {
			"unable to create CT 900 - unable to parse directory volume name 'abc'", []string{debian, "--rootfs", "local:1", "--mp0", "local:abc,mp=/x"}},
		"unknown storage": {"storage 'nosuch' does not exist", []string{debian, "--rootfs", "nosuch:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{})
			before := b.m.guests()
			b.refused(255, tc.message, append([]string{"pct", "create", "900"}, tc.args...)...)
			if len(before) != len(b.m.guests()) || b.m.exists("/var/lib/vz/images/900") || b.m.exists(guestDir(900)) {
				t.Error("something was left behind")
			}
		})
	}
}

func TestCreateOnAStorageWithoutRootdirIsRefused(t *testing.T) {
	b := newBench(t, Options{Layout: LayoutZFS})
	b.refused(2, "400 Parameter verification failed.\nstorage: storage 'local' does not support container directories", "pct", "create", "900", debian)
}

func TestASignalDuringTheUnpackCleansUp(t *testing.T) {
	b := newBench(t, Options{})
	if err := b.m.Fault(Fault{Kind: FaultHang, Program: "pct", Verb: "create", Point: "unpack"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	w := &signalWriter{seen: began}
	done := make(chan int)
	go func() {
		done <- b.m.Exec(ctx, []string{"pct", "create", "900", debian, "--rootfs", "local:1"}, Streams{Stdout: w})
	}()
	<-began
	cancel()
	if code := <-done; code != 255 {
		t.Errorf("exit %d, want 255", code)
	}
	if b.conf(900) != "" || b.m.exists("/var/lib/vz/images/900/vm-900-disk-0.raw") {
		t.Error("the interrupted create left something behind")
	}
}

func TestAKilledCreateLeavesTheLockMarkAndTheVolume(t *testing.T) {
	b := newBench(t, Options{})
	if err := b.m.Fault(Fault{Kind: FaultKill, Program: "pct", Verb: "create", Point: "unpack"}); err != nil {
		t.Fatal(err)
	}
	if r := b.run("pct", "create", "900", debian, "--rootfs", "local:1"); r.code != 137 {
		t.Fatalf("exit %d, want 137", r.code)
	}
	if got := b.conf(900); got != "lock: create\n" {
		t.Errorf("configuration %q", got)
	}
	if err := b.m.Heal(); err != nil {
		t.Fatal(err)
	}
	b.refused(255, "CT is locked (create)", "pct", "start", "900")
	b.must("pct", "unlock", "900")
	b.must("pct", "destroy", "900")
	if !b.m.exists("/var/lib/vz/images/900/vm-900-disk-0.raw") {
		t.Error("the orphaned volume is gone")
	}
	b.create()
	b.wantConf(900, "rootfs: local:900/vm-900-disk-1.raw,size=1G") // the lowest free number
}

func TestTheNumberOfAVirtualMachineIsTaken(t *testing.T) {
	b := newBench(t, Options{})
	if err := b.m.write("/etc/pve/nodes/pve/qemu-server/900.conf", []byte("cores: 1\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	b.refused(2, "VM 900 already exists on node 'pve'", "pct", "create", "900", debian)
}

func TestPublicKeysComeFromAFileOfTheHost(t *testing.T) {
	b := newBench(t, Options{})
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILrfsHpLAgAcf6SYfS00KYhJ2Zxd0rjfpAF3OniGYU56 root@pve\n"
	if err := os.WriteFile(b.m.path("/tmp/key.pub"), []byte(key), 0o644); err != nil {
		t.Fatal(err)
	}
	b.create("--ssh-public-keys", "/tmp/key.pub", "--start", "1")
	if got := b.must("pct", "exec", "900", "--", "cat", "/root/.ssh/authorized_keys"); got != block(key) {
		t.Errorf("authorized_keys is %q", got)
	}
	b.refused(2, "can't open '/nosuch' - No such file or directory", "pct", "create", "901", debian, "--ssh-public-keys", "/nosuch")
}
