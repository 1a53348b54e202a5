package sim

import (
	"encoding/json"
	"testing"
)

// guestVersion is the version of a guest in .vmlist.
func (m *Machine) guestVersion(t *testing.T, id string) int {
	t.Helper()
	var list vmList
	if err := json.Unmarshal([]byte(m.text(vmListFile)), &list); err != nil {
		t.Fatal(err)
	}
	return list.IDs[id].Version
}

func TestPropertyStringsAreJudgedInProxmoxsWords(t *testing.T) {
	m := newBench(t, Options{}).m
	for name, tc := range map[string]struct{ option, value, want string }{
		"good":                       {"net0", "name=eth0,bridge=vmbr0,ip=10.0.0.3/24,ip6=auto,tag=7,rate=1.5,firewall=yes", ""},
		"empty parts are skipped":    {"net0", "name=eth0,, ,bridge=vmbr0", ""},
		"required key missing":       {"net0", "bridge=vmbr0", "invalid format - format error\nnet0.name: property is missing and it is not optional\n"},
		"unknown key":                {"net0", "name=a,x=1", "invalid format - format error\nnet0.x: property is not defined in schema and the schema does not allow additional properties\n"},
		"bad value":                  {"net0", "name=a,tag=5000", "invalid format - format error\nnet0.tag: value must have a maximum value of 4094\n"},
		"two faults, sorted":         {"net0", "name=a,tag=0,mtu=1", "invalid format - format error\nnet0.mtu: value must have a minimum value of 64\nnet0.tag: value must have a minimum value of 1\n"},
		"no default key":             {"net0", "eth0", "invalid format - value without key, but schema does not define a default key\n"},
		"twice":                      {"net0", "name=a,name=b", "invalid format - duplicate key in comma-separated list property: name\n"},
		"address without its prefix": {"net0", "name=a,ip=10.0.0.3", "invalid format - format error\nnet0.ip: invalid format - value does not look like a valid ipv4 network configuration\n\n"},
		"mount path that climbs":     {"mp0", "local:1,mp=/a/../b", "invalid format - format error\nmp0.mp: invalid format - /a/../b contains illegal character sequences\n\n"},
		"mode of a device":           {"dev0", "/dev/null,mode=666", "invalid format - format error\ndev0.mode: value does not match the regex pattern\n"},
		"a bare number is a rootfs":  {"rootfs", "4", ""},
		"not a device path":          {"dev0", "/etc/passwd", "invalid format - format error\ndev0.path: invalid format - /etc/passwd is not a valid device path\n\n"},
		"multicast address":          {"net0", "name=a,hwaddr=01:00:00:00:00:01", "invalid format - format error\nnet0.hwaddr: invalid format - value does not look like a valid unicast MAC address\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o, ok := findOption(tc.option)
			if !ok {
				t.Fatal("no such option")
			}
			if got := o.check(m, tc.value); got != tc.want {
				t.Errorf("%q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestPropertyStringsArePrintedInProxmoxsOrder(t *testing.T) {
	values, fault := netSchema().split("type=veth,ip6=auto,ip=10.0.0.3/24,gw=10.0.0.1,name=eth0,firewall=on,bridge=vmbr0")
	if fault != "" {
		t.Fatal(fault)
	}
	if got, want := netSchema().print(values), "name=eth0,bridge=vmbr0,firewall=1,gw=10.0.0.1,ip=10.0.0.3/24,ip6=auto,type=veth"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	values, fault = mountSchema().split("size=1G,backup=1,mp=/data,local:902/vm-902-disk-0.raw")
	if fault != "" {
		t.Fatal(fault)
	}
	if got, want := mountSchema().print(values), "local:902/vm-902-disk-0.raw,mp=/data,backup=1,size=1G"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestNumberedOptionsHaveLimits(t *testing.T) {
	for name, want := range map[string]bool{
		"net0": true, "net31": true, "net32": false, "mp255": true, "mp256": false, "dev255": true, "unused0": true,
		"net": false, "net00": false, "net-1": false, "foo0": false, "mp9999999999999999999": false,
	} {
		if _, ok := numberedOption(name); ok != want {
			t.Errorf("%s: %v, want %v", name, ok, want)
		}
	}
}

func TestSizesArePrintedInTheLargestUnitThatDivides(t *testing.T) {
	for n, want := range map[int64]string{0: "0T", 1: "1", 4 << 30: "4G", 1536 << 20: "1536M", 1 << 40: "1T", 3 << 10: "3K"} {
		if got := printSize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
		if back, ok := parseSize(want); !ok || back != n {
			t.Errorf("%s is read as %d", want, back)
		}
	}
	if n, ok := parseSize("1.5G"); !ok || n != 1536<<20 {
		t.Errorf("1.5G is read as %d", n)
	}
	for _, bad := range []string{"", "G", "4g", "4 G", "-1G", "+1G", "1X"} {
		if _, ok := parseSize(bad); ok {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestANewVolumeIsAskedForInGibibytes(t *testing.T) {
	id, size, ok := newVolume("local-lvm:0.5")
	if !ok || id != "local-lvm" || size != 512<<20 {
		t.Errorf("local-lvm:0.5 is %s, %d, %v", id, size, ok)
	}
	if _, size, _ := newVolume("local-lvm:0.1"); size != 102<<20 {
		t.Errorf("local-lvm:0.1 is %d, want whole MiB", size)
	}
	for _, volid := range []string{"local:4G", "local:900/vm-900-disk-0.raw", "/dev/sda1", "local", "local:-1"} {
		if _, _, ok := newVolume(volid); ok {
			t.Errorf("%s asks for a volume", volid)
		}
	}
}

func TestMkfsNamesTheBackupsOfTheSuperblock(t *testing.T) {
	c := &call{m: newBench(t, Options{}).m}
	const want = "Superblock backups stored on blocks: \n\t32768, 98304, 163840, 229376, 294912, 819200, 884736, 1605632, 2654208, \n\t4096000, 7962624\n"
	got := c.mkfsText(32 << 30)
	if len(got) < len(want) || got[len(got)-len(want):] != want {
		t.Errorf("mkfs prints\n%s", got)
	}
}
