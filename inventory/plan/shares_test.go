package plan

import (
	"fmt"
	"strings"
	"testing"

	"phoenix/inventory"
	"phoenix/tasks/kind/apt"
	"phoenix/tasks/kind/dataset"
	"phoenix/tasks/kind/file"
	"phoenix/tasks/kind/firewall"
	"phoenix/tasks/kind/nfs"
	"phoenix/tasks/kind/samba"
	"phoenix/tasks/kind/user"
	"phoenix/tasks/secret"
	"phoenix/tasks/sharedir"
)

func TestWhatIsSharedWaitsForWhatItIsMadeOf(t *testing.T) {
	h := &inventory.Host{Name: "pve1", Hypervisor: &inventory.Hypervisor{
		Apt:      &apt.Spec{Packages: []string{"nfs-kernel-server", "samba"}},
		Users:    []user.Spec{{Name: "ann"}, {Name: "bob"}},
		Datasets: []dataset.Spec{{Name: "tank/data", Mountpoint: "/tank/data"}},
		NFS: &nfs.Spec{Exports: map[string]nfs.Export{
			"/tank/data/x": {Clients: map[string][]string{"*": nil}, Spec: sharedir.Spec{Owner: "ann"}},
			"/srv/a":       {Clients: map[string][]string{"*": nil}},
		}},
		Samba: &samba.Spec{
			Shares: map[string]samba.Share{"a": {Path: "/srv/a"}},
			Users:  map[string]samba.User{"bob": {Password: &secret.Ref{Name: "smb"}}},
		},
		Firewall: &firewall.Spec{Cluster: &firewall.Cluster{}, Host: &firewall.Host{}, ConfirmTimeoutS: 30},
		Files:    []file.Spec{{Path: "/srv/a", State: "directory"}},
	}}
	p := build(t, h, Selection{})
	needs := make(map[string]string)
	for _, s := range p.Steps {
		needs[s.ID] = strings.Join(s.Needs, " ")
	}
	for id, want := range map[string]string{
		"nfs:exports":   "apt:packages file:/srv/a zfs:tank/data user:ann",
		"samba:shares":  "apt:packages file:/srv/a user:bob",
		"firewall:host": "firewall:cluster",
	} {
		if needs[id] != want {
			t.Errorf("%s needs %q, want %q", id, needs[id], want)
		}
	}
	if fmt.Sprint(p.Secrets) != "[smb]" {
		t.Errorf("secrets %v", p.Secrets)
	}
	for _, s := range p.Steps {
		text := string(s.Spec)
		if s.Kind == "firewall" && (strings.Contains(text, `"cluster"`) == strings.Contains(text, `"host"`) || !strings.Contains(text, `"confirm_timeout_s":30`)) {
			t.Errorf("%s is %s", s.ID, text)
		}
	}
}
