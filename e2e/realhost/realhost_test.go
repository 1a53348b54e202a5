package realhost

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
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

// holdHost in the environment makes the test below the process that is killed.
const holdHost = "PHOENIX_E2E_HOLD_HOST"

func TestAKilledTestLeavesNothingOfAHostForContainers(t *testing.T) {
	if dir := os.Getenv(holdHost); dir != "" {
		f, err := Start(t.Context(), Options{Dir: dir, Hosts: 1, Template: "/dev/null"})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready", f.Hosts[0].outward.Process.Pid, f.Hosts[0].group.dir)
		select {}
	}
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	self.Env = append(os.Environ(), holdHost+"="+t.TempDir())
	out, err := self.StdoutPipe()
	if err == nil {
		err = self.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	var outward int
	var group string
	if _, err := fmt.Sscanf(line, "ready %d %s", &outward, &group); err != nil {
		t.Fatalf("the host does not start: %s", line)
	}
	if procs, err := os.ReadFile(filepath.Join(group, "init.scope/cgroup.procs")); err != nil || len(procs) == 0 {
		t.Fatalf("nothing runs in %s: %v", group, err)
	}
	if err := self.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = self.Wait()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		_, held := os.Stat(group)
		if _, ended := os.Readlink(fmt.Sprintf("/proc/%d/exe", outward)); os.IsNotExist(held) && ended != nil {
			return
		}
		<-tick.C
	}
	t.Errorf("%s is still there, or what leads out of it", group)
}
