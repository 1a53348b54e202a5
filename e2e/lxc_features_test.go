package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/e2e/realhost"
	"phoenix/tasks/dpkg"
)

// insideDefaults is what each container of the test has inside: of phoenix, of the
// operator, and a project whose image is made in the container, of a program that a
// feature brings. The page says what it was given.
const insideDefaults = `
    "template": "debian-12-standard", "storage_pool": "tank", "storage_size_gb": 4, "memory_mb": 1024, "cores": 2, "pct_options": { "nesting": true },
    "base_setup": { "packages": ["ca-certificates", "curl", "busybox-static"], "locale": "de_DE.UTF-8", "timezone": "Europe/Berlin", "unattended_upgrades": "security" },
    "docker": {
      "source": "distribution", "log_options": { "max-size": "5m" },
      "compose": { "web": { "files": {
        "Dockerfile": "FROM scratch\nCOPY busybox index.html /\n",
        "docker-compose.yml": "version: '3'\nservices:\n  web:\n    build: .\n    image: phoenix/web\n    command: ['/busybox', 'httpd', '-f', '-p', '8080', '-h', '/']\n    ports: ['8080:8080']\n    restart: always\n" } } },
    },
    "packages": ["less"],
    "files": { "/etc/motd": { "content": "made by phoenix\n" } },
    "application_script": { "apply": "echo applied >> /root/applied" },
`

// featured is a privileged and an unprivileged container; docker lists those in which
// the kernel lets Docker run.
func featured(docker []int) string {
	var b strings.Builder
	b.WriteString(`{ "version": 1, "defaults": {` + insideDefaults + `}, "lxc_configs": {`)
	for _, ctid := range []int{900, 901} {
		more := `"features": ["base_setup", { "page": { "text": "PAGE" } }]`
		if slices.Contains(docker, ctid) {
			more = `"features": ["base_setup", { "page": { "text": "PAGE" } }, "docker"],
      "health_checks": { "page": { "command": ["curl", "-sf", "http://localhost:8080/"], "expect": { "stdout_contains": "PAGE" }, "retries": 20, "interval_s": 1 } }`
		}
		fmt.Fprintf(&b, `
    "%d": { "name": "ct%[1]d", "unprivileged": %t, "network_config": { "name": "eth0", "bridge": "vmbr0", "ip": "10.77.0.%d/24", "gw": "10.77.0.1" }, %s },`, ctid, ctid == 901, ctid-890, more)
	}
	b.WriteString("\n} }\n")
	return b.String()
}

// dockerRuns lists the containers in which Docker can have a storage driver that shares
// layers, and says why where it cannot.
func (r *rig) dockerRuns(t *testing.T) []int {
	t.Helper()
	const overlay = `mount -t tmpfs none /mnt && cd /mnt && mkdir low up work all && mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work$0 all`
	out := []int{}
	for ctid, argv := range map[int][]string{
		900: {"unshare", "--mount", "sh", "-c", overlay, ""},
		901: {"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", overlay, ",userxattr"},
	} {
		if said, err := r.Hosts[0].Exec(t.Context(), argv...); err != nil {
			t.Logf("no Docker in container %d: this kernel does not lay an overlay over memory there: %s", ctid, said)
			if kernel := r.onHost(t, "uname", "-r"); dpkg.CompareVersions(kernel, "6.6") >= 0 {
				t.Errorf("Linux %s does, as all do from 6.6 on: memory has attributes for users since then", kernel)
			}
			continue
		}
		out = append(out, ctid)
	}
	slices.Sort(out)
	return out
}

// pageFeature is a feature of the operator's own, by the files of its folder.
func pageFeature() map[string]string {
	return map[string]string{
		"feature.json": `{
  "description": "A page, and the program that serves it, where the project web is built.",
  "parameters": { "required": ["text"], "properties": { "text": { "type": "string" } } },
  "check": "check.sh", "apply": "apply.sh",
}
`,
		"check.sh": `[ "$(cat /opt/compose/web/index.html 2>/dev/null)" = "$PHOENIX_TEXT" ] && cmp -s /bin/busybox /opt/compose/web/busybox && exit 0
echo "the page is not as wanted"
exit 1
`,
		"apply.sh": `mkdir -p /opt/compose/web
cp /bin/busybox /opt/compose/web/
echo "$PHOENIX_TEXT" > /opt/compose/web/index.html
`,
	}
}

func TestRealFeatures(t *testing.T) {
	t.Parallel()
	r := newContainerRig(t, realhost.Options{})
	if err := os.MkdirAll(filepath.Join(r.home, "features/page"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pageFeature() {
		r.write(t, "features/page/"+name, text)
	}
	both, docker := []int{900, 901}, r.dockerRuns(t)
	r.write(t, "lxc.json", featured(docker))

	r.phoenix(t, "check").want(t, 2)
	t.Log(r.patiently(t, "run").want(t, 0).stderr)

	t.Run("what was asked for is there", func(t *testing.T) {
		for _, ctid := range both {
			for _, one := range []struct{ script, want string }{
				{". /etc/default/locale; echo $LANG; locale -a | grep -i de_DE", "de_DE.UTF-8\nde_DE.utf8"},
				{"readlink -f /etc/localtime", "/usr/share/zoneinfo/Europe/Berlin"},
				{"cat /etc/motd /root/applied", "made by phoenix\napplied"},
			} {
				if got := r.inside(t, ctid, "sh", "-c", one.script); got != one.want {
					t.Errorf("%d: %s says %q, want %q", ctid, one.script, got, one.want)
				}
			}
		}
	})
	t.Run("the project serves its page, on the storage driver of choice", func(t *testing.T) {
		for _, ctid := range docker {
			if got := r.inside(t, ctid, "docker", "info", "--format", "{{.Driver}}"); got != "overlay2" {
				t.Errorf("%d: the storage driver is %s", ctid, got)
			}
			if got := r.inside(t, ctid, "curl", "-sf", "http://localhost:8080/"); got != "PAGE" {
				t.Errorf("%d: the page says %q", ctid, got)
			}
		}
	})
	t.Run("the proof was a container that ran to its end", func(t *testing.T) {
		for _, ctid := range docker {
			ended := r.inside(t, ctid, "docker", "events", "--since", "1h", "--until", "0s", "--filter", "event=die", "--format", "{{.Actor.Attributes.image}} {{.Actor.Attributes.exitCode}}")
			if !strings.Contains(ended, "phoenix/proof:run 0") {
				t.Errorf("%d: Docker remembers of ended containers: %q", ctid, ended)
			}
			var record map[string]any
			if err := json.Unmarshal([]byte(r.inside(t, ctid, "cat", fmt.Sprintf("/var/lib/phoenix/proof-docker.%d.json", ctid))), &record); err != nil || len(record) == 0 {
				t.Errorf("%d: the record of the proof: %v %v", ctid, record, err)
			}
			if left := r.inside(t, ctid, "docker", "images", "--quiet", "phoenix/proof"); left != "" {
				t.Errorf("%d: the image of the proof is still there: %s", ctid, left)
			}
		}
	})
	again := func(t *testing.T) {
		r.phoenix(t, "check", "-o", "json").want(t, 0).wantChanges(t)
		r.phoenix(t, "run", "-o", "json").want(t, 0).wantChanges(t)
	}
	t.Run("a second run changes nothing, and leaves nothing behind", func(t *testing.T) {
		again(t)
		for _, ctid := range both {
			if left := r.inside(t, ctid, "sh", "-c", "ls -d /run/.phoenix* /tmp/.phoenix* 2>/dev/null; readlink /proc/[0-9]*/exe | grep agentlet; cat /root/applied"); left != "applied" {
				t.Errorf("%d: the helper left %q", ctid, left)
			}
		}
	})
	t.Run("what people changed inside is found, and mended", func(t *testing.T) {
		var want []string
		for _, d := range drift() {
			for _, ctid := range both {
				if d.docker && !slices.Contains(docker, ctid) {
					continue
				}
				r.inside(t, ctid, "sh", "-c", d.script)
				want = append(want, "pve1 "+strings.ReplaceAll(d.found, "CTID", fmt.Sprint(ctid)))
			}
		}
		found := r.phoenix(t, "check", "-o", "json").want(t, 2).report(t).changes()
		found = slices.DeleteFunc(found, func(c string) bool { return strings.HasPrefix(c, "pve1 health:") }) // may be another by then
		slices.Sort(found)
		slices.Sort(want)
		if !slices.Equal(found, want) {
			t.Errorf("the check finds\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
		}
		r.patiently(t, "run").want(t, 0)
		again(t)
	})
}

// drifted is what people do to a container by hand, and the step and path by which that
// is found.
type drifted struct {
	found, script string
	docker        bool
}

func drift() []drifted {
	return []drifted{
		{"base_setup:CTID packages.curl", "dpkg --purge --force-depends curl >/dev/null", false},
		{"base_setup:CTID timezone", "ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime", false},
		{"feature:CTID/page check", "echo defaced > /opt/compose/web/index.html", false},
		{"docker:CTID log_options.max-size", "sed -i s/5m/9m/ /etc/docker/daemon.json", true},
		{"docker:CTID compose.web.services.web", "docker rm -f $(docker ps -q)", true},
		{"packages:CTID packages.less", "dpkg --purge less >/dev/null", false},
		{"file:CTID/etc/motd content", "echo mine > /etc/motd", false},
	}
}
