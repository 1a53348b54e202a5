package portainer_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"phoenix/tasks"
	"phoenix/tasks/kind/portainer"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const (
	debian = "debian-12-standard_12.7-1_amd64.tar.zst"
	alpine = "alpine-3.20-default_20240908_amd64.tar.xz"

	password = "correct horse \"battery\" \\ stapleé"
	shared   = "agents only 0815"

	serverBox = "/.sim/docker/containers/portainer.json"
	agentBox  = "/.sim/docker/containers/portainer_agent.json"
	kept      = "/.sim/portainer/portainer_data.json"

	fullSpec = `{"admin_password":{"secret":"admin"},"agent_secret":{"secret":"shared"},"tunnel_port":8000,"port":443,` +
		`"environments":{"vllm":"10.0.0.150","edge":"tcp://[fd00::5]:9010","here":"unix:///var/run/docker.sock"}}`
)

func secrets() map[string]string {
	return map[string]string{"admin": password, "shared": shared, "other": "another password"}
}

// guest is the inside of a container with Docker, with a clock that can be put forward.
type guest struct {
	taskstest.Machine
	sim   *sim.Machine
	later time.Duration
}

func newGuest(t *testing.T, template string) *guest {
	t.Helper()
	g := new(guest)
	begin := time.Now()
	m, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 5, Now: func() time.Time { return begin.Add(g.later) }})
	if err != nil {
		t.Fatal(err)
	}
	g.sim, g.Machine = m, taskstest.Machine{Host: m.Host(), Digest: m.Digest}
	lines := []string{"apt-get update", "apt-get install -y docker.io"}
	if template == alpine {
		lines = []string{"apk add docker", "rc-service docker start"}
	}
	for _, line := range lines {
		command(strings.Fields(line)...)(t, m.Host())
	}
	return g
}

func command(argv ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
}

// run takes the step with all secrets.
func (g *guest) run(t *testing.T, spec string) tasks.Result {
	t.Helper()
	return taskstest.Suite{Kind: portainer.Kind(), Spec: spec, Secrets: secrets()}.Apply(t, g.Machine)
}

func want(t *testing.T, res tasks.Result, status tasks.Status, says string) {
	t.Helper()
	if res.Status != status || !strings.Contains(res.Why, says) {
		t.Fatalf("want %s that says %q, got %+v", status, says, res)
	}
}

func put(name, content string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, name, content) }
}

func TestConformance_server(t *testing.T) {
	edited := func(old, fresh string) func(*testing.T, tasks.Host) { return taskstest.Edited(serverBox, old, fresh) }
	for name, template := range map[string]string{"debian": debian, "alpine": alpine} {
		suite := taskstest.Suite{
			Kind: portainer.Kind(), New: func(t *testing.T) taskstest.Machine { return newGuest(t, template).Machine }, Spec: fullSpec, Secrets: secrets(),
			Drifts: []taskstest.Drift{
				{Name: "the container was removed", Make: command("docker", "rm", "--force", "portainer"), Paths: []string{"container", "admin", "environments.edge", "environments.here", "environments.vllm"}},
				{Name: "it is an older image", Make: edited(`portainer-ce:2.45.1`, `portainer-ce:2.33.1`), Paths: []string{"image"}},
				{Name: "a port is closed", Make: edited(`"8000/tcp":[{"HostIp":"","HostPort":"8000"}],`, ``), Paths: []string{"ports"}},
				{Name: "it has another mount", Make: edited(`"Binds":[`, `"Binds":["/srv:/srv",`), Paths: []string{"volumes"}},
				{Name: "it is not restarted", Make: edited(`"Name":"always"`, `"Name":"no"`), Paths: []string{"restart_policy"}},
				{Name: "it has arguments", Make: edited(`"Cmd":[]`, `"Cmd":["--http-enabled"]`), Paths: []string{"command"}},
				{Name: "it has another agent secret", Make: edited(shared, "guess"), Paths: []string{"agent_secret"}},
				{Name: "it is stopped", Make: edited(`"Running":true`, `"Running":false`), Paths: []string{"state"}},
				{Name: "it restarts again and again", Make: edited(`"Restarting":false`, `"Restarting":true`), Paths: []string{"state"}},
				{Name: "curl was removed", Make: func(t *testing.T, h tasks.Host) {
					if template == alpine {
						command("apk", "del", "curl")(t, h)
					} else {
						command("apt-get", "-y", "remove", "curl")(t, h)
					}
				}, Paths: []string{"packages.curl"}},
				{Name: "its data are new", Make: put(kept, "{}"), Paths: []string{"admin", "environments.edge", "environments.here", "environments.vllm"}},
				{Name: "an environment has another address", Make: taskstest.Edited(kept, "10.0.0.150", "10.0.0.99"), Paths: []string{"environments.vllm"}},
				{Name: "an environment was renamed", Make: taskstest.Edited(kept, `"here"`, `"local"`), Paths: []string{"environments.here"}},
			},
			Tolerates: []string{"apt-get", "apk", "docker image inspect"},
		}
		t.Run(name, suite.Run)
	}
}

func TestConformance_agent(t *testing.T) {
	taskstest.Suite{
		Kind: portainer.Kind(), New: func(t *testing.T) taskstest.Machine { return newGuest(t, debian).Machine },
		Spec: `{"role":"agent","agent_secret":{"secret":"shared"},"agent_port":9101}`, Secrets: secrets(),
		Drifts: []taskstest.Drift{
			{Name: "it is an older image", Make: taskstest.Edited(agentBox, "agent:2.45.1", "agent:2.33.1"), Paths: []string{"image"}},
			{Name: "it is published elsewhere", Make: taskstest.Edited(agentBox, "9101", "9001"), Paths: []string{"ports"}},
			{Name: "it is stopped", Make: taskstest.Edited(agentBox, `"Running":true`, `"Running":false`), Paths: []string{"state"}},
		},
		Tolerates: []string{"apt-get", "docker image inspect"},
	}.Run(t)
}

func TestApply_startsTheServerAsItsDocumentationDoes(t *testing.T) {
	g := newGuest(t, debian)
	rec := taskstest.NewRecorder(g.Machine)
	res := taskstest.Suite{Kind: portainer.Kind(), Spec: fullSpec, Secrets: secrets()}.Apply(t, rec)
	want(t, res, tasks.StatusChanged, "")
	line := "docker run --detach --name portainer --restart always --publish 443:9443 --publish 8000:8000 " +
		"--volume /var/run/docker.sock:/var/run/docker.sock --volume portainer_data:/data --env-file /dev/stdin portainer/portainer-ce:2.45.1"
	if all := strings.Join(rec.Commands(), "\n"); !strings.Contains(all, line) || !strings.Contains(all, "/api/users/admin/init") {
		t.Errorf("it ran\n%s", all)
	}
	data := taskstest.Get(t, g, kept)
	for _, text := range []string{`"User":"admin"`, `{"Id":1,"Name":"edge","URL":"tcp://[fd00::5]:9010","Type":2}`, `{"Id":2,"Name":"here","URL":"unix:///var/run/docker.sock","Type":1}`, `"URL":"tcp://10.0.0.150:9001"`} {
		if !strings.Contains(data, text) {
			t.Errorf("the server keeps %s, which lacks %s", data, text)
		}
	}
}

func TestApply_initializesVersionsWithAndWithoutASetupToken(t *testing.T) {
	for _, image := range []string{"portainer/portainer-ce:2.19.5", "portainer/portainer-ce:2.33.7-alpine", "portainer/portainer-ce:2.39.4", "10.0.0.1:5000/portainer/portainer-ee:2.45.0"} {
		t.Run(image, func(t *testing.T) {
			g := newGuest(t, debian)
			want(t, g.run(t, fmt.Sprintf(`{"image":%q,"admin_password":{"secret":"admin"},"admin_user":"anna"}`, image)), tasks.StatusChanged, "")
			if data := taskstest.Get(t, g, kept); !strings.Contains(data, `"User":"anna"`) {
				t.Errorf("the server keeps %s", data)
			}
		})
	}
}

func TestApply_aNewImageKeepsTheData(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{"image":"portainer/portainer-ce:2.33.7","admin_password":{"secret":"admin"}}`), tasks.StatusChanged, "")
	before := taskstest.Get(t, g, kept)
	want(t, g.run(t, `{"admin_password":{"secret":"admin"}}`), tasks.StatusChanged, "")
	if after := taskstest.Get(t, g, kept); after != before {
		t.Errorf("the data were\n%s and are\n%s", before, after)
	}
}

func TestApply_anImageThatCannotBeHadLeavesTheOldOneRunning(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{"image":"portainer/portainer-ce:2.33.7"}`), tasks.StatusChanged, "")
	if err := g.sim.Fault(sim.Fault{Kind: sim.FaultDownload, Program: "docker"}); err != nil {
		t.Fatal(err)
	}
	want(t, g.run(t, `{}`), tasks.StatusFailed, "no such host")
	if text := taskstest.Get(t, g, serverBox); !strings.Contains(text, "2.33.7") || !strings.Contains(text, `"Running":true`) {
		t.Errorf("the container is %s", text)
	}
}

func TestTheFiveMinutesToMakeAnAdministratorAreOver(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{}`), tasks.StatusChanged, "")
	want(t, g.run(t, `{}`), tasks.StatusOK, "")
	g.later = 6 * time.Minute
	want(t, taskstest.Check(t, portainer.Kind(), `{}`, g.Machine), tasks.StatusFailed, "restart it with docker restart portainer")
	suite := taskstest.Suite{Kind: portainer.Kind(), Spec: `{"admin_password":{"secret":"admin"}}`, Secrets: secrets()}
	rec := taskstest.NewRecorder(g.Machine)
	res := suite.Apply(t, rec)
	want(t, res, tasks.StatusChanged, "")
	if len(res.Changes) != 1 || res.Changes[0].Path != "admin" || res.Changes[0].Effect != tasks.EffectRestart || !strings.Contains(strings.Join(rec.Commands(), "\n"), "docker restart portainer") {
		t.Errorf("%+v, by %v", res.Changes, rec.Commands())
	}
}

func TestAnotherPasswordIsNeitherChangedNorForgotten(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{"image":"portainer/portainer-ce:2.39.4","admin_password":{"secret":"admin"}}`), tasks.StatusChanged, "")
	before := taskstest.Get(t, g, kept)
	res := g.run(t, `{"admin_password":{"secret":"other"}}`)
	want(t, res, tasks.StatusSkipped, "another name or password")
	if res.Cause != tasks.CauseRefused || len(res.Changes) != 1 || res.Changes[0].Path != "image" {
		t.Errorf("the new image was not had all the same: %+v", res)
	}
	if taskstest.Get(t, g, kept) != before {
		t.Error("the data were changed")
	}
	if len(res.Remaining) != 1 || res.Remaining[0].Path != "admin" || !res.Remaining[0].Held() {
		t.Errorf("what is left does not say that it would be refused: %+v", res.Remaining)
	}
}

func TestEnvironmentsOfOthersAreLeftAlone(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{"admin_password":{"secret":"admin"},"environments":{"a":"10.0.0.1"}}`), tasks.StatusChanged, "")
	taskstest.Edited(kept, `"Endpoints":[`, `"Endpoints":[{"Id":7,"Name":"theirs","URL":"tcp://10.0.0.7:9001","Type":2},{"Id":8,"Name":"edge","URL":"portainer.lan","Type":4},`)(t, g)
	res := g.run(t, `{"admin_password":{"secret":"admin"},"environments":{"b":"AGENT.lan:9001","edge":"10.0.0.2"}}`)
	want(t, res, tasks.StatusSkipped, "environment edge")
	if len(res.Remaining) != 1 || res.Remaining[0].Path != "environments.edge" || !res.Remaining[0].Held() {
		t.Errorf("what is left does not say that it would be refused: %+v", res.Remaining)
	}
	data := taskstest.Get(t, g, kept)
	for _, text := range []string{`"Name":"theirs","URL":"tcp://10.0.0.7:9001"`, `"Name":"edge","URL":"portainer.lan"`, `"Name":"a"`, `{"Id":9,"Name":"b","URL":"tcp://agent.lan:9001","Type":2}`} {
		if !strings.Contains(data, text) {
			t.Errorf("the server keeps %s, which lacks %s", data, text)
		}
	}
}

func TestAnAgentThatCannotBeReachedDoesNotHoldOthersUp(t *testing.T) {
	g := newGuest(t, debian)
	res := g.run(t, `{"admin_password":{"secret":"admin"},"environments":{"a":"gone.invalid","b":"10.0.0.2"}}`)
	want(t, res, tasks.StatusFailed, "register environment a at gone.invalid:9001: portainer answers with HTTP status 500: Unable to get environment type (")
	if data := taskstest.Get(t, g, kept); !strings.Contains(data, `"Name":"b"`) {
		t.Errorf("the server keeps %s", data)
	}
}

func TestAServerWithOtherDataIsNotMadeAnew(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{"image":"portainer/portainer-ce:2.33.7","data_volume":"/opt/portainer"}`), tasks.StatusChanged, "")
	res := g.run(t, `{}`)
	want(t, res, tasks.StatusSkipped, `set data_volume to "/opt/portainer"`)
	if res.Cause != tasks.CauseRefused || len(res.Changes) > 0 || !strings.Contains(taskstest.Get(t, g, serverBox), "2.33.7") {
		t.Errorf("%+v", res)
	}
	check := taskstest.Check(t, portainer.Kind(), `{}`, g.Machine)
	for _, c := range check.Changes {
		if !c.Held() {
			t.Errorf("the check does not say that %s would be refused", c.Path)
		}
	}
}

func TestAContainerOfAnotherProgramIsNotTouched(t *testing.T) {
	g := newGuest(t, debian)
	command("docker", "run", "--detach", "--name", "portainer", "nginx:1.27")(t, g)
	want(t, g.run(t, `{}`), tasks.StatusFailed, "it is of the image nginx:1.27")
}

func TestWithoutDocker(t *testing.T) {
	m, err := sim.NewGuest(t.TempDir(), debian, sim.Options{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	want(t, taskstest.Check(t, portainer.Kind(), `{}`, m.Host()), tasks.StatusFailed, "list the feature docker before portainer")
	g := newGuest(t, debian)
	command("systemctl", "stop", "docker")(t, g)
	want(t, taskstest.Check(t, portainer.Kind(), `{}`, g.Machine), tasks.StatusFailed, "Cannot connect to the Docker daemon")

	// Where an earlier step would bring it, a check tells what there would be to do.
	spec := &portainer.Spec{}
	ctx := tasks.WithScope(t.Context(), tasks.Scope{Earlier: []string{"900/docker"}})
	d, err := spec.Task().Check(ctx, tasks.ReadOnly(m.Host()))
	if err != nil || !d.Has("container") || !d.Has("packages.curl") {
		t.Errorf("%v, %v", d, err)
	}
}

func TestAPasswordThatPortainerRefusesIsTold(t *testing.T) {
	g := newGuest(t, debian)
	suite := taskstest.Suite{Kind: portainer.Kind(), Spec: `{"admin_password":{"secret":"admin"}}`, Secrets: map[string]string{"admin": "short"}}
	want(t, suite.Apply(t, g.Machine), tasks.StatusFailed, "HTTP status 400: Password does not meet the requirements")
	suite.Secrets["admin"] = "two\nlines of it"
	want(t, suite.Apply(t, g.Machine), tasks.StatusFailed, "secret admin: it is empty, or has more than one line")
}

// spoiled takes the step on a machine some of whose programs answer otherwise.
func (g *guest) spoiled(t *testing.T, spec string, answer func(op string) *taskstest.Answer) (tasks.Result, []string) {
	t.Helper()
	rec := taskstest.NewRecorder(g.Machine)
	rec.Inject = func(_ context.Context, o taskstest.Op) *taskstest.Answer { return answer(o.String()) }
	res := taskstest.Suite{Kind: portainer.Kind(), Spec: spec, Secrets: secrets()}.Apply(t, rec)
	return res, rec.Commands()
}

func TestASilentServerIsRestarted(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{}`), tasks.StatusChanged, "")
	asked := 0
	res, commands := g.spoiled(t, `{}`, func(op string) *taskstest.Answer {
		if !strings.Contains(op, "/api/system/status") {
			return nil
		}
		if asked++; asked > 1 {
			return nil
		}
		return &taskstest.Answer{Output: tasks.Output{Code: 28, Stderr: []byte("curl: (28) Operation timed out\ncurl: (28) Operation timed out\n")}}
	})
	want(t, res, tasks.StatusChanged, "")
	if len(res.Changes) != 1 || res.Changes[0].Path != "answer" || res.Changes[0].From != "curl: (28) Operation timed out" || !slices.Contains(commands, "docker restart portainer") {
		t.Errorf("%+v, by %v", res.Changes, commands)
	}
}

func TestAContainerThatDoesNotStayUpIsTold(t *testing.T) {
	g := newGuest(t, debian)
	ran := false
	res, _ := g.spoiled(t, `{}`, func(op string) *taskstest.Answer {
		if ran && strings.HasPrefix(op, "docker inspect") {
			ran = false
			taskstest.Edited(serverBox, `"Running":true`, `"Running":false`)(t, g)
		}
		ran = ran || strings.HasPrefix(op, "docker run")
		return nil
	})
	want(t, res, tasks.StatusFailed, "start container portainer: it ended at once (look at docker logs portainer)")

	g = newGuest(t, debian)
	res, _ = g.spoiled(t, `{}`, func(op string) *taskstest.Answer {
		if strings.HasPrefix(op, "docker run") {
			return new(taskstest.Answer)
		}
		return nil
	})
	want(t, res, tasks.StatusFailed, "docker reported success, and it is not there")
}

func TestADaemonThatIsAwayIsNoMissingContainer(t *testing.T) {
	g := newGuest(t, debian)
	res, _ := g.spoiled(t, `{}`, func(op string) *taskstest.Answer {
		if strings.HasPrefix(op, "docker inspect") {
			return &taskstest.Answer{Output: tasks.Output{Code: 1, Stderr: []byte("dial unix /var/run/docker.sock: connect: no such file or directory\n")}}
		}
		return nil
	})
	want(t, res, tasks.StatusFailed, "no such file or directory")
}

func TestAVolumeThatIsWrittenOutIsTheSame(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{}`), tasks.StatusChanged, "")
	taskstest.Edited(serverBox, `docker.sock:/var/run/docker.sock"`, `docker.sock:/var/run/docker.sock:rw"`)(t, g)
	want(t, g.run(t, `{}`), tasks.StatusOK, "")
}

func TestAnImageThatIsThereIsNotFetched(t *testing.T) {
	g := newGuest(t, debian)
	want(t, g.run(t, `{}`), tasks.StatusChanged, "")
	command("docker", "rm", "--force", "portainer")(t, g)
	if err := g.sim.Fault(sim.Fault{Kind: sim.FaultDownload, Program: "docker"}); err != nil {
		t.Fatal(err)
	}
	want(t, g.run(t, `{}`), tasks.StatusChanged, "")
}

func TestAServerWithoutAnAdministratorIsWarnedOf(t *testing.T) {
	g := newGuest(t, debian)
	said := func(res tasks.Result) string { return strings.Join(res.Warnings, "\n") }
	const says = "portainer has no administrator: make one at https://ADDRESS:9443"
	res := g.run(t, `{}`)
	want(t, res, tasks.StatusChanged, "")
	if text := said(res); strings.Count(text, says) != 1 {
		t.Errorf("the run warns of %q", text)
	}
	if text := said(taskstest.Check(t, portainer.Kind(), `{}`, g.Machine)); strings.Count(text, says) != 1 {
		t.Errorf("the check warns of %q", text)
	}
	want(t, g.run(t, `{"admin_password":{"secret":"admin"}}`), tasks.StatusChanged, "")
	if text := said(g.run(t, `{}`)); text != "" {
		t.Errorf("with an administrator, it warns of %q", text)
	}
}
