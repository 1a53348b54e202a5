package docker_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"phoenix/tasks"
	"phoenix/tasks/kind/docker"
	"phoenix/tasks/taskstest"
)

func TestTheStorageDriverIsChosenByTheFileSystemAndReadBack(t *testing.T) {
	const root = "overlay / overlay rw 0 0\n"
	for name, c := range map[string]struct {
		spec  string
		files map[string]string
		says  string // of the error, or of the storage driver in daemon.json
		fails bool
	}{
		"ext4: Docker chooses":                   {`{}`, map[string]string{"/proc/mounts": "/dev/loop0 / ext4 rw 0 0\n"}, "", false},
		"ZFS 2.2: Docker chooses":                {`{}`, map[string]string{"/proc/mounts": "rpool/x / zfs rw 0 0\n", "/sys/module/zfs/version": "2.2.7-pve2\n"}, "", false},
		"ZFS 2.1 with fuse":                      {`{}`, map[string]string{"/proc/mounts": "rpool/x / zfs rw 0 0\n", "/sys/module/zfs/version": "2.1.15-pve1\n", "/dev/fuse": ""}, "fuse-overlayfs", false},
		"ZFS 2.1 without fuse":                   {`{}`, map[string]string{"/proc/mounts": "rpool/x / zfs rw 0 0\n", "/sys/module/zfs/version": "2.1.15-pve1\n"}, "choose the storage driver: /var/lib/docker is on ZFS 2.1.15-pve1, on which overlay2 fails", true},
		"ext4 mounted over ZFS at the data root": {`{"data_root": "/srv/docker"}`, map[string]string{"/proc/mounts": "rpool/x / zfs rw 0 0\n/dev/sdb /srv ext4 rw 0 0\n/dev/sdc /srv/dock zfs rw 0 0\n", "/sys/module/zfs/version": "2.1.15-pve1\n"}, "", false},
		"another overlay with fuse":              {`{}`, map[string]string{"/proc/mounts": root, "/dev/fuse": ""}, "fuse-overlayfs", false},
		"one that is asked for":                  {`{"storage_driver": "btrfs"}`, map[string]string{"/proc/mounts": root}, "btrfs", false},
		"vfs is a failure":                       {`{}`, map[string]string{"/proc/mounts": "rpool/x / zfs rw 0 0\n", "/.sim/docker/no-overlay": ""}, "check the storage driver: Docker has chosen vfs, which copies every layer whole, below /var/lib/docker on zfs", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := guest(t, debian12)
			for path, text := range c.files {
				lay(path, text)(t, h)
			}
			res := taskstest.Run(t, docker.Kind(), c.spec, h)
			if c.fails {
				if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, c.says) {
					t.Errorf("%s: %s; want %s", res.Status, res.Why, c.says)
				}
				return
			}
			var settings map[string]any
			if err := json.Unmarshal([]byte(taskstest.Get(t, h, "/etc/docker/daemon.json")), &settings); err != nil {
				t.Fatal(err)
			}
			if got, _ := settings["storage-driver"].(string); res.Status != tasks.StatusChanged || got != c.says {
				t.Errorf("%s %s: %q, want %q", res.Status, res.Why, got, c.says)
			}
			if res := taskstest.Check(t, docker.Kind(), c.spec, h); res.Status != tasks.StatusOK {
				t.Errorf("second check: %+v", res)
			}
		})
	}
}

func TestVfsIsAFailureOfACheckToo(t *testing.T) {
	h := guest(t, debian12)
	if res := taskstest.Run(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	lay("/.sim/docker/no-overlay", "")(t, h)
	if res := taskstest.Check(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "Docker has chosen vfs") {
		t.Errorf("%s: %s", res.Status, res.Why)
	}
	if res := taskstest.Run(t, docker.Kind(), `{"storage_driver": "overlay2"}`, h); res.Status != tasks.StatusChanged {
		t.Errorf("a driver that is asked for mends it: %s %s", res.Status, res.Why)
	}
}

func TestTheProofLeavesNothingBehindAndRunsOnce(t *testing.T) {
	h := guest(t, debian12)
	rec := taskstest.NewRecorder(h)
	if res := taskstest.Run(t, docker.Kind(), `{}`, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	var ran []string
	for _, line := range rec.Commands() {
		if strings.HasPrefix(line, "docker ") && !strings.HasPrefix(line, "docker info") && !strings.HasPrefix(line, "docker version") {
			ran = append(ran, line)
		}
	}
	want := `docker import --change ENTRYPOINT ["/proof"] - phoenix/proof:run
docker run --rm --network none phoenix/proof:run
docker rmi --force phoenix/proof:run`
	if got := strings.Join(ran, "\n"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if state := taskstest.Get(t, h, "/.sim/docker/state.json"); strings.Contains(state, "phoenix/proof") {
		t.Error(state)
	}
}

func TestAProofThatPrintsSomethingElseIsNone(t *testing.T) {
	h := guest(t, debian12)
	rec := taskstest.NewRecorder(h)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.HasPrefix(o.String(), "docker run") {
			return &taskstest.Answer{Output: tasks.Output{Stdout: []byte("hello\n")}}
		}
		return nil
	}
	res := taskstest.Run(t, docker.Kind(), `{}`, rec)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, `it printed "hello\n"`) {
		t.Errorf("%s: %s", res.Status, res.Why)
	}
	if res := taskstest.Check(t, docker.Kind(), `{}`, h); paths(res) != "proof" {
		t.Errorf("%+v", res)
	}
}

func TestADaemonThatHasJustBeenStartedIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := guest(t, alpine)
		rec := taskstest.NewRecorder(h)
		asked := 0
		rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
			if !strings.HasPrefix(o.String(), "docker info") {
				return nil
			}
			if asked++; asked <= 10 {
				return &taskstest.Answer{Output: tasks.Output{Code: 1, Stderr: []byte("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n")}}
			}
			return nil
		}
		if res := taskstest.Run(t, docker.Kind(), `{}`, rec); res.Status != tasks.StatusChanged {
			t.Errorf("run after %d: %+v", asked, res)
		}
	})
}

// inContainer runs a check or a run of an empty section with the machine that the
// container is on, and returns the result and what was told.
func inContainer(t *testing.T, h, machine tasks.Host, apply bool) (d tasks.Diff, told string, err error) {
	t.Helper()
	var lines []string
	ctx := tasks.WithScope(t.Context(), tasks.Scope{CTID: 900, Machine: machine, Warn: func(text string) { lines = append(lines, text) }})
	task := new(docker.Spec).Task()
	if d, err = task.Check(ctx, tasks.ReadOnly(h)); err == nil && apply {
		err = task.Apply(ctx, h, d)
	}
	return d, strings.Join(lines, "\n"), err
}

func onHost(t *testing.T, lxc, conf string) tasks.Host {
	t.Helper()
	return taskstest.NewTree(t, map[string]string{
		"var/lib/dpkg/status":  "Package: lxc-pve\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + lxc + "\n",
		"etc/pve/lxc/900.conf": conf,
	})
}

func TestTheBreakOfNovember2025IsNamedWithItsRemedy(t *testing.T) {
	for lxc, want := range map[string]string{
		"6.0.5-1": "the host has lxc-pve 6.0.5-1: upgrade lxc-pve to 6.0.5-2 or later on the host",
		"6.0.5-2": "lxc-pve 6.0.5-2 on the host has the remedy: restart the container",
	} {
		h := guest(t, debian12)
		lay("/.sim/docker/apparmor-denies", "")(t, h)
		_, _, err := inContainer(t, h, onHost(t, lxc, ""), true)
		if err == nil || !strings.Contains(err.Error(), "the break of November 2025: runc 1.1.5+ds1 opens files") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", lxc, err)
		}
	}
}

func TestLeftoverWorkaroundsAreToldAndDoNotFailACheck(t *testing.T) {
	h := guest(t, debian12)
	if _, _, err := inContainer(t, h, onHost(t, "6.0.5-2", "unprivileged: 1\n"), true); err != nil {
		t.Fatal(err)
	}
	conf := "arch: amd64\nlxc.apparmor.profile: unconfined\nlxc.cap.drop:\nlxc.cgroup2.devices.allow: a\nlxc.cgroup2.devices.allow: c 195:* rwm\n[before]\nlxc.cap.drop:\n"
	for lxc, want := range map[string][]string{
		"6.0.5-2": {"it is no longer needed: the host has lxc-pve 6.0.5-2", "leaves root of the container every capability", "gives the container every device"},
		"6.0.0-1": {"it is not needed for runc 1.1.5+ds1; a later one needs lxc-pve 6.0.5-2 instead"},
	} {
		d, told, err := inContainer(t, h, onHost(t, lxc, conf), false)
		if err != nil || len(d) > 0 {
			t.Errorf("%+v, %v", d, err)
		}
		for _, one := range want {
			if !strings.Contains(told, one) {
				t.Errorf("lxc-pve %s: %q is not told:\n%s", lxc, one, told)
			}
		}
		if n := strings.Count(told, "/etc/pve/lxc/900.conf: "); n != 3 {
			t.Errorf("%d findings, want 3:\n%s", n, told)
		}
	}
	if _, told, err := inContainer(t, h, onHost(t, "6.0.0-1", "arch: amd64\nunprivileged: 1\nfeatures: keyctl=1,nesting=1\nlxc.cap.drop: mac_admin\n"), false); err != nil || told != "" {
		t.Errorf("of a clean one: %q, %v", told, err)
	}
}

func TestAPrivilegedContainerWithNestingIsToldOnce(t *testing.T) {
	h := guest(t, debian12)
	if _, _, err := inContainer(t, h, onHost(t, "6.0.5-2", "unprivileged: 1\n"), true); err != nil {
		t.Fatal(err)
	}
	for conf, n := range map[string]int{
		"arch: amd64\nfeatures: keyctl=1,nesting=1\n":                           1,
		"features: nesting=1\nunprivileged: 0\n[before]\nfeatures: nesting=1\n": 1,
		"features: nesting=1\nunprivileged: 1\n[before]\nunprivileged: 0\n":     0,
		"features: keyctl=1,nesting=0\n":                                        0,
		"unprivileged: 0\n[before]\nfeatures: nesting=1\n":                      0,
	} {
		d, told, err := inContainer(t, h, onHost(t, "6.0.5-2", conf), false)
		if err != nil || len(d) > 0 || strings.Count(told, "/etc/pve/lxc/900.conf: a privileged container has nesting: its root is root of the host") != n {
			t.Errorf("%q: %+v, %v, told %q", conf, d, err, told)
		}
	}
}

func TestARuncThatTheHostDoesNotLetWorkIsWarnedOf(t *testing.T) {
	h := guest(t, debian12)
	if res := taskstest.Run(t, docker.Kind(), `{}`, h); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	before, stanza, _ := strings.Cut(taskstest.Get(t, h, "/var/lib/dpkg/status"), "Package: runc\n")
	old, after, _ := strings.Cut(stanza, "\n\n")
	fresh := regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAllString(old, "Version: 1.3.3+ds1-1")
	taskstest.Put(t, h, "/var/lib/dpkg/status", before+"Package: runc\n"+fresh+"\n\n"+after)
	for lxc, want := range map[string]string{
		"6.0.5-1": "does not start containers with lxc-pve 6.0.5-1 where AppArmor confines the container; upgrade lxc-pve to 6.0.5-2 or later",
		"6.0.5-2": "",
	} {
		_, told, err := inContainer(t, h, onHost(t, lxc, "arch: amd64\n"), false)
		if err != nil || (want == "") != (told == "") || !strings.Contains(told, want) {
			t.Errorf("lxc-pve %s: %q, %v", lxc, told, err)
		}
	}
}

func TestAChangeOfAProjectSaysThatItsContainersAreMadeAnew(t *testing.T) {
	h := guest(t, ubuntu24)
	const spec = `{"compose": {"web": {"files": {"compose.yaml": "services:\n  web:\n    image: x\n", "page.html": "one\n"}, "env": {"A": "1"}}}}`
	effects := func(spec string) string {
		var out []string
		for _, c := range taskstest.Check(t, docker.Kind(), spec, h).Changes {
			if strings.HasPrefix(c.Path, "compose.") {
				out = append(out, strings.TrimPrefix(c.Path, "compose.web.")+" "+string(c.Effect))
				if strings.HasSuffix("\n"+c.Note, "\nthe containers of the services that it changes are made anew") != (c.Effect == tasks.EffectRestart) && !strings.HasPrefix(c.Path, "compose.web.services.") {
					t.Errorf("%s: %q", c.Path, c.Note)
				}
			}
		}
		return strings.Join(out, ", ")
	}
	if got := effects(spec); strings.Contains(got, "restart") {
		t.Errorf("before there are any: %s", got)
	}
	if res := taskstest.Run(t, docker.Kind(), spec, h); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	for change, want := range map[string]string{
		"image: x>image: y":          "files.compose.yaml.content restart",
		`"one\n">"two\n"`:            "files.page.html.content live",
		`"A": "1">"A": "2"`:          "env restart",
		`"env">"state":"down","env"`: "state live",
	} {
		old, fresh, _ := strings.Cut(change, ">")
		if got := effects(strings.Replace(spec, old, fresh, 1)); got != want {
			t.Errorf("%s: %s, want %s", change, got, want)
		}
	}
	containers(`"Hash":"`, `"Hash":"0`)(t, h)
	if got := effects(spec); got != "services.web restart" {
		t.Errorf("of another configuration: %s", got)
	}
}

func TestAProjectThatIsToBeDownHasNoContainers(t *testing.T) {
	h := guest(t, ubuntu24)
	const up = `{"compose": {"web": {"directory": "/srv/web", "files": {"docker-compose.yml": "services:\n  web:\n    image: x\n"}}}}`
	down := strings.Replace(up, `"directory"`, `"state": "down", "directory"`, 1)
	if res := taskstest.Run(t, docker.Kind(), up, h); res.Status != tasks.StatusChanged {
		t.Fatalf("up: %+v", res)
	}
	res := taskstest.Check(t, docker.Kind(), down, h)
	if paths(res) != "compose.web.state" || res.Changes[0].From != "up" || res.Changes[0].To != "down" {
		t.Fatalf("%+v", res)
	}
	if res := taskstest.Run(t, docker.Kind(), down, h); res.Status != tasks.StatusChanged {
		t.Fatalf("down: %+v", res)
	}
	if res := taskstest.Check(t, docker.Kind(), up, h); paths(res) != "compose.web.services.web" {
		t.Errorf("%+v", res)
	}
	if state := taskstest.Get(t, h, "/.sim/docker/state.json"); strings.Contains(state, `"Project":"web"`) {
		t.Error(state)
	}
}

func TestAServiceWhoseHashesAlwaysDifferIsNoDrift(t *testing.T) {
	h := guest(t, ubuntu24)
	const spec = `{"compose": {"web": {"files": {"compose.yaml": "services:\n  web:\n    image: x\n"}}}}`
	rec := taskstest.NewRecorder(h)
	other := "0000"
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer {
		if strings.Contains(o.String(), "config --hash") {
			return &taskstest.Answer{Output: tasks.Output{Stdout: []byte("web " + other + "\n")}}
		}
		return nil
	}
	if res := taskstest.Run(t, docker.Kind(), spec, rec); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	if res := taskstest.Check(t, docker.Kind(), spec, rec); res.Status != tasks.StatusOK {
		t.Errorf("%+v", res)
	}
	other = "1111"
	if res := taskstest.Check(t, docker.Kind(), spec, rec); paths(res) != "compose.web.services.web" {
		t.Errorf("another configuration: %+v", res)
	}
}

func TestAServiceThatEndedWellAndIsNotRestartedIsDone(t *testing.T) {
	h := guest(t, ubuntu24)
	const spec = `{"compose": {"web": {"files": {"compose.yaml": "services:\n  job:\n    image: x\n"}}}}`
	if res := taskstest.Run(t, docker.Kind(), spec, h); res.Status != tasks.StatusChanged {
		t.Fatalf("run: %+v", res)
	}
	containers(`"State":"running","Status":"Up 2 seconds"`, `"State":"exited","Status":"Exited (0) 5 minutes ago"`)(t, h)
	if res := taskstest.Check(t, docker.Kind(), spec, h); res.Status != tasks.StatusOK {
		t.Errorf("%+v", res)
	}
	containers("Exited (0)", "Exited (1)")(t, h)
	if res := taskstest.Check(t, docker.Kind(), spec, h); paths(res) != "compose.web.services.job" || res.Changes[0].From != "exited" {
		t.Errorf("%+v", res)
	}
}
