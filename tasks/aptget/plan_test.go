package aptget_test

import (
	"os"
	"reflect"
	"testing"

	"phoenix/tasks/aptget"
	"phoenix/tasks/taskstest"
)

// The file is what apt 2.6.1 of Debian 12 printed on a machine with old packages.
func TestParsePlan_readsWhatAptPrinted(t *testing.T) {
	data, err := os.ReadFile("testdata/dist-upgrade-debian12.txt")
	if err != nil {
		t.Fatal(err)
	}
	p := aptget.ParsePlan(string(data))
	if len(p.Install) != 9 || len(p.Remove) != 0 {
		t.Fatalf("%d to install, %d to remove", len(p.Install), len(p.Remove))
	}
	for i, want := range map[int]aptget.Install{
		0: {Name: "base-files", From: "12.4+deb12u11", To: "12.4+deb12u15", Labels: []string{"Debian"}},
		2: {Name: "libgcrypt20-dev", From: "1.10.1-3", To: "1.10.1-3+deb12u1", Labels: []string{"Debian", "Debian-Security"}},
		7: {Name: "libcap2", From: "1:2.66-4+deb12u2+b2", To: "1:2.66-4+deb12u3+b1", Labels: []string{"Debian"}},
	} {
		if !reflect.DeepEqual(p.Install[i], want) {
			t.Errorf("line %d: %+v, want %+v", i, p.Install[i], want)
		}
	}
}

func TestParsePlan_oddLines(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       aptget.Plan
	}{
		{"a new package", "Inst nginx (1.22.1-9+deb12u11 Debian-Security:12/oldstable-security [amd64])", aptget.Plan{Install: []aptget.Install{{Name: "nginx", To: "1.22.1-9+deb12u11", Labels: []string{"Debian-Security"}}}}},
		{"a label with blanks", "Inst pve-manager [8.4.1] (8.4.21 Proxmox Debian Repository:stable [all])", aptget.Plan{Install: []aptget.Install{{Name: "pve-manager", From: "8.4.1", To: "8.4.21", Labels: []string{"Proxmox Debian Repository"}}}}},
		{"an archive without a label", "Inst x [1] (2 localhost [amd64])", aptget.Plan{Install: []aptget.Install{{Name: "x", From: "1", To: "2"}}}},
		{"what gets broken on the way", "Remv ifupdown2 [3.2.0-1+pmx11] [proxmox-ve:amd64 ]", aptget.Plan{Remove: []aptget.Remove{{Name: "ifupdown2", Version: "3.2.0-1+pmx11"}}}},
		{"a line cut short", "Inst x", aptget.Plan{Install: []aptget.Install{{Name: "x"}}}},
		{"other lines", "Conf x (1 Debian:12/stable [amd64])\n\nInst\nThe following packages will be upgraded:\n", aptget.Plan{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := aptget.ParsePlan(tc.line); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestLost_arePackagesThatMakeTheHost(t *testing.T) {
	p := aptget.ParsePlan("Remv proxmox-ve [8.4.0]\nRemv ifupdown2:all [3.2]\nPurg libpve-common-perl [8]\nRemv nano [7.2-1]\nRemv libcorosync [1]\n")
	if got, want := p.Lost(), []string{"proxmox-ve", "ifupdown2", "libpve-common-perl"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCodename_isWhatTheFileSays(t *testing.T) {
	for text, want := range map[string]string{
		"ID=debian\nVERSION_CODENAME=trixie\n": "trixie", "VERSION_CODENAME=\"bookworm\"\n": "bookworm", "VERSION_CODENAME='sid'": "sid",
		"ID=debian\n": "", "VERSION_CODENAME=../x\n": "",
	} {
		got, err := aptget.Codename(taskstest.NewTree(t, map[string]string{"/etc/os-release": text}))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add("Inst bash [1] (2 Debian:12/stable [amd64]) []\nRemv x [1]\n")
	f.Add("Inst a () ]\nInst b [ ( [\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := aptget.ParsePlan(text)
		for _, i := range p.Install {
			if i.Name == "" {
				t.Errorf("a package without a name in %q", text)
			}
		}
	})
}
