package main

import (
	"strings"
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
		{"mount points and devices", "mp0: /srv/share,mp=/share,ro=1\nmp1: tank:900/vm-900-disk-1.raw,mp=/data,size=1G\ndev0: path=/dev/ttyS0\n",
			[]string{"lxc.mount.entry = /srv/share share none bind,create=dir,ro 0 0", "lxc.mount.entry = /var/lib/lxc/900/mp1 data none bind,create=dir 0 0",
				"lxc.mount.entry = /dev/ttyS0 dev/ttyS0 none bind,create=file 0 0"}, nil},
		{"raw lines come last", "lxc.cap.drop: sys_time\n", []string{"\nlxc.cap.drop = sys_time\n"}, nil},
		{"a snapshot's lines are not the container's", "arch: amd64\n\n[before]\nfeatures: nesting=1\n", nil, []string{"nesting.conf"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head := pve.ParseConfig([]byte(tc.config)).Head()
			got, err := translate(900, head.Values(), head.Raw())
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range tc.want {
				if !strings.Contains("\n"+got, "\n"+strings.Trim(line, "\n")+"\n") {
					t.Errorf("there is no %q in\n%s", line, got)
				}
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
	for _, config := range []string{"features: nesting=1,nesting=0\n", "net0: name=eth0,name=eth1\n", "mp0: /a,mp=/b,mp=/c\n"} {
		head := pve.ParseConfig([]byte(config)).Head()
		if got, err := translate(900, head.Values(), head.Raw()); err == nil {
			t.Errorf("%q is translated to\n%s", config, got)
		}
	}
}
