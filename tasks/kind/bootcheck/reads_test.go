package bootcheck_test

import (
	"fmt"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/bootcheck"
	"phoenix/tasks/sim"
)

// counting counts what is asked of a host.
type counting struct {
	tasks.Host
	asked map[string]int
}

func (c counting) ReadFile(p string) ([]byte, error) { c.asked[p]++; return c.Host.ReadFile(p) }

func (c counting) ReadDir(p string) ([]string, error) { c.asked[p]++; return c.Host.ReadDir(p) }

func TestWhatMakesDevicesIsReadOnceForAllContainers(t *testing.T) {
	r := newRig(t, sim.LayoutLVM, 2)
	r.enable("nodes.service", "multi-user.target", "[Service]\nExecStart=/usr/bin/nvidia-modprobe -c 0 -c 255\n")
	r.put("/etc/udev/rules.d/9.rules", "KERNEL==\"x\", RUN+=\"/bin/mknod /dev/mine c 1 2\"\n")
	r.put("/etc/tmpfiles.d/mine.conf", "c /dev/other 0666 root root - 10:5\n")
	var lines string
	for i, node := range []string{"/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/mine", "/dev/other", "/dev/nobody"} {
		if !strings.HasPrefix(node, "/dev/nvidia") {
			r.put(node, "")
		}
		lines += fmt.Sprintf("dev%d: %s\n", i, node)
	}
	r.lineOf(900, lines)
	r.lineOf(901, lines)
	h := counting{r.h, make(map[string]int)}
	d, err := (&bootcheck.Spec{}).Task().Check(t.Context(), h)
	if err != nil || !d.Has("900.dev5") || !d.Has("901.dev5") || d.Has("901.dev3") {
		t.Errorf("%v, %+v", err, d)
	}
	for p, most := range map[string]int{
		"/etc/udev/rules.d": 1, "/etc/udev/rules.d/9.rules": 1, "/etc/systemd/system/nodes.service.d": 3, "/sys/class": 4, "/etc/tmpfiles.d/mine.conf": 4,
	} {
		if n := h.asked[p]; n == 0 || n > most {
			t.Errorf("%s is read %d times, want 1 to %d", p, n, most)
		}
	}
}
