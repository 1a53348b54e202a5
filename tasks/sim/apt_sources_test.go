package sim

import (
	"strings"
	"testing"
)

func TestAptGetReadsSourcesAsAptDoes(t *testing.T) {
	m := fresh(t, Options{})
	const try = "apt-get indextargets -o Dir::Etc::SourceList=/tmp/s/sources.list -o Dir::Etc::SourceParts=/tmp/s/parts"
	stanza := func(extra string) string {
		return "Types: deb\nURIs: http://x.example/debian\nSuites: bookworm\n" + extra
	}
	for _, tc := range []struct {
		name, file, text string
		code             int
		has              string
	}{
		{"a stanza", "a.sources", stanza("Components: main\n"), 0, ""},
		{"a stanza without components", "a.sources", stanza(""), 100, "E: Malformed entry 1 in sources file /tmp/s/parts/a.sources (Component)"},
		{"a path has none", "a.sources", strings.Replace(stanza(""), "bookworm", "./", 1), 0, ""},
		{"two keys of one suite", "a.sources", stanza("Components: main\nSigned-By: /a.gpg\n") + "\n" + stanza("Components: other\n"), 100, "Conflicting values set for option Signed-By regarding source http://x.example/debian/ bookworm: /a.gpg != "},
		{"a key of a stanza that is off", "a.sources", stanza("Components: main\nSigned-By: /a.gpg\nEnabled: no\n") + "\n" + stanza("Components: other\n"), 0, ""},
		{"a line of something else", "a.list", "# deb\nrubbish line\n", 100, "E: Type 'rubbish' is not known on line 2 in source list /tmp/s/parts/a.list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := m.writeAll(map[string]string{"/tmp/s/parts/a.sources": "", "/tmp/s/parts/a.list": ""}); err != nil {
				t.Fatal(err)
			}
			if err := m.writeAll(map[string]string{"/tmp/s/parts/" + tc.file: tc.text}); err != nil {
				t.Fatal(err)
			}
			if code, _, errs := execLine(t, m, try); code != tc.code || !strings.Contains(errs, tc.has) {
				t.Errorf("exit %d, said %q; want %d, %q", code, errs, tc.code, tc.has)
			}
		})
	}
}

func TestSimulationsNameTheArchive(t *testing.T) {
	for release, name := range map[string]string{"8.4": "bookworm", "9.1": "trixie"} {
		m := fresh(t, Options{Release: release})
		if _, out, _ := execLine(t, m, "apt-get -s dist-upgrade"); !strings.Contains(out, "Debian-Security:") {
			t.Errorf("%s: %s", release, out)
		}
		if code, _, errs := execLine(t, m, "apt-get -s -t nosuch dist-upgrade"); code != 100 || !strings.Contains(errs, "'nosuch' is invalid for APT::Default-Release") {
			t.Errorf("%s: exit %d, %s", release, code, errs)
		}
		if code, _, errs := execLine(t, m, "apt-get -s -t "+name+"-security dist-upgrade"); code != 0 {
			t.Errorf("%s: exit %d, %s", release, code, errs)
		}
	}
}

func TestLocalesAndNamesAreSetAsOnDebian(t *testing.T) {
	m := fresh(t, Options{})
	for _, c := range []struct {
		name, line string
		code       int
		has        string
	}{
		{"the installer leaves English", "locale -a", 0, "en_US.utf8\n"},
		{"a default that is not generated is refused", "update-locale LANG=de_DE.UTF-8", 1, "invalid locale settings:  LANG=de_DE.UTF-8"},
		{"what is listed is generated", "sh -c 'echo de_DE.UTF-8 UTF-8 >> /etc/locale.gen; locale-gen --keep-existing'", 0, "de_DE.UTF-8... done"},
		{"and can be the default", "sh -c 'update-locale LANG=de_DE.UTF-8; cat /etc/default/locale'", 0, "LANG=de_DE.UTF-8\n"},
		{"an unknown one is no error", "sh -c 'echo xx_XX.UTF-8 UTF-8 >> /etc/locale.gen; locale-gen'", 0, "cannot open locale definition file"},
		{"a name is set", "sh -c 'hostnamectl set-hostname pve9; hostname; cat /etc/hostname'", 0, "pve9\npve9\n"},
		{"a name with a blank is refused", "hostnamectl set-hostname pve_9", 1, "Invalid static hostname"},
		{"the way out has an address", "ip -j route get 192.0.2.1", 0, `"prefsrc":"10.99.99.2"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			argv := strings.SplitN(c.line, " ", 3)
			if argv[0] == "sh" {
				argv[2] = strings.Trim(argv[2], "'")
			} else {
				argv = strings.Fields(c.line)
			}
			if code, out, errs := execv(t, m, argv...); code != c.code || !strings.Contains(out+errs, c.has) {
				t.Errorf("exit %d, want %d; printed\n%s%s\nwant %q", code, c.code, out, errs, c.has)
			}
		})
	}
}
