package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phoenix/e2e/realhost"
)

// newContainerRig is one host that runs real containers.
func newContainerRig(t *testing.T, o realhost.Options) *rig {
	t.Helper()
	made, err := exec.CommandContext(t.Context(), "./lxc-template.sh").Output()
	if err != nil {
		t.Fatalf("make the template of containers: %v: %s", err, errorText(err))
	}
	pct := filepath.Join(t.TempDir(), "pct")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", pct, "phoenix/e2e/pctlxc")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build pct: %v: %s", err, out)
	}
	o.Template, o.Programs = strings.TrimSpace(string(made)), []string{pct}
	r := newRig(t, 1, o)
	r.inventory(t, "")
	r.write(t, "hypervisor.json", `{"version": 1, "storage": { "tank": { "type": "dir", "path": "/srv/tank", "content": ["rootdir", "images"] } }}`)
	return r
}

// errorText is what a program that failed has said on stderr.
func errorText(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return string(exit.Stderr)
	}
	return ""
}

// onHost runs a program on the host of the containers.
func (r *rig) onHost(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := r.Hosts[0].Exec(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// inside runs a program in a container, as `lxc-attach` on its host does.
func (r *rig) inside(t *testing.T, ctid int, argv ...string) string {
	t.Helper()
	return r.onHost(t, append([]string{"lxc-attach", "-n", fmt.Sprint(ctid), "--clear-env", "--"}, argv...)...)
}

// patiently runs a command that installs things from Debian's mirror.
func (r *rig) patiently(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	return finish(t, r.command(ctx, args...))
}

// realContainers are a privileged and an unprivileged container, and a template with a
// clone that is one as well.
const realContainers = `{
  "version": 1,
  "defaults": {
    "template": "debian-12-standard", "storage_pool": "tank", "storage_size_gb": 4, "memory_mb": 512, "cores": 1,
    "files": { "/etc/motd": { "content": "made by phoenix\n" } },
  },
  "lxc_configs": {
    "900": {
      "health_checks": { "comes-up": { "command": ["systemctl", "is-system-running"], "expect": { "stdout_contains": "running" }, "retries": 30, "interval_s": 1 } },
      "name": "privileged", "unprivileged": false, "pct_options": { "nesting": true },
      "network_config": { "name": "eth0", "bridge": "vmbr0", "ip": "10.77.0.10/24", "gw": "10.77.0.1" },
      "volumes": [{ "storage": "tank", "size_gb": 1, "container_path": "/data" }],
    },
    "901": {
      "health_checks": { "comes-up": { "command": ["systemctl", "is-system-running"], "expect": { "stdout_contains": "running" }, "retries": 30, "interval_s": 1 }, "untroubled": { "command": "test ! -e /root/trouble" } },
      "name": "unprivileged", "unprivileged": true,
      "network_config": { "name": "eth0", "bridge": "vmbr0", "ip": "10.77.0.11/24", "gw": "10.77.0.1" },
      "mount_points": [{ "host_path": "/srv/share", "container_path": "/share", "create": true, "owner_uid": 1000, "owner_gid": 1000 }],
    },
    "902": { "name": "unnested", "unprivileged": false },
    "910": { "name": "base", "unprivileged": true, "is_template": true },
    "911": {
      "name": "clone", "clone_from_ctid": 910, "clone_mode": "full",
      "network_config": { "name": "eth0", "bridge": "vmbr0", "ip": "10.77.0.12/24", "gw": "10.77.0.1" },
    },
  },
}
`

func TestRealContainers(t *testing.T) {
	t.Parallel()
	r := newContainerRig(t, realhost.Options{})
	r.write(t, "lxc.json", realContainers)
	r.phoenix(t, "check").want(t, 2)
	r.phoenix(t, "run").want(t, 0)

	if has := r.onHost(t, "cat", "/sys/fs/cgroup/cgroup.controllers"); !strings.Contains(has, "memory") {
		t.Logf("the control groups of version 2 of this kernel control %q: how much memory a container uses is not seen", has)
	}
	t.Run("they are what they were made as", func(t *testing.T) {
		for ctid, want := range map[int]string{900: "0 0 4294967295", 901: "0 100000 65536", 911: "0 100000 65536"} {
			if got := strings.Join(strings.Fields(r.inside(t, ctid, "cat", "/proc/self/uid_map")), " "); got != want {
				t.Errorf("the users of container %d are %q, want %q", ctid, got, want)
			}
			if got := r.inside(t, ctid, "stat", "-c", "%u %g", "/", "/etc/passwd", "/etc/hostname", "/usr/bin/passwd"); got != "0 0\n0 0\n0 0\n0 0" {
				t.Errorf("files of container %d belong to\n%s", ctid, got)
			}
		}
		if got := r.inside(t, 901, "stat", "-c", "%u", "/share"); got != "1000" {
			t.Errorf("the mount point belongs to %s, want 1000", got)
		}
		r.inside(t, 900, "touch", "/data/there")
	})
	t.Run("what is to be inside is there, in a clone of a template as well", func(t *testing.T) {
		for _, ctid := range []int{900, 901, 902, 911} {
			if got := r.inside(t, ctid, "cat", "/etc/motd"); got != "made by phoenix" {
				t.Errorf("container %d says %q", ctid, got)
			}
		}
		if got := r.onHost(t, "pct", "status", "910"); got != "status: stopped" {
			t.Errorf("the template: %s", got)
		}
	})
	t.Run("they reach what the machine reaches", func(t *testing.T) {
		for _, ctid := range []int{900, 901, 911} {
			r.inside(t, ctid, "apt-get", "update", "-qq")
		}
	})
	t.Run("a second run changes nothing", func(t *testing.T) {
		r.phoenix(t, "check", "-o", "json").want(t, 0).wantChanges(t)
		r.phoenix(t, "run", "-o", "json").want(t, 0).wantChanges(t)
	})
	t.Run("status and exec tell of them", func(t *testing.T) {
		r.phoenix(t, "status").want(t, 0).says(t, "10.77.0.10", "10.77.0.11", "10.77.0.12")
		for ctid, name := range map[string]string{"900": "privileged", "901": "unprivileged", "911": "clone"} {
			r.phoenix(t, "exec", "--ct", ctid, "--", "hostname").want(t, 0).says(t, name)
		}
	})
	t.Run("one that was stopped by hand is started again", func(t *testing.T) {
		r.onHost(t, "lxc-stop", "-n", "901")
		r.phoenix(t, "check").want(t, 1).says(t, "lxc:901", "stopped -> running", "file:901/etc/motd", "unknown: container 901 is stopped")
		r.phoenix(t, "run", "-o", "json").want(t, 0).wantChanges(t, "pve1 lxc:901 state")
		r.phoenix(t, "check").want(t, 0)
	})
	t.Run("stop, start and restart do that", func(t *testing.T) {
		boot := func() string { return r.inside(t, 900, "stat", "-c", "%Z", "/proc/1") }
		before := boot()
		r.phoenix(t, "restart", "900").want(t, 0)
		if boot() == before {
			t.Error("the restart did not start it anew")
		}
		r.phoenix(t, "stop", "900").want(t, 0)
		r.wantState(t, 900, "STOPPED")
		r.phoenix(t, "start", "900").want(t, 0)
		r.wantState(t, 900, "RUNNING")
	})
	t.Run("a health check that fails is a failure", func(t *testing.T) {
		r.inside(t, 901, "touch", "/root/trouble")
		r.phoenix(t, "check").want(t, 1).says(t, "health:901/untroubled")
		r.inside(t, 901, "rm", "/root/trouble")
		r.phoenix(t, "check").want(t, 0)
	})
	t.Run("the helper gets into one where nothing can be started from /run and /tmp", func(t *testing.T) {
		r.inside(t, 901, "sh", "-c", "mount -o remount,bind,nosuid,nodev,noexec /run && mount -t tmpfs -o noexec none /tmp && echo mine > /etc/motd")
		r.phoenix(t, "check", "-o", "json").want(t, 2).wantChanges(t, "pve1 file:901/etc/motd content")
		r.phoenix(t, "run").want(t, 0)
		r.phoenix(t, "check").want(t, 0)
	})
	t.Run("killed in the middle", r.killedInTheMiddle)
	t.Run("one that floods whoever comes in fails alone", func(t *testing.T) {
		r.inside(t, 911, "sh", "-c", `printf '#!/usr/bin/perl\nread STDIN, $helper, $ARGV[-1]; print "flood " while 1;\n' > /usr/bin/flood; chmod 755 /usr/bin/flood; ln -sf flood /usr/bin/sh`)
		out := r.phoenix(t, "check", "-o", "json").want(t, 1)
		for _, h := range out.report(t).Hosts {
			for _, s := range h.Steps {
				if bad := s.Status == "failed"; bad != (s.ID == "file:911/etc/motd") {
					t.Errorf("%s is %s: %s", s.ID, s.Status, s.Why)
				}
			}
		}
		out.says(t, "no greeting")
		r.inside(t, 911, "ln", "-sf", "dash", "/usr/bin/sh")
		r.phoenix(t, "check").want(t, 0)
	})
	t.Run("destroyed ones leave nothing", func(t *testing.T) {
		r.phoenix(t, "stop", "901").want(t, 0)
		r.phoenix(t, "destroy", "901", "--allow-destroy", "901").want(t, 0)
		for _, left := range []string{"/var/lib/lxc/901", "/sys/fs/cgroup/lxc/901", "/etc/pve/lxc/901.conf"} {
			if exists(r.Hosts[0].Path(left)) {
				t.Errorf("%s is still there", left)
			}
		}
	})
}

// wantState fails the test unless LXC itself says that a container is in a state.
func (r *rig) wantState(t *testing.T, ctid int, want string) {
	t.Helper()
	if got := r.onHost(t, "lxc-info", "-n", fmt.Sprint(ctid), "-sH"); got != want {
		t.Errorf("container %d is %s, want %s", ctid, got, want)
	}
}
