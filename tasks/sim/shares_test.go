package sim

import (
	"os"
	"strings"
	"testing"
)

// The texts are those of nfs-utils 2.6.2, Samba 4.17 and pve-firewall as recorded.

func installed(t *testing.T, names ...string) *Machine {
	t.Helper()
	m := fresh(t, Options{})
	execLine(t, m, "apt-get update") // the archives that want a subscription fail
	for _, name := range names {
		if code, _, said := execLine(t, m, "apt-get -y install "+name); code != 0 {
			t.Fatal(said)
		}
	}
	return m
}

func layText(t *testing.T, m *Machine, path, text string) {
	t.Helper()
	if err := m.write(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestExportfsFillsInDefaultsAndGoesOnAfterMistakes(t *testing.T) {
	m := installed(t, "nfs-kernel-server")
	if err := os.MkdirAll(m.path("/srv/a"), 0o755); err != nil {
		t.Fatal(err)
	}
	layText(t, m, "/etc/exports", "# all\n/srv/a 10.0.0.1(bogus)\n/srv/a 10.0.0.2(rw,async,no_subtree_check,sec=krb5)\n/srv/nosuch *(ro)\n")
	layText(t, m, "/etc/exports.d/a.exports", "/srv/a 10.0.0.0/24 (rw,no_subtree_check)\n")
	layText(t, m, "/etc/exports.d/ignored", "/srv/a 10.0.0.9(rw)\n")
	code, _, said := execLine(t, m, "exportfs -ra")
	for _, want := range []string{`exportfs: /etc/exports:2: unknown keyword "bogus"`, "Failed to stat /srv/nosuch: No such file or directory", "Neither 'subtree_check' or 'no_subtree_check' specified for export \"*:/srv/nosuch\""} {
		if code != 1 || !strings.Contains(said, want) {
			t.Errorf("status %d, %q is not in %q", code, want, said)
		}
	}
	const defaults = "wdelay,hide,nocrossmnt,secure,root_squash,no_all_squash,no_subtree_check,secure_locks,acl,no_pnfs,anonuid=65534,anongid=65534,"
	for _, want := range []string{
		"/srv/a\t10.0.0.2(rw,async," + defaults + "sec=krb5,rw,root_squash,no_all_squash)\n",
		"/srv/a\t*(rw,sync," + defaults + "sec=sys,rw,root_squash,no_all_squash)\n", // a blank before the parenthesis
	} {
		if got := m.text(etabFile); !strings.Contains(got, want) || strings.Contains(got, "10.0.0.1(") || strings.Contains(got, "10.0.0.9") {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if code, _, said := execLine(t, fresh(t, Options{}), "exportfs -ra"); code != 127 {
		t.Errorf("without its package: %d %s", code, said)
	}
}

func TestTestparmReportsSuccessForMostMistakes(t *testing.T) {
	m := installed(t, "samba")
	for _, tc := range []struct {
		text, said string
		code       int
	}{
		{"[a]\n path = /x\n", "Loaded services file OK.", 0},
		{"[a]\n bogus = 1\n", "Unknown parameter encountered: \"bogus\"\nIgnoring unknown parameter \"bogus\"", 0},
		{"[a]\n workgroup = X\n", "Global parameter workgroup found in service section!", 0},
		{"[a]\n read only = maybe\n", "set_variable_helper(maybe): value is not boolean!\nError loading services.", 1},
		{"[a\n", "Error loading services.", 1},
	} {
		layText(t, m, "/etc/samba/smb.conf", tc.text)
		if code, _, said := execLine(t, m, "testparm -s"); code != tc.code || !strings.Contains(said, tc.said) {
			t.Errorf("%q: status %d, said %q", tc.text, code, said)
		}
	}
}

func TestSmbpasswdNeedsALinuxUserAndTheSameTwice(t *testing.T) {
	m := installed(t, "samba")
	for line, want := range map[string]string{
		"echo x | smbpasswd -s -a daemon": "Mismatch - password unchanged.",
		"smbpasswd -s -a daemon":          "Mismatch - password unchanged.",
	} {
		if code, _, said := execv(t, m, "sh", "-c", line); code != 1 || !strings.Contains(said, want) {
			t.Errorf("%s: %d %q", line, code, said)
		}
	}
	layText(t, m, "/tmp/twice", "password\npassword\n")
	if code, _, said := execv(t, m, "sh", "-c", "cat /tmp/twice | smbpasswd -s -a nosuch"); code != 1 || said != "Failed to add entry for user nosuch.\n" {
		t.Errorf("%d %q", code, said)
	}
	if code, out, _ := execv(t, m, "sh", "-c", "cat /tmp/twice | smbpasswd -s -a daemon"); code != 0 || out != "Added user daemon.\n" {
		t.Errorf("%d %q", code, out)
	}
	if _, out, _ := execLine(t, m, "pdbedit -L -w"); !strings.Contains(out, "daemon:1:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:8846F7EAEE8FB117AD06BDD830B7586C:[U          ]:LCT-") {
		t.Errorf("pdbedit says %q", out)
	}
}

func TestPveFirewallTellsAndSkipsWhatItCannotRead(t *testing.T) {
	m := fresh(t, Options{})
	layText(t, m, "/etc/pve/firewall/cluster.fw", "lost\n[OPTIONS]\nenable: 1\nbogus: 3\n[RULES]\nstray\nIN ACCEPT -p tcp -dport 99999\nGROUP nosuch\nIN DROP -source +nosuch # x\n|IN SSH(ACCEPT) -source 10.0.0.1 # fine\n")
	code, _, said := execLine(t, m, "pve-firewall compile")
	for _, want := range []string{"skip line - no section", "can't parse option 'bogus: 3'", "unable to parse rule: stray", "dport: invalid port '99999'", "no such security group 'nosuch'", "no such ipset 'nosuch'"} {
		if code != 0 || !strings.Contains(said, want) {
			t.Errorf("status %d, %q is not in %q", code, want, said)
		}
	}
	if strings.Count(said, "\n") != 6 {
		t.Errorf("said\n%s", said)
	}
	layText(t, m, "/etc/pve/firewall/cluster.fw", "[OPTIONS]\nenable: 1\n[ALIASES]\nLan 10.0.0.0/8 # x\n[IPSET web]\nlan\n!10.1.0.1\nnoalias\n[group g]\nIN Nonsense(ACCEPT)\n[RULES]\n"+
		"GROUP g\nIN HTTP/3(ACCEPT) -source lan,dc/lan,10.0.0.0/8 -dest +web\nIN ping(ACCEPT) -source local_network\nIN ACCEPT -source fd00::1,+dc/web,+dc/nosuch\nIN ACCEPT -dest nolan\n")
	if code, _, said := execLine(t, m, "pve-firewall compile"); code != 0 || said != "/etc/pve/firewall/cluster.fw (line 1) - macro: unknown macro 'Nonsense'\nno such ipset 'nosuch'\nno such alias 'nolan'\nno such alias 'noalias'\n" {
		t.Errorf("status %d, said\n%s", code, said)
	}
	for line, want := range map[string]string{"pve-firewall status": "Status: enabled/running\n", "pve-firewall stop; pve-firewall status": "Status: enabled/stopped\n"} {
		if _, out, _ := execv(t, m, "sh", "-c", line); out != want {
			t.Errorf("%s: %q", line, out)
		}
		execLine(t, m, "pve-firewall restart")
	}
}
