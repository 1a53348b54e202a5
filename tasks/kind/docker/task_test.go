package docker_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/docker"
	"phoenix/tasks/taskstest"
)

const full = `{
	"log_options": {"max-size": "5m"}, "registry_mirrors": ["https://mirror.example.org"], "live_restore": true,
	"daemon": {"default-address-pools": [{"base": "10.80.0.0/16", "size": 24}], "labels": ["tier=test"]},
	"users": ["ann"],
	"compose": {"web": {"files": {"compose.yaml": "services:\n  web:\n    image: x\n    restart: always\n  job:\n    image: y\n", "conf/app.ini": {"secret": "app"}},
		"env": {"TOKEN": {"secret": "token"}, "COLOUR": "blue"}}}
}`

func suite(template string) taskstest.Suite {
	return taskstest.Suite{
		Kind: docker.Kind(), Spec: full, New: machine(template),
		Secrets: map[string]string{"token": "t0ken-value", "app": "password=hunter22\n"},
		Drifts: []taskstest.Drift{
			{Name: "the limit of the logs was taken out", Make: taskstest.Edited("/etc/docker/daemon.json", `"5m"`, `"5g"`), Paths: []string{"log_options.max-size"}},
			{Name: "a mirror was replaced", Make: taskstest.Edited("/etc/docker/daemon.json", "mirror.example.org", "other.example.org"), Paths: []string{"registry_mirrors"}},
			{Name: "a key of daemon was changed", Make: taskstest.Edited("/etc/docker/daemon.json", "tier=test", "tier=prod"), Paths: []string{"daemon.labels"}},
			{Name: "the daemon was not told of its file", Make: lay("/run/phoenix-docker-daemon", "restart"), Paths: []string{"daemon"}},
			{Name: "the user left the group", Make: lay("/etc/group", "root:x:0:\nvideo:x:44:\ndocker:x:998:\n"), Paths: []string{"users.ann"}},
			{Name: "a file of a project was edited", Make: taskstest.Edited("/opt/compose/web/compose.yaml", "image: x", "image: z"), Paths: []string{"compose.web.files.compose.yaml.content"}},
			{Name: "a value of the environment was edited", Make: taskstest.Edited("/opt/compose/web/.env", "blue", "red"), Paths: []string{"compose.web.env"}},
			{Name: "others may read the environment", Make: readable("/opt/compose/web/.env"), Paths: []string{"compose.web.env.mode"}},
			{Name: "others may read a file with a secret", Make: readable("/opt/compose/web/conf/app.ini"), Paths: []string{"compose.web.files.conf/app.ini.mode"}},
			{Name: "a container was removed", Make: containers(`"Service":"job"`, `"Service":"gone"`), Paths: []string{"compose.web.services.job", "compose.web.services.gone"}},
			{Name: "a container crashed", Make: containers(`"State":"running","Status":"Up 2 seconds","Policy":"always"`, `"State":"exited","Status":"Exited (137) 1 second ago","Policy":"always"`), Paths: []string{"compose.web.services.web"}},
			{Name: "a container that is to run was stopped", Make: containers(`"State":"running","Status":"Up 2 seconds","Policy":"always"`, `"State":"exited","Status":"Exited (0) 1 second ago","Policy":"always"`), Paths: []string{"compose.web.services.web"}},
			{Name: "a container is of another configuration", Make: containers(`"Hash":"`, `"Hash":"0`), Paths: []string{"compose.web.services.web"}},
			{Name: "another kernel runs", Make: lay("/proc/sys/kernel/osrelease", "6.14.0-1-pve\n"), Paths: []string{"proof"}},
			{Name: "the record of the proof is gone", Make: lay("/var/lib/phoenix/proof-docker.json", ""), Paths: []string{"proof"}},
		},
	}
}

// containers edits what the simulated daemon keeps, once.
func containers(old, fresh string) func(*testing.T, tasks.Host) {
	return taskstest.Edited("/.sim/docker/state.json", old, fresh)
}

func TestConformance(t *testing.T) {
	for name, template := range map[string]string{"Debian 12": debian12, "Ubuntu 24.04": ubuntu24, "Alpine": alpine} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite(template).Run(t)
		})
	}
}

func TestAnEmptySectionIsDockerOfTheDistributionWithBoundedLogs(t *testing.T) {
	for name, c := range map[string]struct{ template, packages string }{
		"Debian 12":    {debian12, "packages.docker.io packages.ca-certificates"},
		"Debian 13":    {debian13, "packages.docker.io packages.ca-certificates packages.docker-cli"},
		"Ubuntu 24.04": {ubuntu24, "packages.docker.io packages.ca-certificates"},
		"Alpine":       {alpine, "packages.docker"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := guest(t, c.template)
			res := taskstest.Check(t, docker.Kind(), `{}`, h)
			if want := c.packages + " log_options.max-file log_options.max-size service.enabled service.active proof"; paths(res) != want {
				t.Errorf("%s, want %s", paths(res), want)
			}
			if res := taskstest.Run(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusChanged {
				t.Fatalf("run: %+v", res)
			}
			if got := taskstest.Get(t, h, "/etc/docker/daemon.json"); !strings.Contains(got, `"max-size": "10m"`) {
				t.Error(got)
			}
			if res := taskstest.Check(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusOK {
				t.Errorf("second check: %+v", res)
			}
			record := taskstest.Get(t, h, "/var/lib/phoenix/proof-docker.json")
			for _, fact := range []string{`"containerd"`, `"runc"`, `"docker"`, `"kernel":"6.8.12-9-pve"`, `"storage driver":"overlay2"`} {
				if !strings.Contains(record, fact) {
					t.Errorf("the record has no %s: %s", fact, record)
				}
			}
		})
	}
}

func TestDockersOwnArchiveIsTrustedByItsFingerprint(t *testing.T) {
	h := guest(t, ubuntu24)
	const spec = `{"source": "docker-ce", "compose_plugin": true}`
	rec := taskstest.NewRecorder(h)
	if res := taskstest.Run(t, docker.Kind(), spec, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	if got := taskstest.Get(t, h, "/etc/apt/sources.list.d/docker.sources"); !strings.Contains(got, "URIs: https://download.docker.com/linux/ubuntu\nSuites: noble\nComponents: stable\nSigned-By: /etc/apt/keyrings/docker.asc\n") {
		t.Error(got)
	}
	if !strings.Contains(strings.Join(rec.Commands(), "\n"), "dockerd --validate --config-file=/run/phoenix-docker-daemon.json") {
		t.Error("daemon.json was not read by dockerd before it was installed")
	}
	if res := taskstest.Check(t, docker.Kind(), spec, h); res.Status != tasks.StatusOK {
		t.Errorf("second check: %+v", res)
	}
	if res := taskstest.Check(t, docker.Kind(), `{"compose_plugin": true}`, h); res.Status != tasks.StatusOK {
		t.Errorf("without a source, the one that is there stays: %+v", res)
	}
	taskstest.Put(t, h, "/etc/apt/keyrings/docker.asc", "another key\n")
	if res := taskstest.Check(t, docker.Kind(), spec, h); paths(res) != "source.key" || res.Changes[0].From != "no key" {
		t.Errorf("%+v", res.Changes)
	}
}

func TestTheOtherDockerIsNotInstalledBeside(t *testing.T) {
	for name, c := range map[string]struct{ template, first, then, says string }{
		"docker.io is there, docker-ce is wanted": {debian12, `{}`, `{"source": "docker-ce"}`, "docker.io 20.10.24+dfsg1-1+deb12u1 is installed (apt-get remove docker.io"},
		"docker-ce is there, docker.io is wanted": {debian12, `{"source": "docker-ce"}`, `{"source": "distribution"}`, "is installed (apt-get remove docker-ce"},
		"docker-ce is wanted on Alpine":           {alpine, `{}`, `{"source": "docker-ce"}`, "Docker has no packages for Alpine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := guest(t, c.template)
			if res := taskstest.Run(t, docker.Kind(), c.first, h); res.Status != tasks.StatusChanged {
				t.Fatalf("run: %+v", res)
			}
			if res := taskstest.Check(t, docker.Kind(), c.then, h); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, c.says) {
				t.Errorf("%s: %s", res.Status, res.Why)
			}
		})
	}
}

func TestKeysOfOthersStayInDaemonJSON(t *testing.T) {
	h := guest(t, debian12)
	lay("/etc/docker/daemon.json", `{"dns": ["10.0.0.1"], "mtu": 1400, "log-opts": {"max-size": "50m", "tag": "<x>"}, "big": 12345678901234567890}`)(t, h)
	if res := taskstest.Run(t, docker.Kind(), `{"daemon": {"mtu": 1450}}`, h); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	const want = "{\n  \"big\": 12345678901234567890,\n  \"dns\": [\n    \"10.0.0.1\"\n  ],\n  \"log-opts\": {\n    \"max-file\": \"3\",\n    \"max-size\": \"50m\",\n    \"tag\": \"<x>\"\n  },\n  \"mtu\": 1450\n}\n"
	if got := taskstest.Get(t, h, "/etc/docker/daemon.json"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestAFaultInDaemonJSONIsNamedWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"{\n  \"debug\": true,\n}": "line 3, column 1",
		"[]":                       "line 1",
		"{} {}":                    "follows the object",
		"{\"a\":":                  "line 1, column",
		"null":                     "it is null",
	} {
		h := guest(t, debian12)
		lay("/etc/docker/daemon.json", text)(t, h)
		if res := taskstest.Check(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "read /etc/docker/daemon.json: ") || !strings.Contains(res.Why, want) {
			t.Errorf("%q: %s %s, want %s", text, res.Status, res.Why, want)
		}
	}
}

func TestTheDaemonIsRestartedOnlyForKeysThatItDoesNotReload(t *testing.T) {
	for name, c := range map[string]struct {
		spec   string
		effect tasks.Effect
		verb   string
	}{
		"a mirror is reloaded":          {`{"registry_mirrors": ["https://m.example.org"]}`, tasks.EffectLive, "systemctl reload docker.service"},
		"live-restore is reloaded":      {`{"live_restore": true}`, tasks.EffectLive, "systemctl reload docker.service"},
		"the log driver needs a start":  {`{"log_driver": "local"}`, tasks.EffectRestart, "systemctl restart docker.service"},
		"options of logs need a start":  {`{"log_options": {"max-size": "1m"}}`, tasks.EffectRestart, "systemctl restart docker.service"},
		"both at once need one restart": {`{"live_restore": true, "log_driver": "local"}`, tasks.EffectRestart, "systemctl restart docker.service"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := guest(t, debian12)
			if res := taskstest.Run(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusChanged {
				t.Fatalf("run: %+v", res)
			}
			rec := taskstest.NewRecorder(h)
			res := taskstest.Run(t, docker.Kind(), c.spec, rec)
			if res.Status != tasks.StatusChanged || len(res.Changes.With(c.effect)) == 0 {
				t.Fatalf("run: %+v", res)
			}
			told := ""
			for _, line := range rec.Commands() {
				if strings.HasPrefix(line, "systemctl re") {
					told += line
				}
			}
			if strings.ReplaceAll(told, " --no-pager", "") != c.verb {
				t.Errorf("%q, want %q", told, c.verb)
			}
		})
	}
}

func TestADaemonThatDoesNotStartGetsItsOldFileBack(t *testing.T) {
	h := guest(t, debian12) // Docker 20.10 cannot check the file before
	if res := taskstest.Run(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	before := taskstest.Get(t, h, "/etc/docker/daemon.json")
	res := taskstest.Run(t, docker.Kind(), `{"daemon": {"no-such-key": 1}}`, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "the old file is back, and the daemon runs with it") {
		t.Errorf("%s: %s", res.Status, res.Why)
	}
	if got := taskstest.Get(t, h, "/etc/docker/daemon.json"); got != before {
		t.Error(got)
	}
	if res := taskstest.Check(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusOK {
		t.Errorf("afterwards: %+v", res)
	}
	newer := guest(t, alpine)
	res = taskstest.Run(t, docker.Kind(), `{"daemon": {"no-such-key": 1}}`, newer)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "don't match any configuration option: no-such-key") {
		t.Errorf("%s: %s", res.Status, res.Why)
	}
	if _, err := newer.Stat("/etc/docker/daemon.json"); err == nil {
		t.Error("a file that dockerd refuses was installed")
	}
}

func TestAUserThatDoesNotExistIsNotMade(t *testing.T) {
	h := guest(t, debian12)
	res := taskstest.Run(t, docker.Kind(), `{"users": ["eve"]}`, h)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "add eve to the group docker: there is no such user") {
		t.Errorf("%s: %s", res.Status, res.Why)
	}
}
