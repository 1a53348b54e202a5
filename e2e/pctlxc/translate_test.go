package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"phoenix/tasks/pve"
)

func TestTranslate(t *testing.T) {
	for _, tc := range []struct {
		name, config string
		want, not    []string
	}{
		{"a privileged container keeps the host's users", "arch: amd64\nhostname: one\n",
			[]string{"lxc.include = /usr/share/lxc/config/common.conf", "lxc.uts.name = one", "lxc.net.0.type = empty", "lxc.cgroup.dir.container = lxc/900"},
			[]string{"lxc.idmap", "userns.conf", "nesting.conf"}},
		{"an unprivileged container has users of its own", "unprivileged: 1\n",
			[]string{"lxc.include = /usr/share/lxc/config/userns.conf", "lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 100000 65536"}, []string{"nesting.conf"}},
		{"nesting and FUSE", "features: nesting=1,fuse=1\n",
			[]string{"lxc.include = /usr/share/lxc/config/nesting.conf", "lxc.mount.entry = /dev/fuse dev/fuse none bind,create=file 0 0"}, nil},
		{"features that are off", "features: nesting=0,fuse=0\n", nil, []string{"nesting.conf", "/dev/fuse"}},
		{"interfaces are those of the bridge, by their numbers", "net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,ip=10.77.0.10/24,gw=10.77.0.1,type=veth\nnet3: name=lan,bridge=vmbr1,mtu=1400\n",
			[]string{"lxc.net.0.type = veth", "lxc.net.0.link = vmbr0", "lxc.net.0.name = eth0", "lxc.net.0.hwaddr = BC:24:11:00:00:01", "lxc.net.0.veth.pair = veth900i0",
				"lxc.net.3.link = vmbr1", "lxc.net.3.name = lan", "lxc.net.3.mtu = 1400"}, []string{"10.77", "empty"}},
		{"mount points", "mp0: /srv/share,mp=/share,ro=1\nmp1: tank:900/vm-900-disk-1.raw,mp=/data,size=1G\n",
			[]string{"lxc.mount.entry = /srv/share share none bind,create=dir,ro 0 0", "lxc.mount.entry = /var/lib/lxc/900/mp1 data none bind,create=dir 0 0"}, nil},
		{"a device is a node of the container's own, and permitted", "dev0: /dev/nvidia1,mode=0666\n",
			[]string{"lxc.cgroup2.devices.allow = c 195:1 rw", "lxc.mount.entry = /var/lib/lxc/900/passthrough/dev/nvidia1 dev/nvidia1 none bind,create=file 0 0"}, []string{"entry = /dev/nvidia1"}},
		{"one that is only read, and a disk", "dev0: path=/dev/nvidia1,deny-write=1\ndev1: /dev/sdx\n",
			[]string{"lxc.cgroup2.devices.allow = c 195:1 r", "lxc.cgroup2.devices.allow = b 8:368 rw"}, nil},
		{"an unprivileged one keeps the devices of everybody", "unprivileged: 1\ndev0: /dev/nvidia1\n",
			[]string{"lxc.cgroup2.devices.allow = c 1:3 rw", "lxc.cgroup2.devices.allow = c 195:1 rw"}, nil},
		{"an unprivileged one without devices is permitted what LXC permits", "unprivileged: 1\n", nil, []string{"devices.allow"}},
		{"raw lines come last", "lxc.cap.drop: sys_time\n", []string{"\nlxc.cap.drop = sys_time\n"}, nil},
		{"a snapshot's lines are not the container's", "arch: amd64\n\n[before]\nfeatures: nesting=1\n", nil, []string{"nesting.conf"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head := pve.ParseConfig([]byte(tc.config)).Head()
			got, err := translate(900, head.Values(), head.Raw(), looked)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range tc.want {
				if !strings.Contains("\n"+got, "\n"+strings.Trim(line, "\n")+"\n") {
					t.Errorf("there is no %q in\n%s", line, got)
				}
			}
			if head, _, _ := strings.Cut(got, "lxc.rootfs.path"); strings.Count(head, "devices.allow") != strings.Count(got, "devices.allow") {
				t.Errorf("what a device may is written behind the root file system, where raw options stand:\n%s", got)
			}
			for _, text := range tc.not {
				if strings.Contains(got, text) {
					t.Errorf("there is %q in\n%s", text, got)
				}
			}
		})
	}
}

func TestTranslateRefusesWhatItCannotRead(t *testing.T) {
	for _, config := range []string{"features: nesting=1,nesting=0\n", "net0: name=eth0,name=eth1\n", "mp0: /a,mp=/b,mp=/c\n", "dev0: /dev/null,mode=rw\n", "dev0: /dev/null,uid=root\n", "dev0: /dev/nosuch\n", "dev0: /etc/passwd\n"} {
		head := pve.ParseConfig([]byte(config)).Head()
		if got, err := translate(900, head.Values(), head.Raw(), looked); err == nil {
			t.Errorf("%q is translated to\n%s", config, got)
		}
	}
}

// looked is what the nodes of the test are, and all others as they are.
func looked(path string) (node, error) {
	switch path {
	case "/dev/nvidia1":
		return node{kind: "c", major: 195, minor: 1}, nil
	case "/dev/sdx":
		return node{kind: "b", major: 8, minor: 368}, nil
	}
	return lookAt(path)
}

func TestLookAtTellsTheNumbersOfANode(t *testing.T) {
	for path, want := range map[string][2]uint64{"/dev/null": {1, 3}, "/dev/urandom": {1, 9}, "/dev/tty": {5, 0}} {
		if n, err := lookAt(path); err != nil || n.kind != "c" || [2]uint64{n.major, n.minor} != want {
			t.Errorf("%s is %+v, %v; want c %v", path, n, err, want)
		}
	}
	// A minor number of more than 8 bits lies on both sides of the major number.
	at := filepath.Join(t.TempDir(), "node")
	if err := syscall.Mknod(at, syscall.S_IFBLK|0o600, 8<<8|368&0xff|(368&^0xff)<<12); err != nil {
		t.Fatalf("make a node: %v (this needs root)", err)
	}
	if n, err := lookAt(at); err != nil || n.kind != "b" || n.major != 8 || n.minor != 368 {
		t.Errorf("it is %+v, %v", n, err)
	}
}
