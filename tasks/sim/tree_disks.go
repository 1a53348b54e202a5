package sim

import "fmt"

// layDisks lays the disks of the machine: sda with the system, two SSDs and three hard
// disks with nothing on them, and an NVMe disk that somebody has used before.
func (m *Machine) layDisks(id identity) error {
	err := m.writeAll(map[string]string{
		"/proc/self/mountinfo": "22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/pve-root rw,errors=remount-ro\n",
		"/proc/swaps":          "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/dm-0                               partition\t8388604\t\t0\t\t-2\n",
		"/dev/dm-0":            "", "/dev/dm-1": "",
		"/sys/module/zfs/parameters/zfs_arc_max": "1676673024\n",
		"/etc/modprobe.d/zfs.conf":               "options zfs zfs_arc_max=1676673024\n",
		"/proc/spl/kstat/zfs/arcstats":           "9 1 0x01 147 39984 2941417893 86388093851221\nname                            type data\nc_min                           4    523985024\nc_max                           4    1676673024\n",
	})
	if err != nil {
		return err
	}
	const gb = 1000 * 1000 * 1000 / 512
	disks := []Disk{{
		Name: "sda", ID: "ata-INTEL_SSDSC2KB480G8_PHYF0000001", Model: "INTEL SSDSC2KB480G8", Serial: "PHYF0000001", Sectors: 480 * gb, Number: "8:0",
		On: []Signature{{Type: "gpt"}, {Type: "PMBR"}}, Parts: [][]Signature{nil, {{Type: "vfat"}}, {{Type: "LVM2_member"}}},
	}, {
		Name: "nvme0n1", ID: "nvme-WD_BLACK_SN850X_2000GB_21474A800003", Model: "WD BLACK SN850X 2000GB", Serial: "21474A800003", Sectors: 2000 * gb, Number: "259:0",
		On: []Signature{{Type: "gpt"}, {Type: "PMBR"}}, Parts: [][]Signature{{{Type: "ext4", Label: "backup"}}},
	}}
	for i, name := range []string{"sdb", "sdc"} {
		serial := fmt.Sprintf("S5Y1NX0R00000%d", i+1)
		disks = append(disks, Disk{Name: name, ID: "ata-Samsung_SSD_870_EVO_1TB_" + serial, Model: "Samsung SSD 870 EVO 1TB", Serial: serial, Sectors: 1000 * gb, Number: fmt.Sprintf("8:%d", 16*(i+1))})
	}
	for i, name := range []string{"sdd", "sde", "sdf"} {
		serial := fmt.Sprintf("WD-WCC7K000000%d", i+1)
		disks = append(disks, Disk{Name: name, ID: "ata-WDC_WD40EFRX-68N32N0_" + serial, Model: "WDC WD40EFRX-68N32N0", Serial: serial, Sectors: 4000 * gb, Number: fmt.Sprintf("8:%d", 16*(i+3))})
	}
	if id.Layout == LayoutZFS {
		disks[0].Parts[2] = []Signature{{Type: "zfs_member", Label: "rpool"}}
	}
	if err := m.plug(disks...); err != nil {
		return err
	}
	if id.Layout == LayoutZFS {
		return m.layRpool(disks[0].ID)
	}
	return m.lays("/sys/class/block/sda3/holders/dm-1", nil, 0o644)
}
