package pve

import (
	"fmt"
	"testing"
)

func TestLinkedClonesSayInTheirNameWhatTheyShare(t *testing.T) {
	for volume, want := range map[string]int{
		"local-zfs:basevol-900-disk-0/subvol-901-disk-0": 900, "ceph:base-900-disk-1/vm-901-disk-0": 900,
		"local:900/base-900-disk-0.raw/901/vm-901-disk-0.qcow2": 900, "local-zfs:basevol-900-disk-0/basevol-901-disk-0": 900,
		"local-zfs:basevol-900-disk-0": 0, "local-lvm:base-900-disk-0": 0, "local-lvm:vm-901-disk-0": 0,
		"local:901/vm-901-disk-0.raw": 0, "local:900/base-900-disk-0.raw": 0, "local:database-900-x/y": 0, "/srv/base-900-disk-0/x": 0,
	} {
		id, _ := ParseVolumeID(volume)
		if got, ok := id.LinkedTo(); got != want || ok != (want != 0) {
			t.Errorf("%s is linked to %d, want %d", volume, got, want)
		}
	}
}

func TestAConfigurationIsLinkedByTheVolumesOfAllItsSections(t *testing.T) {
	c := ParseConfig([]byte("#see%3A local-zfs%3Abasevol-1-disk-0/x\nmp0: local-zfs:basevol-900-disk-0/subvol-905-disk-1,mp=/a\n" +
		"mp1: /srv/base-7-disk-0/x,mp=/b\nrootfs: local-zfs:subvol-905-disk-0,size=8G\n\n" +
		"[pve:pending]\nmp2: ceph:base-902-disk-0/vm-905-disk-2,mp=/c\n\n[old]\nrootfs: local-zfs:basevol-900-disk-0/subvol-905-disk-3\nunused0: a:901/base-901-disk-0.raw/905/vm-905-disk-0.qcow2\n"))
	if got := fmt.Sprint(c.LinkedTo()); got != "[900 901 902]" {
		t.Errorf("linked to %s", got)
	}
	if got := fmt.Sprint(c.Snapshots()); got != "[old]" {
		t.Errorf("snapshots %s", got)
	}
}

func TestWhatAStorageCanIsThatOfItsType(t *testing.T) {
	for kind, want := range map[string]string{
		"dir": "false true false", "nfs": "false true false", "lvm": "false false false", "lvmthin": "true true true",
		"zfspool": "true true true", "btrfs": "true true true", "rbd": "true true true", "somebodys": "true true true",
	} {
		s := Storage{Type: kind}
		if got := fmt.Sprint(s.Can(FeatureSnapshot), s.Can(FeatureTemplate), s.Can(FeatureLink)); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}
