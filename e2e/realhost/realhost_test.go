package realhost

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func TestAHostHasARootOfItsOwn(t *testing.T) {
	f, err := Start(t.Context(), Options{Dir: t.TempDir(), Hosts: 2, Prepare: "echo $NODE > /etc/which\n"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	for _, h := range f.Hosts {
		ssh := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-o", "UserKnownHostsFile="+f.KnownHosts, "-o", "BatchMode=yes",
			"-i", f.IdentityFile, "-p", strconv.Itoa(h.Port), "root@"+h.Address, "cat /etc/which; echo seen > /etc/seen")
		out, err := ssh.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != h.Name {
			t.Fatalf("ssh %s: %v: %s\n%s", h.Name, err, out, h.Log())
		}
		if _, err := os.Stat(h.Path("/etc/seen")); err != nil {
			t.Errorf("the file written on %s is not seen from outside: %v", h.Name, err)
		}
	}
	if _, err := os.Stat("/etc/seen"); err == nil {
		t.Error("a write on a host reached the machine below")
	}
}
