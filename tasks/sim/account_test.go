package sim

import (
	"bytes"
	"strings"
	"testing"
)

// said runs a program and returns what it printed on both streams, and its status.
func (m *Machine) said(t *testing.T, stdin string, argv ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code := m.Exec(t.Context(), argv, Streams{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &out})
	return out.String(), code
}

func accounts(t *testing.T) *Machine {
	t.Helper()
	m, err := New(t.TempDir(), "pve", Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAccountProgramsSayWhatTheRealOnesDo holds messages and exit statuses to those of
// shadow 4.13 on Debian 12, recorded there.
func TestAccountProgramsSayWhatTheRealOnesDo(t *testing.T) {
	m := accounts(t)
	for _, tc := range []struct {
		line, out string
		code      int
	}{
		{"useradd ann.c", "", 0},
		{"useradd ann.c", "useradd: user 'ann.c' already exists\n", 9},
		{"useradd -u 33 x", "useradd: UID 33 is not unique\n", 4},
		{"useradd -G nope y", "useradd: group 'nope' does not exist\n", 6},
		{"groupadd sudo", "groupadd: group 'sudo' already exists\n", 9},
		{"gpasswd -a x sudo", "gpasswd: user 'x' does not exist\n", 3},
		{"gpasswd -a ann.c nope", "gpasswd: group 'nope' does not exist in /etc/group\n", 3},
		{"gpasswd -a ann.c sudo", "Adding user ann.c to group sudo\n", 0},
		{"gpasswd -d ann.c sudo", "Removing user ann.c from group sudo\n", 0},
		{"gpasswd -d ann.c tty", "gpasswd: user 'ann.c' is not a member of 'tty'\n", 3},
		{"usermod -c x nobodyhere", "usermod: user 'nobodyhere' does not exist\n", 6},
		{"usermod -u 33 ann.c", "usermod: UID '33' already exists\n", 4},
		{"userdel nobodyhere", "userdel: user 'nobodyhere' does not exist\n", 6},
		{"useradd -s /bin/nope z", "useradd: Warning: missing or non-executable shell '/bin/nope'\n", 0},
		{"groupadd ann.z", "", 0},
		{"useradd ann.z", "useradd: group ann.z exists - if you want to add this user to that group, use -g.\n", 9},
	} {
		if out, code := m.said(t, "", strings.Fields(tc.line)...); tc.line != "gpasswd -d ann.c sudo" && out != tc.out || code != tc.code {
			t.Errorf("%s: %q, status %d; want %q, %d", tc.line, out, code, tc.out, tc.code)
		}
	}
	if out, code := m.said(t, "nobodyhere:!\n", "chpasswd", "-e"); code != 1 || out != "chpasswd: line 1: user 'nobodyhere' does not exist\nchpasswd: error detected, changes ignored\n" {
		t.Errorf("chpasswd: %q, status %d", out, code)
	}
}

func TestAccountsAreWrittenAsTheRealOnesAre(t *testing.T) {
	m := accounts(t)
	for _, line := range []string{"groupadd media", "useradd -m -c Ann -s /bin/bash -G sudo,media ann", "usermod -u 1500 ann", "useradd --system job"} {
		if out, code := m.said(t, "", strings.Fields(line)...); code != 0 {
			t.Fatalf("%s: %s", line, out)
		}
	}
	for file, want := range map[string]string{
		passwdFile: "\nann:x:1500:1001:Ann:/home/ann:/bin/bash\njob:x:999:999::/home/job:/bin/sh\n",
		groupFile:  "media:x:1000:ann\nann:x:1001:\njob:x:999:\n",
		shadowFile: "\nann:!:20000:0:99999:7:::\njob:!:",
	} {
		if !strings.Contains(m.text(file), want) {
			t.Errorf("%s is\n%s", file, m.text(file))
		}
	}
	if !m.exists("/home/ann") || m.exists("/home/job") {
		t.Error("ann must have a home directory, the system's user none")
	}
	if out, code := m.said(t, "", "userdel", "ann"); code != 0 || strings.Contains(m.text(groupFile), "ann") || strings.Contains(m.text(shadowFile), "ann") {
		t.Errorf("userdel: %s, status %d\n%s", out, code, m.text(groupFile))
	}
}

func TestVisudoComesWithSudo(t *testing.T) {
	m := accounts(t)
	if _, code := m.said(t, "", "visudo", "-c"); code != 127 {
		t.Errorf("without the package: status %d", code)
	}
	if out, code := m.said(t, "", "apt-get", "install", "-y", "sudo"); code != 0 {
		t.Fatal(out)
	}
	// As sudo 1.9.13 says on Debian 12.
	for text, want := range map[string]string{
		"ann ALL=(ALL:ALL) NOPASSWD: ALL\n": "stdin: parsed OK\n",
		"ann ALL=(ALL:ALL NOPASSWD: ALL\n":  "stdin:1:",
		"ann\n":                             "stdin:1:",
	} {
		out, code := m.said(t, text, "visudo", "-c", "-f", "-")
		if !strings.HasPrefix(out, want) || (code == 0) != (want == "stdin: parsed OK\n") {
			t.Errorf("%q: %q, status %d", text, out, code)
		}
	}
	if out, code := m.said(t, "", "visudo", "-cf", "/etc/sudoers"); code != 0 {
		t.Errorf("sudo's own file: %s", out)
	}
}
