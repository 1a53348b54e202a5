package sim

import (
	"os"
	"strings"
	"testing"
)

func TestFirstScriptsFindTheirPrograms(t *testing.T) {
	for _, template := range []string{debian12, alpine20} {
		g := newGuest(t, template)
		for _, c := range []struct {
			line string
			code int
			has  string
		}{
			{"mkdir /srv/a/b", 1, "cannot create directory '/srv/a/b': No such file or directory"},
			{"mkdir -p /srv/a/b", 0, ""},
			{"mkdir -p /srv/a/b", 0, ""},
			{"mkdir /srv/a", 1, "cannot create directory '/srv/a': File exists"},
			{"mkdir", 1, "missing operand"},
			{"mkdir -Z x", 1, "invalid option -- 'Z'"},
			{"test -d /srv/a", 0, ""},
			{"[ -d /srv/a/b ]", 0, ""},
			{"[ -d /srv/a", 2, "[: missing ]"},
			{"[ ! -e /srv/none ]", 0, ""},
			{"test -f /srv/a", 1, ""},
			{"test -s /etc/os-release", 0, ""},
			{"test -x /etc/os-release", 1, ""},
			{"test a = a", 0, ""},
			{"test a != a", 1, ""},
			{"test 3 -ge 2", 0, ""},
			{"test 2 -gt x", 2, "Illegal number: x"},
			{"test -n a -a -n b", 2, "one condition"},
			{"touch /srv/a/f", 0, ""},
			{"chmod 0750 /srv/a/f", 0, ""},
			{"test -x /srv/a/f", 0, ""},
			{"chmod u-x,g-rx /srv/a/f", 0, ""},
			{"test -x /srv/a/f", 1, ""},
			{"chmod rw /srv/a/f", 1, "invalid mode: 'rw'"},
			{"chmod 600 /srv/none", 1, "cannot access '/srv/none': No such file or directory"},
			{"chown nobody:0 /srv/a/f", 0, ""},
			{"chown nosuch /srv/a/f", 1, "invalid user: 'nosuch'"},
			{"rm /srv/a", 1, "cannot remove '/srv/a': Is a directory"},
			{"rm /srv/none", 1, "cannot remove '/srv/none': No such file or directory"},
			{"rm -f /srv/none", 0, ""},
			{"rm /srv/a/f", 0, ""},
			{"rm -rf -- /srv/a", 0, ""},
			{"test -e /srv/a", 1, ""},
			{"wc -l /etc/nosuch /etc/hostname", 1, "1 /etc/hostname"},
		} {
			code, out, errs := execLine(t, g, c.line)
			if code != c.code || !strings.Contains(out+errs, c.has) {
				t.Errorf("%s: %s: exit %d, want %d; %q, want %q", template, c.line, code, c.code, out+errs, c.has)
			}
		}
	}
}

func TestFilesThatAreGivenAwayAndTheirModesAreSeen(t *testing.T) {
	g := newGuest(t, debian12)
	must(t, g, "mkdir -p /srv/a/b")
	must(t, g, "chown -R www-data:www-data /srv/a")
	must(t, g, "chmod 1770 /srv/a/b")
	must(t, g, "chmod go=r,u-w /srv/a/b")
	info, err := g.Host().Stat("/srv/a/b")
	if err != nil || info.UID != 33 || info.GID != 33 || info.Mode.Perm() != 0o544 || info.Mode&os.ModeSticky == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestNoProgramFollowsALinkOutOfTheMachine(t *testing.T) {
	g, outside := newGuest(t, debian12), t.TempDir()
	if err := os.WriteFile(outside+"/kept", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.link("/srv/out", outside); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"rm -rf /srv/out/kept", "mkdir -p /srv/out/made", "chmod 0777 /srv/out/kept"} {
		if code, _, errs := execLine(t, g, line); code == 0 {
			t.Errorf("%s succeeds: %s", line, errs)
		}
	}
	info, err := os.Stat(outside + "/kept")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("outside there is %v, %v", info, err)
	}
	if _, err := os.Stat(outside + "/made"); err == nil {
		t.Error("a folder was made outside")
	}
}

func TestGuestsKnowTheTimeZonesOfTheHosts(t *testing.T) {
	m := fresh(t, Options{})
	a := newGuest(t, alpine20)
	must(t, a, "apk add tzdata")
	for name, at := range map[string]*Machine{"the host": m, "Debian": newGuest(t, debian12), "Alpine": a} {
		for _, zone := range []string{"Europe/Paris", "America/New_York", "Etc/UTC"} {
			if !at.exists("/usr/share/zoneinfo/" + zone) {
				t.Errorf("%s has no %s", name, zone)
			}
		}
	}
}

func TestTheShellSaysWhatItDoesNotKnow(t *testing.T) {
	g := newGuest(t, debian12)
	for line, want := range map[string]string{
		"touch /srv/early\nif true\nthen echo a\nfi": `"if" unexpected (the simulated shell knows simple command lines only)`,
		"echo a; for x in a b; do echo; done":        `"for" unexpected`,
		"true && while true; do echo; done":          `"while" unexpected`,
		"until false; do echo; done":                 `"until" unexpected`,
		"case a in a) echo;; esac":                   `unexpected (the simulated shell`,
		"function f { echo; }":                       `unexpected (the simulated shell`,
		"{ echo a; }":                                `"{" unexpected (the simulated shell`,
		"! true":                                     `"!" unexpected`,
	} {
		if code, _, errs := execv(t, g, "sh", "-c", line); code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%q: exit %d, %q; want %q", line, code, errs, want)
		}
	}
	if g.exists("/srv/early") {
		t.Error("a line before the one that is refused was run")
	}
	for line, want := range map[string]string{"awk 1": "sh: 1: awk: not found (or not simulated)\n", "curl x": "sh: 1: curl: not found\n", "/opt/x": "sh: 1: /opt/x: not found\n"} {
		if code, _, errs := execv(t, g, "sh", "-c", line); code != 127 || errs != want {
			t.Errorf("%q: exit %d, %q; want %q", line, code, errs, want)
		}
	}
}

func TestTheShellEndsAtAFailureWhenItIsTold(t *testing.T) {
	g := newGuest(t, debian12)
	for line, want := range map[string]string{
		"false; echo on":                   "on\n",
		"set -e; false; echo on":           "",
		"set -eu\nfalse || echo or\nfalse": "or\n",
		"set -e; false && echo; echo on":   "on\n",
		"set -e; set +e; false; echo on":   "on\n",
		`X=a; echo ${X}b "${X}c"`:          "ab ac\n",
		"export X=a; echo $X":              "a\n",
		"if=1; echo $if done":              "1 done\n",
	} {
		if _, out, errs := execv(t, g, "sh", "-c", line); out != want {
			t.Errorf("%q printed %q (%s), want %q", line, out, errs, want)
		}
	}
	if code, out, _ := execv(t, g, "sh", "-ec", "false\necho on"); code != 1 || out != "" {
		t.Errorf("sh -ec goes on: %d, %q", code, out)
	}
}
