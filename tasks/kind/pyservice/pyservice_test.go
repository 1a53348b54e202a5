package pyservice_test

import (
	"slices"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/pyservice"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

const template = "debian-12-standard_12.7-1_amd64.tar.zst"

// simulated is the inside of a fresh container.
func simulated(t *testing.T) (*sim.Machine, taskstest.Machine) {
	t.Helper()
	m, err := sim.NewGuest(t.TempDir(), template, sim.Options{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return m, taskstest.Machine{Host: m.Host(), Digest: m.Digest}
}

const service = `{"web":{"packages":["uvicorn[standard]==0.30.1","starlette"],"requirements":"httpx==0.27.0 # client\n-c /dev/null\nweird ; python_version < \"3\"\n",` +
	`"system_packages":["libnuma1"],"command":["uvicorn","app:app","--port","8080","100%","$HOME"],` +
	`"environment":{"GREETING":"a \"b\" 50% \\c","PLAIN":"x"},"secrets":{"TOKEN":{"secret":"token"}},"ready":{"url":"http://127.0.0.1:8080/health","timeout_s":2,"interval_s":1}}}`

func command(argv ...string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		if _, err := tasks.Succeed(t.Context(), h, tasks.Cmd{Argv: argv}); err != nil {
			t.Fatal(err)
		}
	}
}

func write(path, text string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbPut, Path: path, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(path string) func(*testing.T, tasks.Host) {
	return func(t *testing.T, h tasks.Host) {
		t.Helper()
		if err := h.Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: path}); err != nil {
			t.Fatal(err)
		}
	}
}

const site = "/opt/web/venv/lib/python3.11/site-packages/"

func suite() taskstest.Suite {
	pip := []string{"/opt/web/venv/bin/python3", "-m", "pip", "install"}
	return taskstest.Suite{
		Kind: pyservice.Kind(), Spec: service, Secrets: map[string]string{"token": `tök"$en-1`},
		New: func(t *testing.T) taskstest.Machine { _, m := simulated(t); return m },
		// A unit that changed is read in by enabling it, too, and by each later change.
		Tolerates: []string{"apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold update"},
		Drifts: []taskstest.Drift{
			{Name: "a package of the system was removed", Make: command("apt-get", "-y", "remove", "libnuma1"), Paths: []string{"web.system.packages.libnuma1"}},
			{Name: "another version was installed by hand", Make: command(append(slices.Clone(pip), "uvicorn==0.29.0")...), Paths: []string{"web.python.packages.uvicorn", "web.restart"}},
			{Name: "another package was installed by hand, and the service runs without it", Make: command(append(slices.Clone(pip), "uvloop==0.20.0")...), Paths: []string{"web.restart"}},
			{Name: "an installation was interrupted", Make: remove(site + "starlette-1.0.0.dist-info/RECORD"), Paths: []string{"web.python.packages.starlette"}},
			{Name: "what the requirements name was updated", Make: command(append(slices.Clone(pip), "httpx==0.28.0")...), Paths: []string{"web.python.packages.httpx", "web.restart"}},
			{Name: "the requirements were edited", Make: write("/opt/web/requirements.txt", "httpx\n"), Paths: []string{"web.python.requirements"}},
			{Name: "the unit was edited", Make: write("/etc/systemd/system/web.service", "[Service]\nExecStart=/bin/true\n"), Paths: []string{"web.unit.content", "web.enabled"}},
			{Name: "the secrets were edited", Make: write("/etc/phoenix/web.env", "TOKEN=x\n"), Paths: []string{"web.secrets.content"}},
			{Name: "the record of the start was lost", Make: remove("/var/lib/phoenix/started-web"), Paths: []string{"web.restart"}},
			{Name: "it was stopped", Make: command("systemctl", "stop", "web"), Paths: []string{"web.active"}},
			{Name: "it was disabled", Make: command("systemctl", "disable", "web"), Paths: []string{"web.enabled"}},
		},
	}
}

func TestPyservice_conforms(t *testing.T) { suite().Run(t) }
