package sim_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

// testdata/apt-config.txt is what apt-config 2.6.1 prints of these files.
func TestAptConfigReadsFilesAsAptDoes(t *testing.T) {
	g, err := sim.NewGuest(t.TempDir(), "debian-12-standard_12.7-1_amd64.tar.zst", sim.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	const dir = "/etc/apt/apt.conf.d/"
	for name, text := range map[string]string{
		"50unattended-upgrades": "Unattended-Upgrade::Allowed-Origins { \"${distro_id}:${distro_codename}\"; };\nUnattended-Upgrade::Origins-Pattern { \"origin=Debian,codename=${distro_codename},label=Debian\"; };\n",
		"90phoenix-upgrades": "APT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n#clear Unattended-Upgrade::Allowed-Origins;\n#clear Unattended-Upgrade::Origins-Pattern;\n" +
			"Unattended-Upgrade::Origins-Pattern {\n\t\"origin=Debian,codename=${distro_codename},label=Debian-Security\";\n\t\"origin=Debian,codename=${distro_codename}-security,label=Debian-Security\";\n};\n" +
			"Unattended-Upgrade::Package-Blacklist {\n\t\"docker-ce$\";\n\t\"libstdc\\+\\+6$\";\n};\n",
		"99operator": "// a comment\nAPT { Periodic { Unattended-Upgrade \"0\"; Enable \"0\"; }; };\nunattended-upgrade::origins-pattern:: \"origin=*\";\n",
	} {
		taskstest.Put(t, g.Host(), dir+name, text)
	}
	out, err := g.Host().Run(t.Context(), tasks.Cmd{Argv: []string{"apt-config", "dump", "APT::Periodic", "Unattended-Upgrade"}})
	if err != nil || out.Code != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	want, err := os.ReadFile("testdata/apt-config.txt")
	if err != nil {
		t.Fatal(err)
	}
	// The real one also prints the names of scopes and of empty lists, a name as it was first
	// written, and items beside one another.
	values := func(text string) []string {
		lines := slices.DeleteFunc(strings.Split(strings.ToLower(text), "\n"), func(line string) bool { return strings.HasSuffix(line, ` "";`) })
		slices.Sort(lines)
		return lines
	}
	if got := values(string(out.Stdout)); !slices.Equal(got, values(string(want))) {
		t.Errorf("%s\nwant %s", out.Stdout, want)
	}
}
