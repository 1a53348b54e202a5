package gpu_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"phoenix/tasks/gpu"
	"phoenix/tasks/taskstest"
)

// TestCard_generationsAreThoseOfPCIIDs holds the two borders against every chip of
// NVIDIA's in pci.ids of 2023-04-10, by the generation in its name.
func TestCard_generationsAreThoseOfPCIIDs(t *testing.T) {
	data, err := os.ReadFile("testdata/pci.ids")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		id, name, _ := strings.Cut(line, " ")
		device, err := strconv.ParseInt(id, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		c := gpu.Card{Device: int(device)}
		old := slices.Contains([]string{"GK", "GM", "GP", "GV"}, name[:2])
		if c.ClosedOnly() != old || c.OpenOnly() {
			t.Errorf("%s: closed only %t, open only %t", strings.TrimSpace(line), c.ClosedOnly(), c.OpenOnly())
		}
		n++
	}
	if n < 500 {
		t.Errorf("pci.ids has %d chips", n)
	}
	// Blackwell is younger than the file: B200, GB200, RTX PRO 6000, 5090, 5080, 5060 Ti,
	// 5070, B300.
	for _, device := range []int{0x2901, 0x2941, 0x2bb1, 0x2b85, 0x2c02, 0x2d04, 0x2f04, 0x3182} {
		if c := (gpu.Card{Device: device}); c.ClosedOnly() || !c.OpenOnly() {
			t.Errorf("%s is not taken for Blackwell", c)
		}
	}
}

func TestCards_areDisplaysOfNVIDIA(t *testing.T) {
	device := func(files map[string]string, at, vendor, id, class string) {
		dir := "/sys/bus/pci/devices/" + at + "/"
		files[dir+"vendor"], files[dir+"device"], files[dir+"class"] = vendor+"\n", id+"\n", class+"\n"
	}
	files := map[string]string{"/sys/bus/pci/devices/0000:02:00.0/driver": "-> ../../../../bus/pci/drivers/vfio-pci"}
	device(files, "0000:02:00.0", "0x10de", "0x2330", "0x030200")
	device(files, "0000:01:00.0", "0x10de", "0x2684", "0x030000")
	device(files, "0000:01:00.1", "0x10de", "0x22ba", "0x040300")
	device(files, "0000:00:02.0", "0x8086", "0x4680", "0x030000")
	got, err := gpu.Cards(taskstest.NewTree(t, files))
	want := []gpu.Card{{Address: "0000:01:00.0", Device: 0x2684}, {Address: "0000:02:00.0", Device: 0x2330, Driver: "vfio-pci"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	device(files, "0000:03:00.0", "what", "0x2330", "0x030200")
	if got, err := gpu.Cards(taskstest.NewTree(t, files)); err == nil {
		t.Errorf("a vendor that is no number gives %v", got)
	}
}

func TestLoaded_readsBothFlavours(t *testing.T) {
	for banner, want := range map[string]bool{
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n":                                      false,
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (dvs-builder@U22-I3-B12-02-5)  Tue Mar  5\n": true,
	} {
		h := taskstest.NewTree(t, map[string]string{"/sys/module/nvidia/version": "550.54.15\n", "/proc/driver/nvidia/version": banner})
		if v, open, err := gpu.Loaded(h); v != "550.54.15" || open != want || err != nil {
			t.Errorf("%q is read as %s, open %t, %v", banner, v, open, err)
		}
	}
	if v, _, err := gpu.Loaded(taskstest.NewTree(t, nil)); v != "" || err != nil {
		t.Errorf("nothing loaded is read as %q, %v", v, err)
	}
}

func TestModuleFile_findsWhatDKMSAndPackagesMake(t *testing.T) {
	for _, file := range []string{"updates/dkms/nvidia.ko", "updates/dkms/nvidia-current.ko.xz", "kernel/drivers/video/nvidia.ko.zst"} {
		h := taskstest.NewTree(t, map[string]string{"/lib/modules/6.8/" + file: ""})
		if got, err := gpu.ModuleFile(h, "6.8"); got != "/lib/modules/6.8/"+file || err != nil {
			t.Errorf("got %q, %v, want %s", got, err, file)
		}
		if got, err := gpu.ModuleFile(h, "6.9"); got != "" || err != nil {
			t.Errorf("another kernel has %q, %v", got, err)
		}
	}
}

func TestKernels_areTheRunningAndTheNewerOnes(t *testing.T) {
	files := map[string]string{
		"/proc/sys/kernel/osrelease": "6.8.12-9-pve\n", "/boot/vmlinuz-6.8.12-4-pve": "", "/boot/vmlinuz-6.8.12-9-pve": "",
		"/boot/vmlinuz-6.8.12-15-pve": "", "/boot/vmlinuz-6.14.0-1-pve": "",
	}
	got, err := gpu.Kernels(taskstest.NewTree(t, files))
	if want := []string{"6.8.12-9-pve", "6.8.12-15-pve", "6.14.0-1-pve"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	files["/etc/kernel/proxmox-boot-pin"] = "6.8.12-4-pve\n"
	got, err = gpu.Kernels(taskstest.NewTree(t, files))
	if err != nil || !slices.Contains(got, "6.8.12-4-pve") {
		t.Errorf("the pinned kernel is not among %v, %v", got, err)
	}
}

func TestUnbuilt_asksOnlyWhereADriverIsLoaded(t *testing.T) {
	files := map[string]string{
		"/proc/sys/kernel/osrelease": "6.8.12-9-pve\n", "/boot/vmlinuz-6.8.12-9-pve": "", "/boot/vmlinuz-6.8.12-15-pve": "",
		"/lib/modules/6.8.12-9-pve/updates/dkms/nvidia.ko": "",
	}
	if got, err := gpu.Unbuilt(taskstest.NewTree(t, files)); len(got) > 0 || err != nil {
		t.Errorf("without a driver: %v, %v", got, err)
	}
	files["/sys/module/nvidia/version"] = "550.54.15\n"
	if got, err := gpu.Unbuilt(taskstest.NewTree(t, files)); !slices.Equal(got, []string{"6.8.12-15-pve"}) || err != nil {
		t.Errorf("with a driver: %v, %v", got, err)
	}
}

func TestLibrary_followsTheLink(t *testing.T) {
	const dir = "/usr/lib/x86_64-linux-gnu/"
	for _, tc := range []struct {
		name, want string
		files      map[string]string
	}{
		{"NVIDIA's installer", "570.86.15", map[string]string{dir + "libnvidia-ml.so.1": "-> libnvidia-ml.so.570.86.15", dir + "libnvidia-ml.so.570.86.15": ""}},
		{"Debian's alternatives", "535.216.01", map[string]string{
			dir + "libnvidia-ml.so.1": "-> /etc/alternatives/nvidia--libnvidia-ml.so.1-x86_64-linux-gnu", "/etc/alternatives/nvidia--libnvidia-ml.so.1-x86_64-linux-gnu": "-> " + dir + "nvidia/current/libnvidia-ml.so.1",
			dir + "nvidia/current/libnvidia-ml.so.1": "-> libnvidia-ml.so.535.216.01", dir + "nvidia/current/libnvidia-ml.so.535.216.01": "",
		}},
		{"none", "", nil},
		{"a link to nothing", "", map[string]string{dir + "libnvidia-ml.so.1": "-> libnvidia-ml.so.570.86.15"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := gpu.Library(taskstest.NewTree(t, tc.files)); got != tc.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
	circle := taskstest.NewTree(t, map[string]string{dir + "libnvidia-ml.so.1": "-> libnvidia-ml.so.1"})
	if got, err := gpu.Library(circle); err == nil {
		t.Errorf("a circle gives %q", got)
	}
}
