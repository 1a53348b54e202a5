package e2e

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"phoenix/e2e/realhost"
)

// counting is a workstation whose one host is a listener that only counts.
func counting(t *testing.T) (*rig, *listener) {
	t.Helper()
	l := listen(t, func(c net.Conn) { c.Close() })
	r := bareRig(t)
	r.write(t, "hosts.yaml", fmt.Sprintf("version: 1\nhosts:\n  pve1: {address: 127.2.0.1, port: %d, hypervisor: hypervisor.json, lxc: lxc.json, host_key: %q}\n", l.port(), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0dCBYPPMtDzHAKW2BHBLYqWYTXPYCyTjGFzjNCiS5y"))
	return r, l
}

func TestNothingIsContactedBeforeEverythingValidates(t *testing.T) {
	r, l := counting(t)
	r.write(t, "hypervisor.json", `{
  "version": 1,
  "system": { "timezone": "Mars/Olympus", "ntpp": true },
  "apt": { "packages": "curl" },
  "files": { "relative": { "content": "x" } },
  "storage": { "tank": { "type": "dir" } },
}
`)
	r.write(t, "lxc.json", `{
  "version": 1,
  "lxc_configs": {
    "900": { "name": "under_score", "template": "debian-12-standard", "memory_mb": 1 },
    "901": { "name": "db", "template": "debian-12-standard", "depends_on": [999], "colour": "red" },
    "902": { "name": "db", "template": "debian-12-standard", "cores": "two" },
    "902": { "name": "twice" },
    "5": { "name": "low" },
  },
}
`)
	for _, args := range [][]string{{"run"}, {"check"}, {"run", "--dry-run"}, {"facts"}, {"exec", "--", "true"}, {"clean"}, {"destroy", "900", "--allow-destroy", "900"}, {"validate"}} {
		out := r.phoenix(t, args...).want(t, 3)
		places := regexp.MustCompile(`(?m)^\S*(hypervisor|lxc)\.json:(\d+):\d+: `).FindAllStringSubmatch(out.stdout+out.stderr, -1)
		if len(places) < 10 {
			t.Errorf("phoenix %s tells of %d faults, want ten or more:\n%s", args[0], len(places), out.stdout+out.stderr)
		}
		if !slices.IsSortedFunc(places, func(a, b []string) int {
			if a[1] != b[1] {
				return strings.Compare(a[1], b[1])
			}
			return len(a[2])*1000 - len(b[2])*1000 + strings.Compare(a[2], b[2])
		}) {
			t.Errorf("the faults are not sorted:\n%s", out.stderr)
		}
	}
	if n := l.accepted.Load(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}
	t.Run("while what is valid is contacted", func(t *testing.T) {
		r.write(t, "hypervisor.json", `{"version": 1}`)
		r.write(t, "lxc.json", `{"version": 1}`)
		r.phoenix(t, "check").want(t, 4)
		if l.accepted.Load() == 0 {
			t.Error("the listener does not count")
		}
	})
}

func TestTextThatWouldBreakOutOfItsFileIsRefusedBeforeContact(t *testing.T) {
	r, l := counting(t)
	r.write(t, "hypervisor.json", `{"version": 1}`)
	const good = `"name": "web", "template": "debian-12-standard", "storage_pool": "local", "storage_size_gb": 4`
	for _, c := range []struct {
		name, config, path string
	}{
		{"a name with a line break", `{"name": "web\nlxc.hook.start: /evil", "template": "debian-12-standard"}`, "lxc_configs.900.name"},
		{"a description with an escape sequence", `{` + good + `, "description": "\u001b]0;owned\u0007"}`, "lxc_configs.900.description"},
		{"a description with a carriage return", `{` + good + `, "description": "fine\rroot: gone"}`, "lxc_configs.900.description"},
		{"a raw option with a line break", `{` + good + `, "lxc_options": ["lxc.tty.max: 4\nlxc.hook.start: /evil"]}`, "lxc_configs.900.lxc_options"},
		{"a tag with a line break", `{` + good + `, "tags": ["prod\nonboot: 1"]}`, "lxc_configs.900.tags"},
		{"a mount point with a line break", `{` + good + `, "mount_points": [{"host_path": "/srv\nrootfs: x", "container_path": "/x"}]}`, "lxc_configs.900.mount_points"},
		{"a mount point with a comma", `{` + good + `, "mount_points": [{"host_path": "/srv,ro=1", "container_path": "/x"}]}`, "lxc_configs.900.mount_points"},
		{"a name server with a line break", `{` + good + `, "nameserver": "10.0.0.1\nhostname: x"}`, "lxc_configs.900.nameserver"},
		{"a bridge with a comma", `{` + good + `, "network_config": {"name": "eth0", "bridge": "vmbr0,tag=7", "ip": "dhcp"}}`, "lxc_configs.900.network_config"},
		{"a template with a path in it", `{"name": "web", "template": "../../etc/passwd"}`, "lxc_configs.900.template"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.write(t, "lxc.json", `{"version": 1, "lxc_configs": {"900": `+c.config+`}}`)
			out := r.phoenix(t, "run").want(t, 3).says(t, c.path, "nothing was contacted")
			if i := strings.IndexFunc(out.stderr, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f }); i >= 0 {
				t.Errorf("a control character reaches the terminal: %q", out.stderr[max(0, i-20):min(len(out.stderr), i+20)])
			}
		})
	}
	if n := l.accepted.Load(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}
	r.write(t, "lxc.json", `{"version": 1, "lxc_configs": {"900": {`+good+`, "description": "two\nlines"}}}`)
	r.phoenix(t, "validate").want(t, 0)
}

// hiddenValue is a secret that no sink may show, in a form that JSON and shells would
// both have to quote.
const hiddenValue = `s3cr3t "quoted" $HOME value`

func TestSecretsAndOutputs(t *testing.T) {
	r := newRig(t, 2, realhost.Options{})
	r.inventory(t, "secrets:\n  token: {file: token}\n")
	r.write(t, "token", hiddenValue+"\n")
	r.write(t, "lxc.json", `{"version": 1}`)
	r.write(t, "hypervisor.json", `{"version": 1, "files": {
		"/etc/phoenix-demo-token": {"content": {"secret": "token"}, "mode": "0600"},
		"/no/such/folder/for/it": {"content": {"secret": "token"}}
	}, "services": {"no-such-service": {"active": true}}}`)
	r.phoenix(t, "exec", "--", "true").want(t, 0)
	out := r.phoenix(t, "run", "-vv", "-o", "ndjson", "-o", "junit=junit.xml", "-o", "json=report.json", "-o", "text=report.txt", "--log-file", "log")
	out.want(t, 1)
	if got := r.read(t, 0, "/etc/phoenix-demo-token"); got != hiddenValue && got != hiddenValue+"\n" {
		t.Fatalf("the file has %q, not the secret's value", got)
	}

	t.Run("every output that was asked for is written, and is what it should be", func(t *testing.T) {
		lines := strings.Split(strings.TrimSpace(out.stdout), "\n")
		for _, line := range lines {
			var event struct{ Kind string }
			if err := json.Unmarshal([]byte(line), &event); err != nil || event.Kind == "" {
				t.Fatalf("a line of ndjson is %q: %v", line, err)
			}
		}
		if len(lines) < 10 {
			t.Errorf("%d events", len(lines))
		}
		got := outcome{stdout: r.workstationFile("report.json")}.report(t)
		if got.ExitCode != 1 || len(got.Hosts) != 2 {
			t.Errorf("report.json: exit code %d, %d hosts", got.ExitCode, len(got.Hosts))
		}
		var suites struct {
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
		}
		if err := xml.Unmarshal([]byte(r.workstationFile("junit.xml")), &suites); err != nil || suites.Failures+suites.Errors == 0 {
			t.Errorf("junit.xml: %d failures, %d errors, %v", suites.Failures, suites.Errors, err)
		}
		if !strings.Contains(r.workstationFile("report.txt"), "pve2") || !strings.Contains(r.workstationFile("log"), "pve2") {
			t.Error("report.txt or the log does not name pve2")
		}
	})
	t.Run("a changed secret shows that it differs, not how", func(t *testing.T) {
		r.on(t, 0, "sh", "-c", "echo by hand > /etc/phoenix-demo-token")
		check := r.phoenix(t, "check", "-l", "pve1", "-vv", "-t", "file").want(t, 2).says(t, "/etc/phoenix-demo-token", "content")
		leaks(t, "a check's output", check.stdout+check.stderr)
		if strings.Contains(check.stdout, "by hand") {
			t.Error("the old content of a secret file is shown")
		}
	})
	t.Run("and no sink has the value", func(t *testing.T) {
		leaks(t, "stdout", out.stdout)
		leaks(t, "stderr", out.stderr)
		files := 0
		for _, root := range []string{r.home, r.Hosts[0].Path("/var/lib/phoenix"), r.Hosts[1].Path("/var/lib/phoenix"), r.Hosts[0].Path("/run"), r.Hosts[0].Path("/var/tmp")} {
			files += searchLeaks(t, root)
		}
		if files < 12 {
			t.Errorf("only %d files were looked at", files)
		}
		leaks(t, "the server's log", r.Hosts[0].Log())
	})
	t.Run("nor has any command line or environment while it is at work", func(t *testing.T) {
		fault := r.Hosts[1].Path("/.sim/faults.json")
		if err := os.WriteFile(fault, []byte(`[{"kind": "hang", "program": "systemctl"}]`), 0o600); err != nil {
			t.Fatal(err)
		}
		run := r.start(t, "run", "-l", "pve2")
		eventually(t, "systemctl hangs", func() bool { return strings.Contains(r.commandLines(1, "pvesim"), "systemctl") })
		seen := 0
		for _, name := range []string{"agentlet-", "pvesim", "sshd", "dash", "bash", "phoenix"} {
			for _, pid := range r.processes(1, name) {
				seen++
				for _, what := range []string{"cmdline", "environ"} {
					data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, what))
					if err != nil {
						t.Fatal(err)
					}
					leaks(t, fmt.Sprintf("%s of a process %s", what, name), string(data))
				}
			}
		}
		if seen < 3 {
			t.Errorf("only %d processes were looked at", seen)
		}
		run.signal(t, syscall.SIGTERM)
		run.wait(t).want(t, 143)
	})
}

// leaks fails the test when the text has the secret in any of the forms it could
// have been written in.
func leaks(t *testing.T, where, text string) {
	t.Helper()
	quoted, err := json.Marshal(hiddenValue)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{hiddenValue, strings.Trim(string(quoted), `"`), "s3cr3t"} {
		if strings.Contains(text, form) {
			t.Errorf("%s has the secret", where)
			return
		}
	}
}

// searchLeaks looks through every file below a folder but the secret's own, and
// returns how many.
func searchLeaks(t *testing.T, root string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() || path == filepath.Join(root, "token") {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			n++
			leaks(t, path, string(data))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
