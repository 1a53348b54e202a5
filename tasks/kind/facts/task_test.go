package facts_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/facts"
	"phoenix/tasks/taskstest"
)

func host() map[string]string {
	files := map[string]string{
		"/proc/sys/kernel/hostname":  "pve1\n",
		"/proc/sys/kernel/osrelease": "6.8.12-9-pve\n",
		"/proc/cpuinfo":              "processor\t: 0\nmodel name\t: AMD EPYC 7302P\n\nprocessor\t: 1\nmodel name\t: AMD EPYC 7302P\n",
		"/proc/meminfo":              "MemTotal:       16374532 kB\nMemFree:         1000000 kB\nMemAvailable:   14200000 kB\n",
		"/proc/uptime":               "86400.50 340000.00\n",
		"/proc/net/unix":             "Num RefCount Protocol Flags Type St Inode Path\n0: 00000002 00000000 00010000 0001 01 21432 @/var/lib/lxc/900/command\n",
		"/etc/os-release":            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\n",
		"/var/lib/dpkg/status":       "Package: pve-manager\nStatus: install ok installed\nArchitecture: all\nVersion: 8.4.21\n",
		"/etc/pve/local":             "-> nodes/pve1",
		"/etc/pve/lxc":               "-> nodes/pve1/lxc",
		"/etc/pve/.members":          `{"nodename":"pve1","version":5,"cluster":{"name":"prod","version":3,"nodes":3,"quorate":1},"nodelist":{"pve1":{"id":1,"online":1,"ip":"10.0.0.1"}}}`,
		"/etc/pve/storage.cfg":       "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n\nlvmthin: local-lvm\n\tdisable\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n",

		"/etc/pve/nodes/pve1/lxc/900.conf":       "arch: amd64\nhostname: web\nmemory: 512\n\n[before]\nhostname: old\n",
		"/etc/pve/nodes/pve1/lxc/1000.conf":      "hostname: db\n",
		"/etc/pve/nodes/pve1/lxc/900.conf.tmp.7": "hostname: none\n",
	}
	pci := func(address, vendor, device, class string) {
		dir := "/sys/bus/pci/devices/" + address + "/"
		maps.Copy(files, map[string]string{dir + "vendor": "0x" + vendor + "\n", dir + "device": "0x" + device + "\n", dir + "class": "0x" + class + "\n"})
	}
	pci("0000:01:00.0", "10de", "2684", "030000")
	pci("0000:01:00.1", "10de", "22ba", "040300") // the card's audio
	pci("0000:02:00.0", "8086", "1533", "020000")
	files["/sys/bus/pci/devices/0000:01:00.0/driver"] = "-> ../../../bus/pci/drivers/nvidia"
	return files
}

func gather(t *testing.T, h tasks.Host) facts.Facts {
	t.Helper()
	res := taskstest.Check(t, facts.Kind(), `{}`, h)
	if res.Status != tasks.StatusOK {
		t.Fatalf("%+v", res)
	}
	var f facts.Facts
	if err := json.Unmarshal(res.Data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFacts_ofAHostInACluster(t *testing.T) {
	rec := taskstest.NewRecorder(taskstest.NewTree(t, host()))
	want := facts.Facts{
		Hostname: "pve1", Node: "pve1", PVEVersion: "8.4.21", Kernel: "6.8.12-9-pve", Codename: "bookworm",
		CPUModel: "AMD EPYC 7302P", Cores: 2, MemoryMB: 15990, MemoryAvailableMB: 13867, UptimeS: 86400,
		Cluster: &facts.Cluster{Name: "prod", Nodes: 3, Quorate: true},
		Storages: []facts.Storage{
			{ID: "local", Type: "dir", Path: "/var/lib/vz", Content: []string{"backup", "iso", "vztmpl"}},
			{ID: "local-lvm", Type: "lvmthin", Content: []string{"images", "rootdir"}, Disabled: true},
		},
		Containers: []facts.Container{{CTID: 1000, Name: "db"}, {CTID: 900, Name: "web", Running: true}},
		GPUs:       []facts.GPU{{Address: "0000:01:00.0", PCIID: "10de:2684", Driver: "nvidia"}},
	}
	if got := gather(t, rec); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := rec.Commands(); len(got) > 0 {
		t.Errorf("started %q", got)
	}
}

func TestFacts_aHostThatIsAloneHasNoCluster(t *testing.T) {
	files := host()
	files["/etc/pve/.members"] = `{"nodename": "pve1", "version": 0}`
	if f := gather(t, taskstest.NewTree(t, files)); f.Cluster != nil || len(f.Unreadable) > 0 {
		t.Errorf("%+v", f)
	}
}

// broken fails to read one file.
type broken struct {
	tasks.Host
	path string
}

func (h broken) ReadFile(p string) ([]byte, error) {
	if p == h.path {
		return nil, syscall.EIO
	}
	return h.Host.ReadFile(p)
}

func TestFacts_whatCannotBeReadIsListed(t *testing.T) {
	tree := taskstest.NewTree(t, host())
	for path := range host() {
		if strings.HasPrefix(path, "/etc/pve/nodes") || strings.HasSuffix(path, "/local") || strings.HasSuffix(path, "/lxc") ||
			strings.HasSuffix(path, "/driver") || strings.HasSuffix(path, "device") && !strings.Contains(path, "01:00.0") {
			continue // links, and what is not read under this name
		}
		if f := gather(t, broken{tree, path}); len(f.Unreadable) == 0 {
			t.Errorf("%s fails and nothing is listed", path)
		}
	}
}

func TestFacts_ofAMachineThatIsNoProxmox(t *testing.T) {
	f := gather(t, taskstest.NewTree(t, map[string]string{"/proc/sys/kernel/hostname": "laptop\n"}))
	if f.Hostname != "laptop" || len(f.Unreadable) == 0 || f.PVEVersion != "" {
		t.Errorf("%+v", f)
	}
}
