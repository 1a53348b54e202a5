package nvidia_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	release = "6.8.12-9-pve"
	newer   = "6.8.12-15-pve"
	url     = "https://us.download.nvidia.com/XFree86/Linux-x86_64/570.86.15/NVIDIA-Linux-x86_64-570.86.15.run"
)

// host is a simulated Proxmox host with two cards.
type host struct {
	taskstest.Machine
	sim  *sim.Machine
	root string
}

// installed is a host with the driver 550.54.15, by NVIDIA's installer, loaded.
func installed(t *testing.T) host {
	t.Helper()
	root := t.TempDir()
	m, err := sim.New(root, "pve1", sim.Options{Seed: 7, GPUs: 2})
	if err != nil {
		t.Fatal(err)
	}
	h := host{taskstest.Machine{Host: m.Host(), Digest: m.Digest}, m, root}
	h.put(t, "/etc/apt/sources.list.d/pve-no-subscription.list", "deb http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n")
	h.put(t, "/etc/apt/sources.list.d/cuda.sources", "Types: deb\nURIs: https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64\nSuites: /\n")
	h.run(t, "apt-get", "update") // fails for the enterprise archives, as on every such host
	return h
}

// bare is a host without any driver: as installed, with nouveau on the cards.
func bare(t *testing.T) host {
	t.Helper()
	h := installed(t)
	h.remove(t, "/var/lib/dkms", "/usr/lib/x86_64-linux-gnu", "/usr/bin/nvidia-uninstall", "/lib/modules/"+release+"/updates", "/sys/module/nvidia", "/proc/driver/nvidia")
	nodes, err := filepath.Glob(filepath.Join(h.root, "/dev/nvidia*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		h.remove(t, strings.TrimPrefix(n, h.root))
	}
	h.put(t, "/proc/modules", "nouveau 2871296 1 - Live 0x0000000000000000\n")
	return h
}

// idle is a bare host on which nouveau never got hold of the cards.
func idle(t *testing.T) host {
	t.Helper()
	h := bare(t)
	h.put(t, "/proc/modules", "zfs 6590464 6 - Live 0x0000000000000000 (PO)\n")
	return h
}

func (h host) run(t *testing.T, argv ...string) tasks.Output {
	t.Helper()
	out, err := h.Run(t.Context(), tasks.Cmd{Argv: argv})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (h host) put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(h.root, filepath.Dir(file)), 0o755); err != nil {
		t.Fatal(err)
	}
	taskstest.Put(t, h, file, text)
}

func (h host) remove(t *testing.T, files ...string) {
	t.Helper()
	for _, f := range files {
		if err := os.RemoveAll(filepath.Join(h.root, f)); err != nil {
			t.Fatal(err)
		}
	}
}

// kernel puts a newer kernel onto the host, with the headers that its package wants or
// without.
func (h host) kernel(t *testing.T, headers bool) {
	t.Helper()
	h.put(t, "/boot/vmlinuz-"+newer, "")
	h.put(t, "/lib/modules/"+newer+"/modules.dep", "")
	if headers {
		h.put(t, "/lib/modules/"+newer+"/build/Makefile", "")
		h.put(t, "/var/lib/dpkg/status", taskstest.Get(t, h, "/var/lib/dpkg/status")+
			"Package: proxmox-headers-"+newer+"\nStatus: install ok installed\nVersion: 6.8.12-15\nArchitecture: amd64\nDescription: headers\n\n")
	}
}

// checksum is that of the simulated installer.
func checksum(t *testing.T) string {
	t.Helper()
	h := installed(t)
	h.run(t, "curl", "--output", "/root/x.run", "--", url)
	sum, _, _ := strings.Cut(string(h.run(t, "sha256sum", "/root/x.run").Stdout), " ")
	return sum
}

func runfileSpec(t *testing.T, more string) string {
	return fmt.Sprintf(`{"driver":"570.86.15","install":"runfile","runfile":{"url":%q,"sha256":%q}%s}`, url, checksum(t), more)
}
