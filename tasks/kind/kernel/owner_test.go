package kernel_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestGolden_itsOwnersReadIt has modprobe and sysctl, which change nothing when asked
// so, read the golden files.
func TestGolden_itsOwnersReadIt(t *testing.T) {
	for _, tc := range []struct {
		argv  []string
		lines []string
	}{
		{[]string{"modprobe", "-C", "testdata/modprobe.conf", "--showconfig"}, []string{
			"blacklist nouveau", "blacklist pcspkr", "options nouveau modeset=0", "options vfio_pci ids=10de:2204,10de:1aef disable_vga=1",
		}},
		{[]string{"sysctl", "--dry-run", "-p", "testdata/sysctl.conf"}, []string{
			"net.bridge.bridge-nf-call-iptables = 0", "net.ipv4.ip_local_port_range = 1024 65535", "vm.swappiness = 10",
		}},
	} {
		out, err := exec.CommandContext(t.Context(), tc.argv[0], tc.argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s (apt-get install kmod procps)", tc.argv, err, out)
		}
		for _, want := range tc.lines {
			if !slices.Contains(strings.Split(string(out), "\n"), want) {
				t.Errorf("%v does not show %q:\n%s", tc.argv, want, out)
			}
		}
	}
}
