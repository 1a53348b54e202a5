package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestSambaReadsTheSharesThatAreWritten hands the golden file to the real testparm, as
// the family does.
func TestSambaReadsTheSharesThatAreWritten(t *testing.T) {
	golden, err := os.ReadFile("../tasks/kind/samba/testdata/phoenix.conf")
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) (dump, said string) {
		cmd := exec.CommandContext(t.Context(), "testparm", "-s", "/dev/stdin")
		var stdout, stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), &stdout, &stderr
		_ = cmd.Run() // its status says nothing: 1 also where only Samba's folders are missing
		return stdout.String(), stderr.String()
	}
	fault := regexp.MustCompile(`Unknown|Ignoring|service section|Error loading|boolean`)
	dump, said := read(string(golden))
	if fault.MatchString(said) {
		t.Errorf("testparm says\n%s", said)
	}
	for _, want := range []string{"workgroup = LAB", "[Two Words$]", "[data]", "valid users = daemon @www-data", "directory mask = 0770", "read only = No"} {
		if !strings.Contains(dump, want) {
			t.Errorf("%q is not in\n%s", want, dump)
		}
	}
	for name, change := range map[string][2]string{
		"an unknown parameter":            {"vfs objects", "vfs bogus"},
		"a parameter of the whole server": {"vfs objects = acl_xattr", "server role = standalone server"},
		"a boolean that is none":          {"guest ok = no", "guest ok = maybe"},
		"a section that is not closed":    {"[data]", "[data"},
	} {
		if _, said := read(strings.Replace(string(golden), change[0], change[1], 1)); !fault.MatchString(said) {
			t.Errorf("%s: testparm says\n%s", name, said)
		}
	}
}

// TestExportfsReadsTheExportsThatAreWritten has the real exportfs read the golden file
// in a root of its own, without a word, and compares what it then exports.
func TestExportfsReadsTheExportsThatAreWritten(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc/exports.d", "var/lib/nfs", "tank/data", "tank/two words"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const program = "/usr/local/lib/phoenix-e2e/nfs-kernel-server/usr/sbin/exportfs" // see prerequisites.sh
	libs, err := exec.CommandContext(t.Context(), "ldd", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(regexp.MustCompile(`/\S+`).FindAllString(string(libs), -1), program) {
		copyInto(t, root, file)
	}
	copyFile(t, "../tasks/kind/nfs/testdata/phoenix.exports", filepath.Join(root, "etc/exports.d/phoenix.exports"))
	copyFile(t, os.DevNull, filepath.Join(root, "etc/exports"))
	cmd := exec.CommandContext(t.Context(), program, "-ra")
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("exportfs: %v: %s", err, out)
	}
	var tables [2][]string
	for i, file := range []string{filepath.Join(root, "var/lib/nfs/etab"), "../tasks/kind/nfs/testdata/etab"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tables[i] = slices.Sorted(strings.Lines(string(data)))
	}
	if !slices.Equal(tables[0], tables[1]) {
		t.Errorf("exported is\n%s\nwant\n%s", strings.Join(tables[0], ""), strings.Join(tables[1], ""))
	}
}

// copyInto copies a file to the same path below root.
func copyInto(t *testing.T, root, file string) {
	t.Helper()
	to := filepath.Join(root, file)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, file, to)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
