package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
)

// operators gives each host a user "op" who may log in with the same key as root,
// and become root: on pve1 with a password, on pve2 without, on pve3 not at all; on
// pve4 there is no sudo.
const operators = `useradd -m -s /bin/sh op
echo 'op:open sesame' | chpasswd
mkdir -p /home/op/.ssh
cp /root/.ssh/authorized_keys /home/op/.ssh/
chown -R op /home/op/.ssh
rm -rf /etc/sudoers.d/*
case $NODE in
pve1) echo 'op ALL=(ALL) ALL' > /etc/sudoers.d/op ;;
pve2) echo 'op ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/op ;;
pve4) rm -f /usr/bin/sudo ;;
esac
`

func TestBecomingRootThroughSudo(t *testing.T) {
	r := newRig(t, 4, realhost.Options{Prepare: operators})
	for _, h := range r.Hosts {
		r.extra[h.Name] = "user: op, become: sudo"
	}
	r.extra["pve1"] += ", become_password: {secret: sudo}"
	configure := func(password string) {
		r.write(t, "password", password+"\n")
		r.inventory(t, "secrets:\n  sudo: {file: password}\n")
	}
	r.write(t, "hypervisor.json", hypervisor)
	r.write(t, "lxc.json", `{"version": 1}`)

	configure("open sesame")
	got := r.phoenix(t, "run", "-o", "json").want(t, 1).report(t)
	for _, name := range []string{"pve1", "pve2"} {
		if s := got.status(name); s != "changed" {
			class, said := got.fault(name)
			t.Errorf("%s is %s: %s %s", name, s, class, said)
		}
	}
	got.wantFault(t, "pve3", "helper", "sudo", "sudoers")
	got.wantFault(t, "pve4", "helper", "there is no sudo", "apt-get install sudo")
	r.phoenix(t, "check", "-l", "pve1,pve2").want(t, 0)
	r.phoenix(t, "clean", "-l", "pve1,pve2").want(t, 0)
	if left := slices.Concat(r.helperPaths(t, 0), r.helperPaths(t, 1)); len(left) > 0 {
		t.Errorf("clean through sudo left %v", left)
	}

	t.Run("a wrong password is told as such, at once, and is not repeated", func(t *testing.T) {
		configure("open barley")
		out := r.phoenix(t, "check", "-l", "pve1", "-o", "json").want(t, 1)
		out.report(t).wantFault(t, "pve1", "helper", "sudo refused the password", "become password")
		if strings.Contains(out.stdout+out.stderr, "barley") {
			t.Error("the password is in the output")
		}
	})
	t.Run("without become the helper does not run as somebody else", func(t *testing.T) {
		r.extra["pve2"] = "user: op"
		configure("open sesame")
		r.phoenix(t, "check", "-l", "pve2", "-o", "json").want(t, 1).report(t).wantFault(t, "pve2", "helper", "root", "become: sudo")
	})
}

func TestAJumpHostIsReachedOnce(t *testing.T) {
	r := newRig(t, 6, realhost.Options{})
	for _, h := range r.Hosts[1:] {
		r.extra[h.Name] = fmt.Sprintf("jump: \"root@%s:%d\"", r.Hosts[0].Address, r.Hosts[0].Port)
	}
	r.configure(t, hypervisor, `{"version": 1}`)
	got := r.phoenix(t, "check", "-l", "!pve1", "-o", "json").want(t, 2).report(t)
	if s := got.statuses(); strings.Count(s, "drifted") != 5 {
		t.Errorf("behind a jump host: %s", s)
	}
	if n := strings.Count(r.Hosts[0].Log(), "Accepted publickey"); n != 1 {
		t.Errorf("the jump host was logged in to %d times, want once", n)
	}
	for _, h := range r.Hosts[1:] {
		if !strings.Contains(h.Log(), "Accepted publickey for root from 127.0.0.1") {
			t.Errorf("%s was not reached through the jump host:\n%s", h.Name, h.Log())
		}
	}
	t.Run("a jump host that is not known stops those behind it only", func(t *testing.T) {
		_, other := newKey(t)
		data, err := os.ReadFile(r.KnownHosts)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(r.KnownHosts, []byte(strings.ReplaceAll(string(data), r.Hosts[0].HostKey, other)), 0o600); err != nil {
			t.Fatal(err)
		}
		delete(r.extra, "pve6")
		r.inventory(t, "")
		got := r.phoenix(t, "check", "-l", "!pve1", "-o", "json").want(t, 4).report(t)
		if s := got.status("pve6"); s != "drifted" {
			t.Errorf("the host that needs no jump is %s", s)
		}
		got.wantFault(t, "pve2", "unreachable", "KEY HAS CHANGED", r.Hosts[0].Address)
	})
}

// TestHelperBuilds proves that the helpers are what the design says: reproducible,
// small, static.
func TestHelperBuilds(t *testing.T) {
	built := make([]map[string]string, 2)
	for i := range built {
		dir := t.TempDir()
		build := exec.Command("go", "run", "./agentlet/dist/pack", dir)
		build.Dir = repositoryRoot
		// A machine with other habits builds the same bytes.
		if i == 1 {
			build.Env = append(os.Environ(), "CGO_ENABLED=1", "GOFLAGS=", "TZ=Asia/Tokyo", "LANG=de_DE.UTF-8", "GOAMD64=v3")
		}
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("pack: %v: %s", err, out)
		}
		built[i] = map[string]string{}
		files, err := filepath.Glob(dir + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			built[i][filepath.Base(f)] = string(data)
		}
	}
	helpers := 0
	for name := range built[0] {
		if !strings.HasPrefix(name, "agentlet-nvml-") {
			helpers++
		}
	}
	if helpers != 4 {
		t.Errorf("%d files, want a helper and its hash for two architectures", helpers)
	}
	if built[0]["agentlet-nvml-"+runtime.GOARCH+".gz"] == "" {
		t.Error("there is no GPU probe for this machine: is gcc installed?")
	}
	for name, data := range built[0] {
		if built[1][name] != data {
			t.Errorf("%s: two builds differ", name)
		}
		if strings.HasSuffix(name, ".gz") && !strings.HasPrefix(name, "agentlet-nvml-") { // the probe: agentlet/dist/pack
			checkHelper(t, name, data, built[0][strings.TrimSuffix(name, ".gz")+".sha256"])
		}
	}
}
