package bootcheck

import (
	"math"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestMountUnit_isSystemdsName(t *testing.T) {
	for at, want := range map[string]string{"/": "-.mount", "/mnt/pve/big": "mnt-pve-big.mount", "/mnt/a-b c": `mnt-a\x2db\x20c.mount`, "/.x": `\x2ex.mount`} {
		if got := mountUnit(at); got != want {
			t.Errorf("%s is %s, want %s", at, got, want)
		}
	}
}

func TestStartup_isProxmoxsOption(t *testing.T) {
	for text, want := range map[string][2]int{"": {math.MaxInt, 0}, "2": {2, 0}, "order=3,up=10,down=5": {3, 10}, "up=7": {math.MaxInt, 7}, "order=x,up=-1": {math.MaxInt, 0}, "1,2": {math.MaxInt, 0}} {
		if order, up := startup(text); order != want[0] || up != want[1] {
			t.Errorf("%q is %d, %d; want %v", text, order, up, want)
		}
	}
}

func TestModprobeMakes_whatItsArgumentsName(t *testing.T) {
	for args, want := range map[string]string{
		"":                 "/dev/nvidia0 /dev/nvidiactl",
		"-c 0 -c 1":        "/dev/nvidia0 /dev/nvidia1 /dev/nvidiactl",
		"-c=1":             "/dev/nvidia1 /dev/nvidiactl",
		"-c0 -u":           "/dev/nvidia-uvm",
		"-u":               "/dev/nvidia-uvm",
		"--unified-memory": "/dev/nvidia-uvm",
		"-m":               "/dev/nvidia-modeset",
		"-c 255":           "/dev/nvidiactl",
	} {
		var got []string
		for _, node := range []string{"/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl"} {
			if modprobeMakes(strings.Fields(args), node) {
				got = append(got, node)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("nvidia-modprobe %s makes %q, want %q", args, got, want)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add("/dev/sda1 / ext4 rw 0 0\n10.0.0.9:/x /mnt/a\\040b nfs4 _netdev,noauto 0 0\n# x /y z\n")
	f.Add("a /\\057 b\nUUID=1 none swap sw 0 0\n\\ /\\ \\\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range parseMounts(text) {
			if !strings.HasPrefix(m.at, "/") || m.at != "/" && strings.HasSuffix(m.at, "/") || m.kind == "" {
				t.Errorf("%q gives %+v", text, m)
			}
			if unit := mountUnit(m.at); strings.Contains(unit, "/") || path.Ext(unit) != ".mount" {
				t.Errorf("%q gives the unit %q", m.at, unit)
			}
		}
	})
}

func FuzzMakesCard(f *testing.F) {
	f.Add("/usr/bin/nvidia-modprobe -c 0 -c 255\n/usr/bin/nvidia-modprobe -u -c 0", "/dev/nvidia-uvm")
	f.Add("/usr/bin/nvidia-smi", "/dev/nvidia0")
	f.Fuzz(func(t *testing.T, text, node string) {
		if !isNVIDIA(node) || strings.Contains(text, node) {
			return
		}
		words := []string{"nvidia-modprobe", "nvidia-smi", "nvidia-persistenced"}
		if makesCard(text, node) != never && !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) }) {
			t.Errorf("%q makes %s", text, node)
		}
	})
}
