package sim

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestStorageSettingsAreRewrittenAsProxmoxDoes(t *testing.T) {
	m := fresh(t, Options{})
	if err := m.write(storageFile, []byte("# mine\n"+m.text(storageFile)), 0o640); err != nil {
		t.Fatal(err)
	}
	must(t, m, "pvesm add dir data --path /srv/data --content rootdir,vztmpl --nodes pve1")
	if text := m.text(storageFile); strings.Contains(text, "# mine") || !strings.Contains(text, "dir: data\n\tpath /srv/data\n") {
		t.Errorf("storage.cfg is\n%s", text)
	}
	if !m.exists("/srv/data/template/cache") {
		t.Error("pvesm add made no folders")
	}
	must(t, m, "pvesm set data --content images --disable 1")
	s, _ := m.storage("data")
	if !s.disabled || !s.content["images"] || s.content["rootdir"] {
		t.Errorf("after pvesm set: %+v", s)
	}
	must(t, m, "pvesm set data --delete nodes,disable")
	if s, _ := m.storage("data"); s.disabled || s.props["nodes"] != "" {
		t.Errorf("after --delete: %+v", s)
	}
	must(t, m, "pvesm remove data")
	if _, there := m.storage("data"); there || !m.exists("/srv/data") {
		t.Error("pvesm remove kept the section or deleted the data")
	}
}

func TestContentListsComeOutInRandomOrder(t *testing.T) {
	m := fresh(t, Options{Layout: LayoutRecorded})
	seen := map[string]bool{}
	for range 20 {
		must(t, m, "pvesm set local --content iso,vztmpl,backup,images,rootdir,snippets")
		seen[m.text(storageFile)] = true
	}
	if len(seen) < 2 {
		t.Error("twenty writes gave one order")
	}
}

func TestPrograms(t *testing.T) {
	m := fresh(t, Options{}) // no row changes what another one asks
	for _, c := range []struct {
		name, line string
		code       int
		has        string // in stdout and stderr together
	}{
		{"pvesm add refuses a second storage of a name", "pvesm add dir local --path /x", 255, "create storage failed: storage ID 'local' already defined"},
		{"pvesm add wants the fixed properties", "pvesm add dir x1", 255, "path: property is missing and it is not optional"},
		{"pvesm add refuses a bad name", "pvesm add dir X --path /x", 255, "storage ID 'X' contains illegal characters"},
		{"pvesm set cannot change a path", "pvesm set local --path /x", 255, "Unknown option: path\n400 unable to parse option"},
		{"pvesm set refuses unknown content", "pvesm set local --content foo", 255, "invalid content type 'foo'"},
		{"pvesm set refuses a stale digest", "pvesm set local --digest 00 --content iso", 255, "detected modified configuration"},
		{"pvesm set of a missing one fails", "pvesm set nosuch --content iso", 255, "update storage failed: storage 'nosuch' does not exist"},
		{"pvesm remove of a missing one fails", "pvesm remove nosuch", 255, "delete storage failed: storage 'nosuch' does not exist"},
		{"a stock local takes no containers", "pvesm status --content rootdir", 0, "local-lvm"},
		{"pveam lists the sections", "pveam available --section mail", 0, "mail            proxmox-mail-gateway"},
		{"pveam update works", "pveam update", 0, "update successful"},
		{"apt-get does not know every package", "apt-get install -y nosuch", 100, "E: Unable to locate package nosuch"},
		{"apt-get -s tells and does nothing", "apt-get -s install curl", 0, "Inst curl (7.88.1"},
		{"apt-get remembers what is there", "apt-get install -y bash", 0, "bash is already the newest version"},
		{"apt-get keeps proxmox-ve", "apt-get remove -y pve-manager", 100, "pve-apt-hook returned an error code"},
		{"apt-get update fails at the enterprise archive", "apt-get update", 100, "401  Unauthorized"},
		{"dpkg-query tells status and version", "dpkg-query -W -f ${db:Status-Abbrev}|${Version} bash", 0, "ii |5.2.15-2+b8"},
		{"dpkg-query misses a package", "dpkg-query -W nosuch", 1, "no packages found matching nosuch"},
		{"systemctl tells an active unit", "systemctl is-active chrony", 0, "active\n"},
		{"systemctl tells an unknown unit", "systemctl show -p LoadState,ActiveState nosuch", 0, "LoadState=not-found\nActiveState=inactive\n"},
		{"systemctl cannot start what is not there", "systemctl start nosuch", 5, "Unit nosuch.service not found."},
		{"systemctl tells enablement", "systemctl is-enabled ssh.service", 0, "enabled\n"},
		{"timedatectl refuses an unknown zone", "timedatectl set-timezone Mars/Base", 1, "Invalid or not installed time zone 'Mars/Base'"},
		{"timedatectl shows", "timedatectl show", 0, "Timezone=Etc/UTC\n"},
		{"uname tells the architecture", "uname -m", 0, "x86_64\n"},
		{"hostname tells the name", "hostname", 0, "pve1\n"},
		{"grep finds nothing", "grep nosuch /etc/hosts", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := execLine(t, m, c.line)
			if code != c.code || !strings.Contains(out+errs, c.has) {
				t.Errorf("exit %d, want %d; printed\n%s%s\nwant %q", code, c.code, out, errs, c.has)
			}
		})
	}
}

func TestShellLines(t *testing.T) {
	m := fresh(t, Options{})
	for _, c := range []struct{ line, want string }{
		{`echo a; echo b`, "a\nb\n"},
		{`false; echo rc=$?`, "rc=1\n"},
		{`false && echo no || echo yes`, "yes\n"},
		{`true || echo no; echo end`, "end\n"},
		{`X=1; echo "$X" '$X' \$X`, "1 $X $X\n"},
		{`echo "a;b" 'c|d'`, "a;b c|d\n"},
		{`echo one > /tmp/f; echo two >> /tmp/f; cat < /tmp/f | grep t`, "two\n"},
		{`cat /nosuch 2>/dev/null; echo rc=$?`, "rc=1\n"},
		{`cat /nosuch 2>&1 | grep -c nosuch`, "1\n"},
		{`nosuchprogram; echo $?`, "127\n"},
		{`exit 3; echo no`, ""},
		{`echo a # comment`, "a\n"},
		{`cd /etc; cat hostname`, "pve1\n"},
	} {
		if _, out, _ := execv(t, m, "sh", "-c", c.line); out != c.want {
			t.Errorf("%s printed %q, want %q", c.line, out, c.want)
		}
	}
	for _, line := range []string{`echo $(id)`, "echo `id`", `sleep 1 &`, `echo "open`, `if true; then (id); fi`} {
		if code, out, errs := execv(t, m, "sh", "-c", line); code != 2 || !strings.Contains(errs, "Syntax error") {
			t.Errorf("%s: exit %d, %q, %q; want a syntax error", line, code, out, errs)
		}
	}
}

func TestPackagesComeWithWhatTheyNeed(t *testing.T) {
	m := fresh(t, Options{})
	out := must(t, m, "apt-get -y install nginx curl")
	if !strings.Contains(out, "3 newly installed") || !strings.Contains(out, "Setting up libcurl4") {
		t.Errorf("apt-get printed\n%s", out)
	}
	must(t, m, "systemctl is-active nginx")
	must(t, m, "apt-get -y purge nginx")
	if code, _, _ := execLine(t, m, "systemctl is-active nginx"); code != 3 {
		t.Errorf("nginx's unit still answers %d after the package went", code)
	}
	before := digest(t, m)
	must(t, m, "apt-get -y install curl")
	if digest(t, m) != before {
		t.Error("installing what is there changed something")
	}
	must(t, m, "apt-mark hold openssl")
	if out := must(t, m, "apt-get -y dist-upgrade"); !strings.Contains(out, "0 upgraded") {
		t.Errorf("a held package was upgraded:\n%s", out)
	}
	must(t, m, "apt-mark unhold openssl")
	if out := must(t, m, "apt-get -y dist-upgrade"); !strings.Contains(out, "1 upgraded") {
		t.Errorf("openssl was not upgraded:\n%s", out)
	}
}

func TestAKilledInstallationCanBeFinished(t *testing.T) {
	m := fresh(t, Options{})
	if err := m.Fault(Fault{Kind: FaultKill, Program: "apt-get", Verb: "install", Point: "unpacked", Nth: 1}); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := execLine(t, m, "apt-get install nginx -y"); code != 137 {
		t.Fatalf("exit %d, want that of a killed program", code)
	}
	if out := must(t, m, "dpkg-query -W -f ${Status} nginx"); out != "install ok unpacked" {
		t.Errorf("the half installed package is %q", out)
	}
	if code, _, errs := execLine(t, m, "apt-get install -y htop"); code != 100 || !strings.Contains(errs, "dpkg --configure -a") {
		t.Errorf("apt-get after the kill: exit %d, %s", code, errs)
	}
	must(t, m, "dpkg --configure -a")
	must(t, m, "apt-get install -y htop")
	must(t, m, "systemctl is-active nginx")
}

func TestABusyDpkgIsRefusedAtOnceOrAfterTheTimeout(t *testing.T) {
	m := fresh(t, Options{})
	if err := m.Fault(Fault{Kind: FaultDpkgLock}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"apt-get install -y htop", "apt-get -o DPkg::Lock::Timeout=1 install -y htop"} {
		code, out, errs := execLine(t, m, line)
		if code != 100 || !strings.Contains(errs, "Could not get lock") || strings.Contains(line, "Timeout") != strings.Contains(out, "Waiting for cache lock") {
			t.Errorf("%s: exit %d\n%s%s", line, code, out, errs)
		}
	}
}

func TestDownloads(t *testing.T) {
	m := fresh(t, Options{})
	const file = "debian-12-standard_12.12-1_amd64.tar.zst"
	const path = "/var/lib/vz/template/cache/" + file
	if err := m.Fault(Fault{Kind: FaultDownload, Nth: 1}); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := execLine(t, m, "pveam download local "+file); code != 0 || !strings.Contains(errs, "download failed") || m.exists(path) {
		t.Errorf("a failed download: exit %d, %q, there: %v; the real one exits 0", code, errs, m.exists(path))
	}
	must(t, m, "pveam download local "+file)
	if out := must(t, m, "pveam download local "+file); !strings.Contains(out, "no need to download") {
		t.Errorf("the second download printed\n%s", out)
	}
	if err := os.WriteFile(m.path(path), []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, m, "pveam download local "+file)
	if data := m.text(path); sha512Hex([]byte(data)) != sha512Hex(templateContent(file)) {
		t.Error("a broken template was not fetched again")
	}
	must(t, m, "pveam remove local:vztmpl/"+file)
	if m.exists(path) {
		t.Error("pveam remove left the file")
	}
}

func TestUnits(t *testing.T) {
	m := fresh(t, Options{})
	starts := m.Starts("chrony")
	must(t, m, "systemctl restart chrony")
	must(t, m, "systemctl start chrony")
	if got := m.Starts("chrony"); got != starts+1 {
		t.Errorf("chrony was started %d times, want %d", got, starts+1)
	}
	must(t, m, "systemctl disable --now chrony")
	if _, out, _ := execLine(t, m, "systemctl is-enabled chrony"); out != "disabled\n" {
		t.Errorf("is-enabled prints %q", out)
	}
	if out := must(t, m, "timedatectl show"); !strings.Contains(out, "NTP=no\n") {
		t.Errorf("timedatectl without chrony prints %q", out)
	}
	must(t, m, "timedatectl set-ntp true")
	must(t, m, "systemctl is-active chrony")
	must(t, m, "systemctl mask cron")
	if code, _, errs := execLine(t, m, "systemctl restart cron"); code != 1 || !strings.Contains(errs, "is masked") {
		t.Errorf("restart of a masked unit: %d %s", code, errs)
	}
	must(t, m, "timedatectl set-timezone Europe/Berlin")
	zone, err := m.Host().Stat("/etc/localtime")
	if err != nil || !strings.HasSuffix(zone.Target, "/usr/share/zoneinfo/Europe/Berlin") || m.text("/etc/timezone") != "Europe/Berlin\n" {
		t.Errorf("the zone is %q (%q), %v", zone.Target, m.text("/etc/timezone"), err)
	}
}

func TestSourcesInBothFormatsAreRead(t *testing.T) {
	m := fresh(t, Options{Release: "9.1"})
	own := "Types: deb\nURIs: http://download.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-no-subscription\n\n" +
		"Types: deb\nURIs: http://off.example.org/debian\nSuites: trixie\nComponents: main\nEnabled: no\n"
	if err := m.write("/etc/apt/sources.list.d/own.sources", []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.write("/etc/apt/sources.list.d/old.list", []byte("deb [arch=amd64] http://deb.debian.org/debian trixie main # x\n#deb http://no x y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var uris []string
	for _, s := range m.sources() {
		uris = append(uris, s.uri)
	}
	if !slices.Contains(uris, "http://download.proxmox.com/debian/pve") || !slices.Contains(uris, "http://deb.debian.org/debian") || slices.Contains(uris, "http://off.example.org/debian") || slices.Contains(uris, "http://no") {
		t.Errorf("sources are %v", uris)
	}
	for _, p := range []string{"/etc/apt/sources.list.d/pve-enterprise.sources", "/etc/apt/sources.list.d/ceph.sources"} {
		if err := os.Remove(m.path(p)); err != nil {
			t.Fatal(err)
		}
	}
	must(t, m, "apt-get update")
	must(t, m, "apt-get install -y proxmox-backup-client")
}
