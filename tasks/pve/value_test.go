package pve

import (
	"io/fs"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"phoenix/tasks"
)

func TestPropertyStringIsWrittenInProxmoxOrder(t *testing.T) {
	for _, c := range []struct {
		in, def string
		first   []string
		want    string
	}{
		{"type=veth,ip=dhcp,bridge=vmbr0,hwaddr=bc:24:11:aa:bb:cc,name=eth0", "", []string{"name"}, "name=eth0,bridge=vmbr0,hwaddr=bc:24:11:aa:bb:cc,ip=dhcp,type=veth"},
		{"size=1G,mp=/data,backup=1,volume=local:902/vm-902-disk-0.raw", "volume", []string{"mp"}, "local:902/vm-902-disk-0.raw,mp=/data,backup=1,size=1G"},
		{"/srv/a=b,mp=/x", "volume", []string{"mp"}, ""},
		{"nesting=1,keyctl=1,fuse=1", "", nil, "fuse=1,keyctl=1,nesting=1"},
		{"up=5,order=1", "order", nil, "1,up=5"},
		{"2", "order", nil, "2"},
		{"", "", nil, ""},
		{"volume=/srv/a=b,mp=/x", "volume", []string{"mp"}, "volume=/srv/a=b,mp=/x"},
	} {
		p, err := ParsePropertyString(c.in, c.def)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		got, err := p.Encode(c.def, c.first...)
		if c.want != "" && (got != c.want || err != nil) {
			t.Errorf("%q became %q (%v), want %q", c.in, got, err, c.want)
		}
	}
}

func TestPropertyStringThatCannotBeReadIsRefused(t *testing.T) {
	for in, def := range map[string]string{"eth0,bridge=vmbr0": "", "a=1,a=2": "", "x,y": "volume", "a=1,": ""} {
		if p, err := ParsePropertyString(in, def); err == nil {
			t.Errorf("%q is read as %v", in, p)
		}
	}
}

func TestPropertyStringRefusesToInjectAnything(t *testing.T) {
	for _, value := range []string{"a,b=1", "a\nmp1: /etc,mp=/x", "a\rb", "a\x00", "a\x1b[2J", "a\u2028b", "a\u0085b", "\xff"} {
		var p PropertyString
		p.Set("name", value)
		if got, err := p.Encode(""); err == nil {
			t.Errorf("%q is written as %q", value, got)
		}
	}
	for _, key := range []string{"a=b", "a,b", "a\nb"} {
		var p PropertyString
		p.Set(key, "1")
		if got, err := p.Encode(""); err == nil {
			t.Errorf("key %q is written as %q", key, got)
		}
	}
}

func TestPropertyStringCopiesAreIndependent(t *testing.T) {
	a, err := ParsePropertyString("a=1,b=2", "")
	if err != nil {
		t.Fatal(err)
	}
	b := a
	b.Set("a", "9")
	b.Set("b", "")
	if got, _ := a.Encode(""); got != "a=1,b=2" {
		t.Errorf("changing a copy made %q of it", got)
	}
	if got, _ := b.Encode(""); got != "a=9" {
		t.Errorf("the copy is %q", got)
	}
	b.Set("a", "")
	if !b.Empty() || a.Empty() {
		t.Error("emptiness is told wrongly")
	}
}

func FuzzPropertyString(f *testing.F) {
	f.Add("name=eth0,bridge=vmbr0,ip=10.0.0.5/24", "", "gw", "10.0.0.1")
	f.Add("local:900/vm-900-disk-0.raw,mp=/data,size=1G", "volume", "ro", "1")
	f.Add("/a=b,mp=/x", "volume", "volume", "c\nd")
	f.Fuzz(func(t *testing.T, in, def, key, value string) {
		p, err := ParsePropertyString(in, def)
		if err != nil {
			return
		}
		p.Set(key, value)
		out, err := p.Encode(def)
		if err != nil || p.Empty() {
			return
		}
		if HasControl(out) {
			t.Fatalf("%q has a control character", out)
		}
		if strings.TrimSpace(out) == "" {
			return
		}
		again, err := ParsePropertyString(out, def)
		if err != nil {
			t.Fatalf("%q was written and cannot be read: %v", out, err)
		}
		if got, _ := again.Get(key); got != value {
			t.Fatalf("%s came back as %q, want %q, from %q", key, got, value, out)
		}
		if len(again.pairs) != len(p.pairs) {
			t.Fatalf("%q has %d keys, want %d", out, len(again.pairs), len(p.pairs))
		}
	})
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"4G": 4 << 30, "1536M": 1536 << 20, "0T": 0, "512K": 512 << 10, "2T": 2 << 40, "1.5G": 1536 << 20, "1024": 1024} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "G", "4X", "-1G", "1e400", "nan", "inf", "4GG", "9999999T", " 4G"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
	for bytes, want := range map[int64]string{4 << 30: "4G", 1536 << 20: "1536M", 0: "0T", 1 << 40: "1T", 1000: "1000", GiB(0.1): "102M", GiB(6.5): "6656M"} {
		if got := FormatSize(bytes); got != want {
			t.Errorf("%d is %s, want %s", bytes, got, want)
		}
	}
}

func TestNewestTemplateComparesNumbers(t *testing.T) {
	files := []string{"debian-12-standard_12.7-1_amd64.tar.zst", "debian-12-standard_12.12-1_amd64.tar.zst", "debian-12-standard_12.2-1_amd64.tar.zst",
		"debian-12-standard_12.99-1_amd64.tar.zst.tmp.123", "debian-12-standard-x_99_amd64.tar.gz", "debian-13-standard_13.1-2_amd64.tar.zst"}
	if got, ok := NewestTemplate(files, "debian-12-standard"); !ok || got != files[1] {
		t.Errorf("newest is %q", got)
	}
	if got, ok := NewestTemplate(files, "debian-11-standard"); ok {
		t.Errorf("found %q", got)
	}
}

func TestRawOptionsThatProxmoxAccepts(t *testing.T) {
	for key, want := range map[string]bool{
		"lxc.cgroup2.devices.allow": true, "lxc.mount.entry": true, "lxc.idmap": true, "lxc.apparmor.profile": true, "lxc.prlimit.nofile": true,
		"lxc.rootfs.path": false, "lxc.rootfs.options": false, "lxc.foo": false, "memory": false, "lxc.net.": false, "lxc.": false,
	} {
		if RawOptionAllowed(key) != want {
			t.Errorf("%s: want %v", key, want)
		}
	}
}

func TestVMList(t *testing.T) {
	got, err := ParseVMList([]byte("{\n\"version\": 495,\n\"ids\": {\n\"900\": { \"node\": \"pve\", \"type\": \"lxc\", \"version\": 437 }}\n\n}\n"))
	if err != nil || !reflect.DeepEqual(got, map[int]Guest{900: {"pve", "lxc", 437}}) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := ParseVMList([]byte(`{"version": 15}`)); err != nil || len(got) > 0 {
		t.Errorf("an empty list: %v %v", got, err)
	}
	for _, bad := range []string{"", "7", `{"ids":{"x":{}}}`} {
		if _, err := ParseVMList([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// files is a host of files alone.
type files struct {
	tasks.Host
	tree  fstest.MapFS
	local tasks.FileInfo
}

func (f files) ReadFile(p string) ([]byte, error) { return f.tree.ReadFile(strings.TrimPrefix(p, "/")) }

func (f files) Stat(p string) (tasks.FileInfo, error) {
	if p != LocalLink || f.local.Target == "" && f.local.Mode == 0 {
		return tasks.FileInfo{}, fs.ErrNotExist
	}
	return f.local, nil
}

func TestNodeAndQuorum(t *testing.T) {
	link := func(mode fs.FileMode) files {
		return files{local: tasks.FileInfo{Mode: fs.ModeSymlink | mode, Target: "nodes/pve1"}}
	}
	if name, err := Node(link(0o755)); name != "pve1" || err != nil {
		t.Errorf("node %q, %v", name, err)
	}
	if err := Writable(link(0o777)); err != nil {
		t.Errorf("an ordinary link: %v", err)
	}
	if err := Writable(link(0o555)); err == nil || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("without quorum: %v", err)
	}
	for _, h := range []files{{}, {local: tasks.FileInfo{Mode: fs.ModeDir | 0o755}}} {
		if _, err := Node(h); err == nil || !strings.Contains(err.Error(), "the cluster file system is not mounted") {
			t.Errorf("without a link: %v", err)
		}
		if err := Writable(h); err == nil {
			t.Error("without a link it can be written")
		}
	}
}

func TestActiveContainers(t *testing.T) {
	const table = "Num       RefCount Protocol Flags    Type St Inode Path\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01 12345 @/var/lib/lxc/900/command\n" +
		"0000000000000000: 00000003 00000000 00000000 0001 03 12346 @/var/lib/lxc/900/command\n" +
		"0000000000000000: 00000003 00000000 00000000 0001 03 12351 @/var/lib/lxc/902/command\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01 12352 @/var/lib/lxc/902/command\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01 12347 @/var/lib/lxc/x/command\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01 12348 /run/systemd/notify\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01 12349 @/var/lib/lxc/901/monitor\n" +
		"0000000000000000: 00000002 00000000 00010000 0001 01 12350\n"
	host := files{tree: fstest.MapFS{"proc/net/unix": {Data: []byte(table)}}}
	got, err := ActiveContainers(host)
	if err != nil || !reflect.DeepEqual(got, map[int]bool{900: true, 902: true}) {
		t.Errorf("active %v, %v", got, err)
	}
	starts, err := ContainerStarts(host)
	if err != nil || !reflect.DeepEqual(starts, map[int]string{900: "12345", 902: "12352"}) {
		t.Errorf("starts %v, %v: want the listening sockets", starts, err)
	}
	if _, err := ActiveContainers(files{tree: fstest.MapFS{}}); err == nil {
		t.Error("a table that cannot be read gives an answer")
	}
}

func TestRelease(t *testing.T) {
	status := "Package: pve-cluster\nVersion: 8.1.3\n\nPackage: pve-manager\nStatus: install ok installed\nVersion: 8.4.21\n\nPackage: x\nVersion: 1\n"
	got, err := ReadRelease(files{tree: fstest.MapFS{"var/lib/dpkg/status": {Data: []byte(status)}}})
	if err != nil || got != (Release{8, 4}) {
		t.Errorf("release %v, %v", got, err)
	}
	for _, bad := range []string{"", "Package: pve-manager\nVersion: x\n"} {
		if _, err := ReadRelease(files{tree: fstest.MapFS{"var/lib/dpkg/status": {Data: []byte(bad)}}}); err == nil {
			t.Errorf("%q has a release", bad)
		}
	}
}

func TestListsAndBooleans(t *testing.T) {
	if got := ParseTags("Web,prod;web Prod"); !slices.Equal(got, []string{"prod", "web"}) {
		t.Errorf("tags %q", got)
	}
	for in, want := range map[string]bool{"1": true, "on": true, "Yes": true, "TRUE": true, "0": false, "off": false, "no": false, "false": false} {
		if got, ok := ParseBool(in); got != want || !ok {
			t.Errorf("%s is %v", in, got)
		}
	}
	if _, ok := ParseBool("maybe"); ok {
		t.Error("maybe is a boolean")
	}
	if v, ok := ParseVolumeID("local:900/vm-900-disk-0.raw"); !ok || v.Storage != "local" || v.String() != "local:900/vm-900-disk-0.raw" {
		t.Errorf("volume %v", v)
	}
	for _, bad := range []string{"/srv:x", "local", ":x", "local:", ""} {
		if v, ok := ParseVolumeID(bad); ok {
			t.Errorf("%q is volume %v", bad, v)
		}
	}
	if GiB(math.MaxInt32) < 0 {
		t.Error("a size overflows")
	}
}

func TestHasControl_findsWhatTurnsTheTextAround(t *testing.T) {
	for text, want := range map[string]bool{"a\u202eb": true, "\u2066": true, "a\nb": true, "\u2028": true, "\ufffd": true, "é – שלום": false, "": false} {
		if HasControl(text) != want {
			t.Errorf("%q: %t, want %t", text, !want, want)
		}
	}
}
