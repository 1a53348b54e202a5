package inventory

import (
	"strings"
	"testing"
)

// zfsHost has a hypervisor file with the sections that are given.
func zfsHost(sections string) files {
	return files{
		"hosts.yaml": "version: 1\nhosts:\n  pve1: {address: 10.0.0.1, hypervisor: h.json}\nsecrets: {smb: {env: SMB}}\n",
		"h.json":     `{"version":1,` + sections + `}`,
	}
}

func TestTheSectionZFSIsReadByThreeFamilies(t *testing.T) {
	fleet, found := load(t, zfsHost(`"zfs":{"pools":{"tank":{"topology":"mirror","disks":["/dev/disk/by-id/a","/dev/disk/by-id/b"],"ashift":13,"properties":{"autotrim":"on"}}},
		"datasets":{"tank/a":{"mountpoint":"/srv/a","properties":{"quota":"1G"}},"tank/b":{}},"arc_max_gb":0.5},
		"storage":{"win":{"type":"cifs","server":"a","share":"b","username":"u","password":{"secret":"smb"}}}`))
	if fleet == nil {
		t.Fatal(found)
	}
	h := fleet.Hosts[0].Hypervisor
	if len(h.Pools) != 1 || h.Pools[0].Name != "tank" || h.Pools[0].Ashift != 13 || h.Pools[0].Properties["autotrim"] != "on" {
		t.Errorf("pools %+v", h.Pools)
	}
	if len(h.Datasets) != 2 || h.Datasets[0].Name != "tank/a" || h.Datasets[0].Properties["quota"] != "1G" {
		t.Errorf("datasets %+v", h.Datasets)
	}
	if h.Arc == nil || h.Arc.MaxGB != 0.5 {
		t.Errorf("arc %+v", h.Arc)
	}
	if h.Storages[0].Password == nil || h.Storages[0].Password.Name != "smb" {
		t.Errorf("storages %+v", h.Storages)
	}
}

func TestFaultsOfZFSAndStoragesHaveTheirPlaceOnce(t *testing.T) {
	disk := func(names ...string) string {
		return `"topology":"single","disks":["/dev/disk/by-id/` + strings.Join(names, `","/dev/disk/by-id/`) + `"]`
	}
	for section, want := range map[string]string{
		`"zfs":{"pools":{"tank":{"topology":"raid5","disks":["/dev/disk/by-id/a"]}}}`:                            `zfs.pools.tank.topology: "raid5"`,
		`"zfs":{"pools":{"tank":{"topology":"single","disks":["/dev/sdb"]}}}`:                                    `zfs.pools.tank.disks.0: "/dev/sdb" is not below /dev/disk/by-id/`,
		`"zfs":{"pools":{"tank":{"topology":"single"}}}`:                                                         `zfs.pools.tank: missing "disks"`,
		`"zfs":{"pools":{"mirror":{` + disk("a") + `}}}`:                                                         `zfs.pools.mirror: "mirror" cannot be the name of a pool`,
		`"zfs":{"pools":{"aa":{` + disk("x") + `},"bb":{` + disk("x") + `}}}`:                                    `zfs.pools.bb.disks.0: the disk is in pool aa as well`,
		`"zfs":{"pools":{"tank":{` + disk("a") + `,"dataset_properties":{"compresion":"lz4"}}}}`:                 `zfs.pools.tank.dataset_properties.compresion: there is no property "compresion"`,
		`"zfs":{"datasets":{"tank":{}}}`:                                                                         `zfs.datasets.tank: "tank" is a pool, not a dataset in one`,
		`"zfs":{"datasets":{"tank/a":{"properties":{"quota":500}}}}`:                                             `zfs.datasets.tank/a.properties.quota: 500 is a number, not a string`,
		`"zfs":{"datasets":{"tank/a":{"mountpoint":"/srv"},"tank/b":{"mountpoint":"/srv"}}}`:                     `zfs.datasets.tank/b.mountpoint: dataset tank/a is mounted there as well`,
		`"zfs":{"datasets":{"tank/a":{"mountpoint":"none"},"tank/b":{"mountpoint":"none"}},"arc_max_gb":0}`:      `zfs.arc_max_gb: `,
		`"zfs":{"arc_max_gb":"4"}`:                                                                               `zfs.arc_max_gb: "4" is a string`,
		`"storage":{"win":{"type":"cifs","server":"a","share":"b","username":"u","password":"hunter2"}}`:         `storage.win.password: `,
		`"storage":{"win":{"type":"cifs","server":"a","share":"b","username":"u","password":{"secret":"none"}}}`: `storage.win.password.secret: there is no secret "none"`,
		`"storage":{"win":{"type":"cifs","server":"a","share":"b","password":{"secret":"smb"}}}`:                 `storage.win.password: a password needs a username`,
		`"storage":{"fast":{"type":"zfspool","path":"/tank"}}`:                                                   `storage.fast.pool: a storage of type zfspool needs pool`,
	} {
		_, found := load(t, zfsHost(section))
		if len(found) == 0 || !strings.Contains(found[0], want) {
			t.Errorf("%s\ngives %q, want %q", section, found, want)
		}
		if strings.Contains(strings.Join(found, ""), "hunter2") {
			t.Errorf("the password is told: %q", found)
		}
	}
}
