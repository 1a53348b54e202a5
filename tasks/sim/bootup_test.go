package sim

import (
	"os"
	"strings"
	"testing"

	"phoenix/tasks/gpu"
)

func TestARebootLeavesWhatIsConfiguredAndNothingElse(t *testing.T) {
	m := fresh(t, Options{})
	interfaces := strings.Replace(m.text(mainInterfaces), "bridge-ports eth0\n", "bridge-ports eth0\n\tpost-up echo 1 > /proc/sys/net/ipv4/ip_forward\n", 1)
	files(t, m, map[string]string{
		"/etc/modules-load.d/nbd.conf": "nbd\n", "/etc/modprobe.d/zz.conf": "options zfs zfs_arc_max=2147483648\n",
		"/run/left": "x\n", "/sys/class/net/vmbr1/mtu": "9000\n", mainInterfaces: interfaces,
	})
	for _, line := range []string{
		"modprobe tun", "sysctl -w vm.swappiness=1",
		"iptables -t nat -A POSTROUTING -s 10.0.0.0/8 -o vmbr0 -j MASQUERADE",
		"systemctl stop cron", "systemctl disable chrony",
	} {
		must(t, m, line)
	}
	before := m.text(bootID)
	must(t, m, "systemctl reboot")
	for file, want := range map[string]string{
		"/proc/modules":                          "nbd 16384 0 - Live 0x0000000000000000\n",
		"/proc/sys/vm/swappiness":                "60\n",
		"/proc/sys/net/ipv4/ip_forward":          "1\n",
		"/sys/module/zfs/parameters/zfs_arc_max": "2147483648\n",
		"/run/left":                              "",
		"/sys/class/net/vmbr1/mtu":               "1500\n",
		natRules:                                 "",
	} {
		if got := m.text(file); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	if m.text(bootID) == before {
		t.Error("it is the same boot")
	}
	must(t, m, "systemctl is-active cron")
	if code, _, _ := execLine(t, m, "systemctl is-active chrony"); code == 0 {
		t.Error("a unit that is not enabled runs after the boot")
	}
}

func files(t *testing.T, m *Machine, all map[string]string) {
	t.Helper()
	if err := m.writeAll(all); err != nil {
		t.Fatal(err)
	}
}

func TestARebootStartsTheGuestsThatStartAtBoot(t *testing.T) {
	for _, tc := range []struct {
		name, conf string
		want       bool
	}{
		{"in the first line", "onboot: 1\nARCH", true},
		{"in the last line, without a line break", "ARCHonboot: 1", true},
		{"behind a description", "#web\nonboot: 1\nARCH", true},
		{"spelled otherwise", "onboot:  yes\nARCH", true},
		{"in a snapshot only", "ARCH[old]\nonboot: 1\nARCH", false},
		{"not at all", "ARCHonboot: 0\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, Options{})
			b.create()
			conf := "/etc/pve/lxc/900.conf"
			text := strings.ReplaceAll(tc.conf, "ARCH", b.m.text(conf))
			files(t, b.m, map[string]string{conf: text})
			b.must("systemctl", "reboot")
			if got := b.m.running(900); got != tc.want {
				t.Errorf("it runs: %v, with\n%s", got, text)
			}
		})
	}
}

func TestADatasetTakesItsFilesWithIt(t *testing.T) {
	m := fresh(t, Options{})
	for _, line := range []string{
		"zpool create tank mirror /dev/disk/by-id/ata-Samsung_SSD_870_EVO_1TB_S5Y1NX0R000001 /dev/disk/by-id/ata-Samsung_SSD_870_EVO_1TB_S5Y1NX0R000002",
		"zfs create -o mountpoint=/srv/a tank/a",
	} {
		must(t, m, line)
	}
	files(t, m, map[string]string{"/srv/a/file": "one\n"})
	must(t, m, "zfs set mountpoint=/srv/b tank/a")
	if m.exists("/srv/a/file") || m.text("/srv/b/file") != "one\n" || !m.exists("/srv/a") {
		t.Error("the file is not where the dataset is mounted now")
	}
	must(t, m, "zfs umount tank/a")
	if m.exists("/srv/b/file") {
		t.Error("the file is seen although nothing is mounted")
	}
	must(t, m, "systemctl reboot")
	if m.text("/srv/b/file") != "one\n" {
		t.Error("the dataset is not mounted at boot")
	}
}

func TestTheDriverThatIsLoadedHasTheCards(t *testing.T) {
	m := fresh(t, Options{GPUs: 2})
	driver := func() string {
		t.Helper()
		cards, err := gpu.Cards(m.Host())
		if err != nil || len(cards) != 2 || cards[0].Driver != cards[1].Driver {
			t.Fatalf("%+v, %v", cards, err)
		}
		return cards[0].Driver
	}
	if got := driver(); got != "nvidia" {
		t.Errorf("a fresh machine's cards have the driver %q", got)
	}
	must(t, m, "systemctl reboot")
	if got := driver(); got != "nvidia" {
		t.Errorf("after a reboot they have %q", got)
	}
	for _, file := range m.glob("/lib/modules/*/updates/dkms/nvidia.ko") {
		if err := os.Remove(m.path(file)); err != nil {
			t.Fatal(err)
		}
	}
	must(t, m, "systemctl reboot")
	if got := driver(); got == "nvidia" {
		t.Error("a driver that has gone has the cards")
	}
}

func TestAProfileIsLoadedByItsProgramAndByABoot(t *testing.T) {
	m := fresh(t, Options{})
	files(t, m, map[string]string{"/etc/apparmor.d/mine": "profile mine flags=(attach_disconnected) {\n}\n", "/root/other": "profile other {\n}\n"})
	loaded := func(want ...bool) {
		t.Helper()
		for i, name := range []string{"lxc-container-default-cgns", "mine", "other"} {
			if got := strings.Count(m.text(loadedProfiles), "\n"+name+" (enforce)\n"); got != map[bool]int{true: 1}[want[i]] {
				t.Errorf("%s is there %d times:\n%s", name, got, m.text(loadedProfiles))
			}
		}
	}
	loaded(true, false, false)
	must(t, m, "apparmor_parser -r /etc/apparmor.d/mine")
	must(t, m, "apparmor_parser -r /etc/apparmor.d/mine /root/other")
	loaded(true, true, true)
	must(t, m, "systemctl reboot")
	loaded(true, true, false)
}
