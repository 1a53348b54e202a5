package disk

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
)

// captured is what wipefs 2.38.1 printed of an ext4, a swap area and a file with
// the marks of a ZFS pool.
func captured(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/wipefs.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSignatures_areToldOncePerDevice(t *testing.T) {
	got, err := parseSignatures(captured(t))
	if err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]Content{"a": {"a", "ext4", "data"}, "c": {"c", "swap", "sw"}, "d": {"d", "zfs_member", ""}} {
		if len(got[device]) != 1 || got[device][0] != want {
			t.Errorf("%s has %v, want %v", device, got[device], want)
		}
	}
	for _, text := range []string{`{"signatures": [ ]}`, "", "\n"} {
		if got, err := parseSignatures([]byte(text)); err != nil || len(got) > 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := parseSignatures([]byte(`{"signatures": [`)); err == nil {
		t.Error("half an answer is taken for one")
	}
}

func FuzzSignatures(f *testing.F) {
	f.Add(`{"signatures": [{"device": "a","offset": "0x438","type": "ext4","uuid": null,"label": "data"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseSignatures([]byte(text))
		if err != nil && got != nil {
			t.Errorf("%q: both %v and %v", text, got, err)
		}
		for device, list := range got {
			for _, c := range list {
				if c.Device != device {
					t.Errorf("%q: %+v is listed for %s", text, c, device)
				}
			}
		}
	})
}

// machine has one disk with two partitions, which udev does not know.
func machine(t *testing.T) *taskstest.Tree {
	return taskstest.NewTree(t, map[string]string{
		"/dev/sda": "", "/dev/sda1": "", "/dev/sda2": "", "/dev/disk/by-id/ata-A": "-> ../../sda", "/dev/disk/by-id/ata-A-part1": "-> ../../sda1",
		"/dev/disk/by-id/wwn-0x1": "-> ../../sda",
		"/sys/class/block/sda":    "-> ../../devices/block/sda", "/sys/class/block/sda1": "-> ../../devices/block/sda/sda1", "/sys/class/block/sda2": "-> ../../devices/block/sda/sda2",
		"/sys/devices/block/sda/size": "2097152\n", "/sys/devices/block/sda/dev": "8:0\n", "/sys/devices/block/sda/device/model": "QEMU HARDDISK   \n", "/sys/devices/block/sda/device/serial": "QM1\n",
		"/sys/devices/block/sda/sda1/partition": "1\n", "/sys/devices/block/sda/sda1/dev": "8:1\n", "/sys/devices/block/sda/sda2/partition": "2\n", "/sys/devices/block/sda/sda2/dev": "8:2\n",
		"/sys/devices/block/sda/holders/": "", "/sys/devices/block/sda/sda2/holders/dm-0": "", "/sys/class/block/dm-0/dm/name": "pve-root\n",
		"/proc/self/mountinfo": "30 1 8:1 / /boot/efi rw,relatime shared:2 - vfat /dev/sda1 rw\n",
	})
}

func TestLook_tellsWhatADiskIsAndWhoUsesIt(t *testing.T) {
	m := machine(t)
	m.Programs["wipefs"] = wipefs(`{"signatures": [{"device":"sda","type":"gpt"},{"device":"sda1","type":"vfat","label":null},{"device":"sda2","type":"LVM2_member"}]}`)
	disks, err := Look(t.Context(), m, []string{ByID + "ata-A"})
	if err != nil {
		t.Fatal(err)
	}
	want := ByID + "ata-A (sda, QEMU HARDDISK, serial QM1, 1 GiB): gpt; sda1 with vfat; sda2 with LVM2_member; sda1 is mounted at /boot/efi; sda2 is held by dm-0 pve-root"
	if got := disks[0].String(); got != want || disks[0].Empty() {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func wipefs(answer string) taskstest.Program {
	return func(_ context.Context, _ tasks.Host, c tasks.Cmd) tasks.Output {
		if strings.Join(c.Argv, " ") != "wipefs --no-act --json /dev/sda1 /dev/sda2 /dev/sda" || !c.ReadOnly {
			return tasks.Output{Code: 1, Stderr: []byte("unexpected arguments")}
		}
		return tasks.Output{Stdout: []byte(answer)}
	}
}

func TestLook_partitionsWithoutSignaturesAreNotEmpty(t *testing.T) {
	m := machine(t)
	m.Programs["wipefs"] = wipefs(`{"signatures": [ ]}`)
	disks, err := Look(t.Context(), m, []string{ByID + "ata-A"})
	if err != nil || disks[0].Empty() || !strings.Contains(disks[0].Held(), "sda1 without a signature") {
		t.Errorf("%+v, %v", disks, err)
	}
}

func TestLook_namesTheDisksThatAreThere(t *testing.T) {
	_, err := Look(t.Context(), machine(t), []string{ByID + "ata-B"})
	if err == nil || !strings.HasSuffix(err.Error(), "it is not there (below /dev/disk/by-id/ there are ata-A)") {
		t.Errorf("%v", err)
	}
}

func TestName_followsLinksInsideDevOnly(t *testing.T) {
	m := machine(t)
	for link, target := range map[string]string{"/dev/out": "../etc/passwd", "/dev/loop": "loop", "/dev/abs": "/dev/sda", "/dev/two": "disk/by-id/ata-A-part1"} {
		if err := os.Symlink(target, filepath.Join(m.Root, link)); err != nil {
			t.Fatal(err)
		}
	}
	taskstest.Put(t, m, "/dev/null", "")
	for p, want := range map[string]string{"/dev/sda": "sda", "/dev/abs": "sda", "/dev/two": "sda1", "/dev/out": "", "/dev/loop": "", "/dev/none": ""} {
		if got, err := Name(m, p); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v; want %q", p, got, err, want)
		}
	}
	for name, want := range map[string]string{"sda": "sda", "sda2": "sda"} {
		if got, err := Whole(m, name); got != want || err != nil {
			t.Errorf("%s lies on %q, %v", name, got, err)
		}
	}
}

func TestSize_hasOneDecimalAtMost(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 512: "512 B", 1 << 30: "1 GiB", 1000204886016: "931.5 GiB", 4000787030016: "3.6 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
