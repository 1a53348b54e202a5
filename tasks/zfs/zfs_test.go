package zfs_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/taskstest"
	"phoenix/tasks/zfs"
)

// status is what zpool prints of a healthy pool of one disk and of one in which a
// disk is being replaced (OpenZFS 2.2, print_status_config).
func status(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestParseStatus_readsTheTreeOfEveryPool(t *testing.T) {
	pools, err := zfs.ParseStatus(status(t))
	if err != nil || len(pools) != 2 {
		t.Fatalf("%+v, %v", pools, err)
	}
	rpool, tank := pools[0], pools[1]
	if rpool.Name != "rpool" || rpool.State != "ONLINE" || rpool.Topology() != "single" || rpool.Errors != "No known data errors" {
		t.Errorf("%+v", rpool)
	}
	if tank.Name != "tank" || tank.State != "DEGRADED" || tank.Topology() != "raidz1" || tank.Errors != "2 data errors, use '-v' for a list" {
		t.Errorf("%+v", tank)
	}
	var members []string
	for _, m := range tank.Members() {
		members = append(members, m.State+" "+strings.Join(m.Devices, " "))
	}
	want := "ONLINE /dev/disk/by-id/ata-WDC_A-part1\n" +
		"DEGRADED /dev/disk/by-id/ata-WDC_B-part1 /dev/disk/by-id/ata-WDC_C-part1\n" +
		"ONLINE /dev/disk/by-id/ata-WDC_D-part1"
	if got := strings.Join(members, "\n"); got != want {
		t.Errorf("members\n%s\nwant\n%s", got, want)
	}
	want = "/dev/disk/by-id/nvme-L1-part1 /dev/disk/by-id/nvme-L2-part1 /dev/disk/by-id/nvme-L1-part2 /dev/disk/by-id/ata-WDC_E-part1"
	if got := strings.Join(tank.Other, " "); got != want {
		t.Errorf("other devices %s, want %s", got, want)
	}
}

// drawn prints one pool with the given tree.
func drawn(tree string) string {
	return "  pool: tank\n state: ONLINE\nconfig:\n\n\tNAME STATE READ WRITE CKSUM\n\ttank ONLINE 0 0 0\n" + tree + "\nerrors: No known data errors\n"
}

func TestParseStatus_namesTopologies(t *testing.T) {
	for _, tc := range []struct{ name, tree, want string }{
		{"one disk", "\t  /dev/sda1 ONLINE 0 0 0\n", "single"},
		{"one disk that is gone", "\t  1234 UNAVAIL 0 0 0 was /dev/sda1\n", "single"},
		{"two disks without redundancy", "\t  /dev/sda1 ONLINE 0 0 0\n\t  /dev/sdb1 ONLINE 0 0 0\n", "single + single"},
		{"two mirrors", "\t  mirror-0 ONLINE 0 0 0\n\t    /dev/sda1 ONLINE 0 0 0\n\t    /dev/sdb1 ONLINE 0 0 0\n\t  mirror-1 ONLINE 0 0 0\n\t    /dev/sdc1 ONLINE 0 0 0\n\t    /dev/sdd1 ONLINE 0 0 0\n", "mirror + mirror"},
		{"a mirror and a disk", "\t  mirror-0 ONLINE 0 0 0\n\t    /dev/sda1 ONLINE 0 0 0\n\t    /dev/sdb1 ONLINE 0 0 0\n\t  /dev/sdc1 ONLINE 0 0 0\n", "mirror + single"},
		{"draid", "\t  draid1:3d:5c:1s-0 ONLINE 0 0 0\n\t    /dev/sda1 ONLINE 0 0 0\n", "draid1:3d:5c:1s"},
		{"special disks do not count", "\t  raidz2-0 ONLINE 0 0 0\n\t    /dev/sda1 ONLINE 0 0 0\n\tspecial\t\n\t  mirror-1 ONLINE 0 0 0\n\t    /dev/sdb1 ONLINE 0 0 0\n", "raidz2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pools, err := zfs.ParseStatus(drawn(tc.tree))
			if err != nil || len(pools) != 1 || pools[0].Topology() != tc.want {
				t.Errorf("%+v, %v; want %s", pools, err, tc.want)
			}
		})
	}
}

func TestParseStatus_whatIsNoPoolIsNeverTakenForOne(t *testing.T) {
	for name, text := range map[string]string{
		"a pool without a tree": "  pool: tank\n state: ONLINE\n", "a tree that was cut off": "  pool: tank\n state: ONLINE\nconfig:\n\n\tNAME\n\ttank ONLINE 0 0 0\n",
		"a member without a group": "  pool: tank\n state: ONLINE\nconfig:\n\n\ttank ONLINE 0 0 0\n\t    /dev/sda ONLINE\n",
	} {
		if pools, err := zfs.ParseStatus(text); err == nil {
			t.Errorf("%s: %+v, want an error", name, pools)
		}
	}
	if pools, err := zfs.ParseStatus(""); err != nil || len(pools) != 0 {
		t.Errorf("no pools: %v, %v", pools, err)
	}
}

// answer is a machine on which zpool prints a text.
func answer(t *testing.T, text string) tasks.Host {
	tr := taskstest.NewTree(t, nil)
	tr.Programs["zpool"] = func(context.Context, tasks.Host, tasks.Cmd) tasks.Output {
		return tasks.Output{Stdout: []byte(text)}
	}
	return tr
}

func TestAshift_isThatOfTheFirstGroup(t *testing.T) {
	for _, tc := range []struct{ name, vdev, text, want string }{
		{"a mirror", "mirror-0", "root-0\t-\nmirror-0\t12\nata-A\t9\n", "12"},
		{"a whole disk", "/dev/disk/by-id/ata-A-part1", "root-0\t-\nata-A\t13\n", "13"},
		{"a partition", "/dev/disk/by-id/ata-A-part3", "root-0\t-\nata-A-part3\t9\n", "9"},
		{"nothing of it", "mirror-0", "root-0\t-\n", ""},
		{"nothing at all", "mirror-0", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := zfs.Ashift(t.Context(), answer(t, tc.text), zfs.Pool{Name: "tank", Data: []zfs.Vdev{{Name: tc.vdev}}})
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("%q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func FuzzParseStatus(f *testing.F) {
	data, err := os.ReadFile("testdata/status.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Add(drawn("\t  /dev/sda1 ONLINE 0 0 0\n"))
	f.Fuzz(func(t *testing.T, text string) {
		pools, err := zfs.ParseStatus(text)
		for _, p := range pools {
			if err == nil && (p.Name == "" || p.State == "" || len(p.Data) == 0) {
				t.Errorf("%q is a pool: %+v", text, p)
			}
			for _, d := range p.Devices() {
				if !strings.Contains(text, d) {
					t.Errorf("%q has no device %q", text, d)
				}
			}
		}
	})
}

func TestParseProperties_wantsThreeFields(t *testing.T) {
	p, err := zfs.ParseProperties("type\tfilesystem\t-\nquota\t536870912000\tlocal\ncompression\tlz4\tinherited from tank\n")
	if err != nil || p["quota"].Value != "536870912000" || !p["quota"].Own() || p["compression"].Own() {
		t.Errorf("%+v, %v", p, err)
	}
	if p["compression"].String() != "lz4 (inherited from tank)" {
		t.Errorf("%s", p["compression"])
	}
	for _, text := range []string{"quota\t5\n", "a b c\n", "\t\t\n", "\n"} {
		if p, err := zfs.ParseProperties(text); err == nil {
			t.Errorf("%q gives %v, want an error", text, p)
		}
	}
}

func FuzzParseProperties(f *testing.F) {
	f.Add("quota", "0", "default")
	f.Fuzz(func(t *testing.T, name, value, source string) {
		if strings.ContainsAny(name+value+source, "\t\r\n") || name == "" {
			return
		}
		p, err := zfs.ParseProperties(name + "\t" + value + "\t" + source + "\n")
		if err != nil || p[name] != (zfs.Property{Value: value, Source: source}) {
			t.Errorf("%q %q %q gives %v, %v", name, value, source, p, err)
		}
	})
}

func TestParseSize_isZFSs(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "none": 0, "512": 512, "512B": 512, "1K": 1024, "1k": 1024, "1KB": 1024, "128KiB": 131072, "1M": 1 << 20,
		"500G": 536870912000, "1.5T": 3 << 39, "7E": 7 << 60, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := zfs.ParseSize(text); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "G", "-1", "1 G", "1X", "1e3", "8E", "9223372036854775808", "1GG", "0x10", "1.K"} {
		if got, err := zfs.ParseSize(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}

func TestPairs_areWhatZFSTakes(t *testing.T) {
	want := map[string]string{"quota": "none", "refquota": "1.5G", "special_small_blocks": "0", "snapshot_limit": "none", "atime": "off"}
	got := strings.Join(zfs.Pairs(want, "", nil, zfs.DatasetTable()), " ")
	if got != "atime=off quota=none refquota=1610612736 snapshot_limit=none special_small_blocks=0" {
		t.Errorf("%s", got)
	}
	d := tasks.Diff{{Path: "p.atime", Effect: tasks.EffectLive}, {Path: "p.quota", Effect: tasks.EffectReplace}}
	if got := zfs.Pairs(want, "p.", d, zfs.DatasetTable()); len(got) != 1 || got[0] != "atime=off" {
		t.Errorf("%v", got)
	}
}

func TestDifference_anAliasOfAnOlderVersionIsNone(t *testing.T) {
	var d tasks.Diff
	have := zfs.Properties{"xattr": {Value: "on", Source: "local"}, "comment": {Value: "-", Source: "default"}}
	zfs.Difference(&d, "", have, map[string]string{"xattr": "dir"}, zfs.DatasetTable())
	zfs.Difference(&d, "", have, map[string]string{"comment": ""}, zfs.PoolTable())
	if len(d) > 0 {
		t.Errorf("%+v", d)
	}
}

func TestValidate_blocksArePowersOfTwo(t *testing.T) {
	for _, tc := range []struct {
		name, value string
		good        bool
	}{
		{"recordsize", "128K", true}, {"recordsize", "512", true}, {"recordsize", "16M", true}, {"recordsize", "1048576", true},
		{"recordsize", "100K", false}, {"recordsize", "256", false}, {"recordsize", "32M", false}, {"recordsize", "0", false}, {"recordsize", "none", false},
		{"special_small_blocks", "0", true}, {"special_small_blocks", "64K", true}, {"special_small_blocks", "3K", false},
		{"quota", "100K", true},
	} {
		p := zfs.DatasetTable().Validate("properties", map[string]string{tc.name: tc.value})
		if (len(p) == 0) != tc.good || !tc.good && !strings.Contains(p[0].Hint, "such as 128K") {
			t.Errorf("%s=%s: %v", tc.name, tc.value, p)
		}
	}
}
