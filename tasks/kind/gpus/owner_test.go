package gpus

import (
	"strings"
	"testing"
	"unicode/utf8"

	"phoenix/tasks/pve"
)

const id = "4c01db0b339c2e1b8e4a0b1f6c1c1b8f8a64d7a0f2ce3f2b7e3b1f0e9d8c7b6a"

func TestOwnerOf(t *testing.T) {
	for _, c := range []struct {
		name, text  string
		ctid        int
		runtime, id string
	}{
		{"a service in a container", "0::/lxc/900/ns/system.slice/ollama.service\n", 900, "", ""},
		{"the container's first process", "0::/lxc/1000/ns/init.scope\n", 1000, "", ""},
		{"a container of LXC's own", "0::/lxc.payload.900/system.slice/x.service\n", 900, "", ""},
		{"Docker with systemd", "0::/lxc/900/ns/system.slice/docker-" + id + ".scope\n", 900, "docker", id},
		{"Docker with cgroupfs", "0::/lxc/900/ns/docker/" + id + "\n", 900, "docker", id},
		{"Podman", "0::/lxc/900/ns/machine.slice/libpod-" + id + ".scope/container\n", 900, "podman", id},
		{"Podman's watcher is none", "0::/lxc/900/ns/machine.slice/libpod-conmon-" + id + ".scope\n", 900, "", ""},
		{"containerd", "0::/kubepods.slice/cri-containerd-" + id + ".scope\n", 0, "containerd", id},
		{"Docker on the host", "0::/system.slice/docker-" + id + ".scope\n", 0, "docker", id},
		{"the host", "0::/user.slice/user-0.slice/session-1.scope\n", 0, "", ""},
		{"LXC's monitor is the host's", "0::/lxc.monitor/900\n", 0, "", ""},
		{"cgroup v1", "12:pids:/lxc/900/ns/docker/" + id + "\n5:devices:/lxc/900/ns/docker/" + id + "\n1:name=systemd:/lxc/900/ns/docker/" + id + "\n0::/\n", 900, "docker", id},
		{"v1 where some hierarchies have no group", "12:pids:/\n5:devices,cpu:/lxc/900/ns\n", 900, "", ""},
		{"a guest that makes a group of another container's name", "0::/lxc/900/ns/lxc/901/ns\n", 900, "", ""},
		{"a group of the host's that is called like a container", "0::/user.slice/lxc/901/ns\n", 0, "", ""},
		{"a colon in a group's name", "0::/lxc/900/ns/a:/lxc/901/b\n", 900, "", ""},
		{"a short ID", "0::/lxc/900/ns/docker/4c01db0b339c\n", 900, "", ""},
		{"a number that is none of a container", "0::/lxc/90/ns\n", 0, "", ""},
		{"nothing", "", 0, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctid, runtime, id := ownerOf(c.text)
			if ctid != c.ctid || runtime != c.runtime || id != c.id {
				t.Errorf("got %d, %q, %q", ctid, runtime, id)
			}
		})
	}
}

func FuzzOwnerOf(f *testing.F) {
	f.Add("system.slice/docker-" + id + ".scope")
	f.Add("x\n0::/lxc/901/ns")
	f.Add("../../lxc/901/ns:/lxc/902/")
	f.Fuzz(func(t *testing.T, below string) {
		// A group's name has no line break: the kernel refuses to make one.
		below = strings.ReplaceAll(below, "\n", "")
		for _, text := range []string{"0::/lxc/900/ns/" + below + "\n", "7:cpu,cpuacct:/lxc/900/ns/" + below + "\n0::/\n"} {
			ctid, runtime, inner := ownerOf(text)
			if ctid != 900 || (inner == "") != (runtime == "") || inner != "" && len(inner) != 64 {
				t.Errorf("%q is read as %d, %q, %q", text, ctid, runtime, inner)
			}
		}
	})
}

func FuzzPrintable(f *testing.F) {
	f.Add("python3\n")
	f.Add("a\x1b[2Jb\u202ec\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := printable(text)
		if !utf8.ValidString(got) || pve.HasControl(got) || len(got) > maxName {
			t.Errorf("%q is shown as %q", text, got)
		}
	})
}
