package sim

import (
	"strings"
	"testing"
)

func TestSetOnAStoppedContainerAppliesAtOnce(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.must("pct", "set", "900", "--memory", "768", "--features", "nesting=1,fuse=1", "--nameserver", "1.1.1.1,9.9.9.9", "--tags", "Web,prod;web")
	b.wantConf(900, "memory: 768", "features: nesting=1,fuse=1", "nameserver: 1.1.1.1 9.9.9.9", "tags: prod;web")
	b.wantNoConf(900, "[pve:pending]")
	b.must("pct", "set", "900", "--delete", "features,tags")
	b.wantNoConf(900, "features", "tags")
}

func TestEachWriteOfAnInterfaceWithoutAddressDrawsANewOne(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--net0", "name=eth0,bridge=vmbr0,ip=dhcp")
	before := b.conf(900)
	b.must("pct", "set", "900", "--net0", "name=eth0,bridge=vmbr0,ip=dhcp")
	if b.conf(900) == before {
		t.Error("the hardware address stayed")
	}
}

func TestAskingForAVolumeAgainMakesASecondOne(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.must("pct", "set", "900", "--mp0", "local:1,mp=/data")
	b.wantConf(900, "mp0: local:900/vm-900-disk-1.raw,mp=/data,size=1G")
	b.must("pct", "set", "900", "--mp0", "local:1,mp=/data")
	b.wantConf(900, "mp0: local:900/vm-900-disk-2.raw,mp=/data,size=1G", "unused0: local:900/vm-900-disk-1.raw")
	b.must("pct", "set", "900", "--mp0", "local:900/vm-900-disk-2.raw,mp=/data,backup=1")
	b.wantConf(900, "mp0: local:900/vm-900-disk-2.raw,mp=/data,backup=1,size=1G")
	b.must("pct", "set", "900", "--delete", "unused0")
	if b.m.exists("/var/lib/vz/images/900/vm-900-disk-1.raw") {
		t.Error("deleting unused0 kept the volume")
	}
}

func TestDeletingAMountPointKeepsAVolumeAndForgetsABindMount(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--mp0", "local:1,mp=/data", "--mp1", "/srv,mp=/srv")
	b.must("pct", "set", "900", "--delete", "mp0,mp1")
	b.wantNoConf(900, "mp0", "mp1")
	b.wantConf(900, "unused0: local:900/vm-900-disk-1.raw")
	if strings.Contains(b.conf(900), "unused1") {
		t.Error("the bind mount became a volume")
	}
}

func TestRootfsInSetIsTakenLiterallyAndBreaksTheContainer(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	b.must("pct", "set", "900", "--rootfs", "local:2")
	b.wantConf(900, "rootfs: local:2")
	b.refused(255, "unable to parse directory volume name '2'", "pct", "start", "900")
	b.refused(255, "unable to parse directory volume name '2'", "pct", "destroy", "900")
}

func TestSetRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		code    int
		message string
		args    []string
	}{
		"nothing to do":                  {2, "no options specified", nil},
		"a digest alone is nothing":      {2, "no options specified", []string{"--digest", "00"}},
		"unprivileged":                   {255, "unable to modify read-only option: 'unprivileged'", []string{"--unprivileged", "1"}},
		"deleting what is required":      {255, "unable to delete required option 'rootfs'", []string{"--delete", "rootfs"}},
		"deleting an unknown option":     {255, "delete: unknown option 'nosuch'", []string{"--delete", "nosuch"}},
		"an old digest":                  {255, "detected modified configuration - file changed by other user? Try again.", []string{"--digest", "00", "--memory", "64"}},
		"a bridge that is not there":     {2, "bridge 'vmbr77' does not exist", []string{"--net0", "name=eth0,bridge=vmbr77"}},
		"a device that is not there":     {2, "Device /dev/nosuch does not exist", []string{"--dev0", "/dev/nosuch"}},
		"a script that is not there":     {2, "script 'local:snippets/x.sh' does not exist", []string{"--hookscript", "local:snippets/x.sh"}},
		"a volume on an unknown storage": {255, "storage 'nosuch' does not exist", []string{"--mp0", "nosuch:1,mp=/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{})
			b.create()
			before := b.conf(900)
			b.refused(tc.code, tc.message, append([]string{"pct", "set", "900"}, tc.args...)...)
			if b.conf(900) != before {
				t.Errorf("the configuration changed:\n%s", b.conf(900))
			}
		})
	}
}

func TestSetAgainstTheRightDigestPasses(t *testing.T) {
	b := newBench(t, Options{})
	b.create()
	cfg, _ := parseConfig(900, []byte(b.conf(900)))
	b.must("pct", "set", "900", "--digest", cfg.digest, "--memory", "64")
	b.wantConf(900, "memory: 64")
}

func TestWhatARunningContainerTakesLive(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--net0", "name=eth0,bridge=vmbr0", "--start", "1")
	for _, option := range [][2]string{
		{"memory", "64"}, {"swap", "64"}, {"cores", "1"}, {"cpulimit", "0.5"}, {"cpuunits", "50"}, {"hostname", "other"}, {"tags", "a"},
		{"onboot", "1"}, {"startup", "order=1"}, {"protection", "0"}, {"mp0", "/srv,mp=/srv"},
	} {
		b.must("pct", "set", "900", "--"+option[0], option[1])
		b.wantConf(900, option[0]+": "+option[1])
	}
	b.must("pct", "set", "900", "--net1", "name=eth1,bridge=vmbr1")
	b.must("pct", "set", "900", "--delete", "net0")
	b.wantNoConf(900, "net0", "[pve:pending]")
}

func TestWhatARunningContainerOnlyTakesAtItsNextStart(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--mp0", "local:1,mp=/data", "--start", "1")
	b.must("pct", "set", "900", "--features", "nesting=1", "--tty", "3", "--nameserver", "1.1.1.1", "--dev0", "/dev/null", "--mp0", "local:900/vm-900-disk-1.raw,mp=/other")
	cfg, _ := parseConfig(900, []byte(b.conf(900)))
	for _, key := range []string{"features", "tty", "nameserver", "dev0", "mp0"} {
		if _, ok := cfg.pending.keys[key]; !ok {
			t.Errorf("%s is not pending:\n%s", key, b.conf(900))
		}
	}
	if out := b.must("pct", "config", "900"); !strings.Contains(out, "tty: 3\n") {
		t.Errorf("config hides what is pending:\n%s", out)
	}
	if out := b.must("pct", "config", "900", "--current", "1"); strings.Contains(out, "tty") {
		t.Errorf("config --current shows what is pending:\n%s", out)
	}
	if out := b.must("pct", "pending", "900"); !strings.Contains(out, "new tty: 3\n") || !strings.Contains(out, "cur mp0: ") {
		t.Errorf("pending prints\n%s", out)
	}
	b.must("pct", "reboot", "900")
	b.wantNoConf(900, "[pve:pending]")
	b.wantConf(900, "features: nesting=1", "tty: 3", "mp0: local:900/vm-900-disk-1.raw,mp=/other,size=1G")
}

func TestProxmox9PlugsANewDeviceLive(t *testing.T) {
	b := newBench(t, Options{Release: "9.1"})
	b.create("--start", "1")
	b.must("pct", "set", "900", "--dev0", "/dev/null")
	b.wantNoConf(900, "[pve:pending]")
	b.wantConf(900, "dev0: /dev/null")
}

func TestDeletesOnARunningContainerWaitAndCanBeReverted(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--features", "nesting=1", "--start", "1")
	b.must("pct", "set", "900", "--delete", "features")
	if out := b.must("pct", "pending", "900"); !strings.Contains(out, "del features: nesting=1\n") {
		t.Errorf("pending prints\n%s", out)
	}
	b.must("pct", "set", "900", "--revert", "features")
	b.wantNoConf(900, "[pve:pending]", "delete")
	b.must("pct", "set", "900", "--delete", "features")
	b.must("pct", "stop", "900")
	b.wantNoConf(900, "features", "[pve:pending]")
}

func TestAFailedHotChangeOfAnInterfacePoisonsItUntilReverted(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--net0", "name=eth0,bridge=vmbr0", "--start", "1")
	const message = "400 Parameter verification failed.\nnet0: unable to hotplug net0: bridge 'vmbr77' does not exist\n\n"
	b.refused(2, message, "pct", "set", "900", "--memory", "64", "--net0", "name=eth0,bridge=vmbr77")
	b.wantConf(900, "memory: 512", "[pve:pending]", "net0: name=eth0,bridge=vmbr77")
	b.refused(2, message, "pct", "set", "900", "--net0", "name=eth0,bridge=vmbr0")
	b.must("pct", "set", "900", "--memory", "64")
	b.must("pct", "set", "900", "--revert", "net0")
	b.must("pct", "set", "900", "--net0", "name=eth0,bridge=vmbr0")
	b.wantConf(900, "memory: 64")
	b.wantNoConf(900, "[pve:pending]")
}

func TestAFailedHotAddOfANewInterfaceLeavesNothing(t *testing.T) {
	b := newBench(t, Options{})
	b.create("--start", "1")
	b.refused(2, "unable to hotplug net5", "pct", "set", "900", "--net5", "name=eth5,bridge=vmbr77")
	b.wantNoConf(900, "net5", "[pve:pending]")
}
