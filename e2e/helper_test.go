package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
)

// trouble prepares hosts on which the helper cannot be put or started in the
// ordinary way.
const trouble = `case $NODE in
pve1) sed -i 's/^Subsystem.*/Subsystem sftp \/bin\/false/' /etc/phoenix-e2e/sshd_config ;;
pve2) sed -i '/^Subsystem/d' /etc/phoenix-e2e/sshd_config ;;
pve3) printf '%s\n' 'echo Welcome to the machine' 'echo careful >&2' 'printf "no line break"' > /root/.bashrc ;;
pve4) mkdir -p /var/lib/phoenix; mount -t tmpfs -o noexec,mode=0755 tmpfs /var/lib/phoenix ;;
pve5) mkdir -p /var/lib/phoenix; mount -t tmpfs -o size=64k,mode=0755 tmpfs /var/lib/phoenix ;;
pve6) mkdir -p /var/lib/phoenix /root/.cache; mount -o remount,noexec /run
  for d in /var/lib/phoenix /root/.cache; do mount -t tmpfs -o noexec,mode=0755 tmpfs $d; done ;;
pve7) printf '%s\n' 'yes we print without end' > /root/.bashrc ;;
pve8) printf '%s\n' 'echo this account is closed' 'exit 1' > /root/.bashrc ;;
esac
`

func TestTheHelperFindsItsWayOntoAHost(t *testing.T) {
	r := newRig(t, 9, realhost.Options{Prepare: trouble})
	r.configure(t, hypervisor, `{"version": 1}`)
	first := r.phoenix(t, "check", "-o", "json").want(t, 1).report(t)
	again := r.phoenix(t, "check", "-o", "json").want(t, 1).report(t)
	for _, c := range []struct {
		name string
		host int
		dir  string
	}{
		{"with an sftp subsystem that fails", 0, "/var/lib/phoenix"},
		{"without an sftp subsystem", 1, "/var/lib/phoenix"},
		{"behind a login shell that prints", 2, "/var/lib/phoenix"},
		{"with /var/lib/phoenix on noexec", 3, "/run/phoenix"},
		{"with /var/lib/phoenix full", 4, "/run/phoenix"},
		{"without any trouble", 8, "/var/lib/phoenix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := r.Hosts[c.host].Name
			if s := first.status(name); s != "drifted" {
				class, said := first.fault(name)
				t.Errorf("%s is %s: %s %s", name, s, class, said)
			}
			if !first.host(name).Uploaded || again.host(name).Uploaded {
				t.Errorf("uploaded at first %v, again %v; want it once", first.host(name).Uploaded, again.host(name).Uploaded)
			}
			paths := r.helperPaths(t, c.host)
			if len(paths) != 1 || filepath.Dir(paths[0]) != c.dir {
				t.Errorf("the helper lies at %v, want %s", paths, c.dir)
			}
			for _, dir := range []string{"/var/lib/phoenix", "/run/phoenix"} {
				if left, _ := filepath.Glob(r.Hosts[c.host].Path(dir) + "/.*"); len(left) > 0 {
					t.Errorf("the upload left %v", left)
				}
			}
		})
	}
	t.Run("a host with no place for it says which were tried and why", func(t *testing.T) {
		first.wantFault(t, "pve6", "helper", "/var/lib/phoenix is mounted noexec", "/run/phoenix is mounted noexec", "/root/.cache/phoenix is mounted noexec")
	})
	t.Run("a login shell that prints without end is bounded", func(t *testing.T) {
		first.wantFault(t, "pve7", "helper", "we print without end", "startup files")
	})
	t.Run("a login shell that runs no command is quoted", func(t *testing.T) {
		first.wantFault(t, "pve8", "helper", "this account is closed")
	})
	t.Run("a run works where its record does not fit", func(t *testing.T) {
		full := r.phoenix(t, "run", "-l", "pve5", "-o", "json").want(t, 0).report(t)
		if s := full.status("pve5"); s != "changed" {
			t.Errorf("pve5 is %s", s)
		}
		r.phoenix(t, "check", "-l", "pve5").want(t, 0)
	})
}

// host is one host of a report.
func (r record) host(name string) recordHost {
	for _, h := range r.Hosts {
		if h.Name == name {
			return h
		}
	}
	return recordHost{}
}

func TestAHelperThatIsNotWhatItShouldBe(t *testing.T) {
	r := newRig(t, 2, realhost.Options{})
	r.configure(t, hypervisor, `{"version": 1}`)
	r.phoenix(t, "run").want(t, 0)
	path := r.Hosts[0].Path(r.helperPaths(t, 0)[0])
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := append([]byte(nil), good...)
	other[len(other)-1] ^= 1
	for _, c := range []struct {
		name string
		data string
		// mended tells whether a fresh helper may be put there without further ado.
		mended bool
	}{
		{"truncated", string(good[:len(good)/2]), true},
		{"truncated to nothing", "", true},
		{"a program that does nothing", "#!/bin/sh\nexit 0\n", true},
		{"a program that fails", "#!/bin/sh\necho no library >&2\nexit 1\n", true},
		{"a script that prints garbage", "#!/bin/sh\nhead -c 30000 /dev/urandom\n", true},
		{"an echo of all that it is sent", "#!/bin/sh\nexec cat\n", true},
		{"the helper with a bit turned over", string(other), true},
		{"a script that prints garbage without end", "#!/bin/sh\nexec cat /dev/urandom\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(path+".new", []byte(c.data), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
			out := r.phoenix(t, "check", "-o", "json")
			got := out.report(t)
			if s := got.status("pve2"); s != "ok" {
				t.Errorf("the other host is %s", s)
			}
			if !c.mended {
				if class, said := got.fault("pve1"); class != "helper" && class != "protocol" || !strings.Contains(said, "phoenix clean") && !strings.Contains(said, "startup files") {
					t.Errorf("pve1: class %q, and no way out: %s", class, said)
				}
				return
			}
			class, said := got.fault("pve1")
			if out.code != 0 || !got.host("pve1").Uploaded {
				t.Errorf("exit status %d, pve1 %s, uploaded %v: %s %s", out.code, got.status("pve1"), got.host("pve1").Uploaded, class, said)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != string(good) {
				t.Errorf("the helper there is not the right one (%d bytes, %v)", len(now), err)
			}
		})
	}
}
