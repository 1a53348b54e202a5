package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
)

func TestVerbsOnRealServers(t *testing.T) {
	r := newRig(t, 2, realhost.Options{})
	r.configure(t, hypervisor, containers)
	r.phoenix(t, "run").want(t, 0)

	t.Run("exec runs a program on every host, without a shell", func(t *testing.T) {
		out := r.phoenix(t, "exec", "--", "echo", "$HOME", "a  b", "'").want(t, 0)
		for _, h := range r.Hosts {
			if !strings.Contains(out.stdout, h.Name) || strings.Count(out.stdout, "$HOME a  b '") != 2 {
				t.Errorf("stdout:\n%s", out.stdout)
			}
		}
	})
	t.Run("exec tells the exit status of a program", func(t *testing.T) {
		out := r.phoenix(t, "exec", "-o", "json", "--", "sh", "-c", "echo away >&2; exit 7").want(t, 1)
		got := out.report(t)
		if got.status("pve1") != "failed" || !strings.Contains(out.stdout, "7") || !strings.Contains(out.stdout, "away") {
			t.Errorf("the report is\n%s", out.stdout)
		}
	})
	t.Run("exec of a program that is not there", func(t *testing.T) {
		r.phoenix(t, "exec", "-l", "pve1", "--", "no-such-program").want(t, 1).says(t, "no-such-program")
	})
	t.Run("exec in a container goes to the host that has it", func(t *testing.T) {
		got := r.phoenix(t, "exec", "--ct", "900", "-o", "json", "--", "true").want(t, 0).report(t)
		if s := got.statuses(); s != "pve1 changed" {
			t.Errorf("the hosts are %s", s)
		}
	})
	t.Run("exec in a container that is stopped, or not there", func(t *testing.T) {
		r.phoenix(t, "exec", "--ct", "901", "--", "true").want(t, 1).says(t, "901")
		r.phoenix(t, "exec", "--ct", "7777", "-l", "pve1", "--", "true").want(t, 1).says(t, "7777")
	})
	t.Run("containers are stopped, brought up, and their state is told", func(t *testing.T) {
		r.phoenix(t, "status").want(t, 0).says(t, "900", "running", "901", "stopped")
		r.phoenix(t, "stop", "900").want(t, 0).says(t, "running -> stopped")
		r.phoenix(t, "status").want(t, 0).says(t, "stopped  -", "state")
		r.phoenix(t, "up").want(t, 0).says(t, "stopped -> running")
		r.phoenix(t, "restart", "900").want(t, 0).says(t, "restarted")
		r.phoenix(t, "up").want(t, 0).says(t, "ok")
	})
	t.Run("a storage without snapshots is named, and a rollback needs consent", func(t *testing.T) {
		r.phoenix(t, "snapshot", "create", "900").want(t, 1).says(t, "rootfs is on storage tank of type dir")
		r.phoenix(t, "snapshot", "list").want(t, 0).says(t, "SNAPSHOT")
		logins := r.logins()
		r.phoenix(t, "rollback", "900", "before").want(t, 5).says(t, "--allow-rollback 900", "nothing was contacted")
		if r.logins() != logins {
			t.Error("a host was contacted")
		}
		r.phoenix(t, "rollback", "900", "before", "--allow-rollback", "900").want(t, 1).says(t, "it has no snapshot before; there are: none")
	})
	t.Run("facts tell what the hosts are", func(t *testing.T) {
		got := r.phoenix(t, "facts", "-o", "json").want(t, 0).report(t)
		for _, h := range got.Hosts {
			var data map[string]any
			if len(h.Steps) != 2 || json.Unmarshal(h.Steps[0].Data, &data) != nil || len(data) < 5 {
				t.Fatalf("%s: %+v", h.Name, h.Steps)
			}
			if !strings.Contains(string(h.Steps[0].Data), h.Name) {
				t.Errorf("the facts of %s do not name it: %s", h.Name, h.Steps[0].Data)
			}
		}
	})
	t.Run("destroy is refused without a terminal, and contacts nothing", func(t *testing.T) {
		logins := r.logins()
		r.phoenix(t, "destroy", "900").want(t, 5).says(t, "--allow-destroy 900", "nothing was contacted")
		r.phoenix(t, "destroy", "900", "--allow-destroy", "901").want(t, 5)
		if r.logins() != logins {
			t.Error("a host was contacted")
		}
	})
	t.Run("destroy respects protection", func(t *testing.T) {
		r.on(t, 0, "pct", "set", "900", "--protection", "1")
		r.phoenix(t, "destroy", "900", "--allow-destroy", "900").want(t, 5).says(t, "protected")
		r.on(t, 0, "test", "-e", "/etc/pve/lxc/900.conf")
		r.on(t, 0, "pct", "set", "900", "--protection", "0")
	})
	t.Run("destroy with its flag removes the container and its volumes, running or not", func(t *testing.T) {
		r.phoenix(t, "destroy", "900", "901", "--allow-destroy", "900", "--allow-destroy", "901").want(t, 0)
		for _, id := range []string{"900", "901"} {
			if exists(r.Hosts[0].Path("/etc/pve/lxc/" + id + ".conf")) {
				t.Errorf("%s is still there", id)
			}
		}
		if out := r.on(t, 0, "find", "/srv/tank", "-name", "vm-90*"); strings.TrimSpace(out) != "" {
			t.Errorf("volumes are left:\n%s", out)
		}
		r.phoenix(t, "destroy", "900", "--allow-destroy", "900").want(t, 0)
	})
	t.Run("a container that is to be absent is kept until its flag names it", func(t *testing.T) {
		r.phoenix(t, "run").want(t, 0)
		r.write(t, "lxc.json", strings.Replace(containers, `"state": "stopped"`, `"state": "absent"`, 1))
		got := r.phoenix(t, "run", "-o", "json").want(t, 5).report(t)
		if got.status("pve1") != "drifted" || !exists(r.Hosts[0].Path("/etc/pve/lxc/901.conf")) {
			t.Errorf("pve1 is %s", got.status("pve1"))
		}
		r.phoenix(t, "run", "--allow-destroy", "901").want(t, 0)
		if exists(r.Hosts[0].Path("/etc/pve/lxc/901.conf")) || !exists(r.Hosts[0].Path("/etc/pve/lxc/900.conf")) {
			t.Error("901 is still there, or 900 is not")
		}
		r.phoenix(t, "check").want(t, 0)
	})
}

// on runs a program on a host, beside its server, and returns what it printed.
func (r *rig) on(t *testing.T, host int, argv ...string) string {
	t.Helper()
	out, err := r.Hosts[host].Exec(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// logins is how often the hosts were logged in to.
func (r *rig) logins() int {
	n := 0
	for _, h := range r.Hosts {
		n += strings.Count(h.Log(), "Accepted publickey")
	}
	return n
}
