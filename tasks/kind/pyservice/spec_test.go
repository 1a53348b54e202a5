package pyservice_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/pyservice"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

func TestValidate_namesTheFault(t *testing.T) {
	for _, tc := range []struct{ name, spec, path string }{
		{"a name that is none", `{"Web":{}}`, "Web"},
		{"an interpreter that is none", `{"a":{"python":"python2"}}`, "a.python"},
		{"an interpreter with a line break", `{"a":{"python":"python3\nx"}}`, "a.python"},
		{"a relative environment", `{"a":{"venv":"opt/x"}}`, "a.venv"},
		{"an environment at the root", `{"a":{"venv":"/opt"}}`, "a.venv"},
		{"an environment with a blank", `{"a":{"venv":"/opt/a b"}}`, "a.venv"},
		{"a range", `{"a":{"packages":["x>=1"]}}`, "a.packages.0"},
		{"a wildcard", `{"a":{"packages":["x==1.*"]}}`, "a.packages.0"},
		{"an option", `{"a":{"packages":["-e"]}}`, "a.packages.0"},
		{"an address", `{"a":{"packages":["x @ https://y/z.whl"]}}`, "a.packages.0"},
		{"a condition", `{"a":{"packages":["x==1; python_version < '3'"]}}`, "a.packages.0"},
		{"a package twice", `{"a":{"packages":["Foo.bar==1","foo-bar"]}}`, "a.packages.1"},
		{"a zero byte", `{"a":{"requirements":"x\u0000"}}`, "a.requirements"},
		{"an index that is none", `{"a":{"index_url":"ftp://x"}}`, "a.index_url"},
		{"a password in the index", `{"a":{"extra_index_url":"https://u:p@x/simple"}}`, "a.extra_index_url"},
		{"a package of the system that is none", `{"a":{"system_packages":["A b"]}}`, "a.system_packages.0"},
		{"a package of the system to be removed", `{"a":{"system_packages":["-curl"]}}`, "a.system_packages.0"},
		{"a question without a service", `{"a":{"ready":{"url":"http://127.0.0.1/"}}}`, "a.command"},
		{"a line break in the command", `{"a":{"command":["x","y\nUser=root"]}}`, "a.command.1"},
		{"a program that leaves the environment", `{"a":{"command":["../x"]}}`, "a.command.0"},
		{"no program", `{"a":{"command":[""]}}`, "a.command.0"},
		{"a variable that is none", `{"a":{"command":["x"],"environment":{"A-B":"c"}}}`, "a.environment.A-B"},
		{"a line break in a variable", `{"a":{"command":["x"],"environment":{"A":"b\nc"}}}`, "a.environment.A"},
		{"a variable and a secret", `{"a":{"command":["x"],"environment":{"A":"b"},"secrets":{"A":{"secret":"s"}}}}`, "a.environment.A"},
		{"a secret variable that is none", `{"a":{"command":["x"],"secrets":{"A B":{"secret":"s"}}}}`, "a.secrets.A B"},
		{"a secret without a name", `{"a":{"command":["x"],"secrets":{"A":{"secret":""}}}}`, "a.secrets.A"},
		{"a user that is none", `{"a":{"command":["x"],"user":"A B"}}`, "a.user"},
		{"a relative directory", `{"a":{"command":["x"],"working_directory":"x"}}`, "a.working_directory"},
		{"no question", `{"a":{"command":["x"],"ready":{}}}`, "a.ready"},
		{"two questions", `{"a":{"command":["x"],"ready":{"url":"http://x/","command":["y"]}}}`, "a.ready"},
		{"an address that is none", `{"a":{"command":["x"],"ready":{"url":"x"}}}`, "a.ready.url"},
		{"an empty program to ask", `{"a":{"command":["x"],"ready":{"command":[""]}}}`, "a.ready.command"},
		{"a negative wait", `{"a":{"command":["x"],"ready":{"url":"http://x/","timeout_s":-1}}}`, "a.ready.timeout_s"},
		{"a negative pause", `{"a":{"command":["x"],"ready":{"url":"http://x/","interval_s":-1}}}`, "a.ready.interval_s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s pyservice.Spec
			if err := json.Unmarshal([]byte(tc.spec), &s); err != nil {
				t.Fatal(err)
			}
			if p := s.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %s", p, tc.path)
			}
		})
	}
}

func TestPyservice_withoutACommandOnlyTheEnvironmentIsKept(t *testing.T) {
	_, h := simulated(t)
	rec := taskstest.NewRecorder(h)
	applied(t, `{"tools":{"packages":["ansible"]}}`, rec)
	if slices.ContainsFunc(rec.Changes(), func(o taskstest.Op) bool {
		return strings.Contains(o.String(), "systemctl") || strings.Contains(o.String(), "useradd")
	}) {
		t.Errorf("did %v", rec.Changes())
	}
	if _, err := h.Stat("/opt/tools/venv/bin/ansible"); err != nil {
		t.Error(err)
	}
}

func TestPyservice_nothingConfiguredIsNothingToDo(t *testing.T) {
	_, h := simulated(t)
	if res := taskstest.Check(t, pyservice.Kind(), `{}`, h); res.Status != tasks.StatusOK {
		t.Errorf("%+v", res)
	}
}

func TestPyservice_anotherInterpreterMakesTheEnvironmentAnew(t *testing.T) {
	m, h := simulated(t)
	applied(t, small, h)
	// What an upgrade of the distribution does: python3 is another program now.
	lay(t, m, "/usr/bin/python3.13", "\x7fELF")
	if err := os.Remove(filepath.Join(m.Root, "usr/bin/python3")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("python3.13", filepath.Join(m.Root, "usr/bin/python3")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(m.Root, "opt/web/venv/bin/python3")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/bin/python3.11", filepath.Join(m.Root, "opt/web/venv/bin/python3")); err != nil {
		t.Fatal(err)
	}
	res := taskstest.Check(t, pyservice.Kind(), small, h)
	if len(res.Changes) < 2 || res.Changes[0].Path != "web.python.venv" || res.Changes[0].From != "python3.11" || res.Changes[0].To != "python3.13" || res.Changes[1].Path != "web.python.packages.uvicorn" {
		t.Errorf("%+v", res)
	}
}

func TestPyservice_whatItCannotDoItSays(t *testing.T) {
	for _, tc := range []struct {
		name, template, spec, why string
		make                      func(t *testing.T, m *sim.Machine)
	}{
		{"Alpine has neither apt nor systemd", "alpine-3.20-default_20240908_amd64.tar.xz", small, "it needs apt and systemd (take a template of Debian or Ubuntu)", nil},
		{"a folder that is no environment", template, small, "the folder is there and is none", func(t *testing.T, m *sim.Machine) { lay(t, m, "/opt/web/venv/data", "x") }},
		{"a unit of the distribution", template, strings.Replace(small, `"web"`, `"ssh"`, 1), "is a unit of the distribution (choose another name)", nil},
		{"an interpreter that is not there", template, strings.Replace(small, `{"packages"`, `{"python":"/opt/py/bin/python3.12","packages"`, 1), "there is no /opt/py/bin/python3.12", nil},
		{"a package that is not there", template, strings.Replace(small, "uvicorn==0.30.1", "nosuch==1", 1), "Could not find a version that satisfies the requirement nosuch==1", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := sim.NewGuest(t.TempDir(), tc.template, sim.Options{Seed: 3})
			if err != nil {
				t.Fatal(err)
			}
			if tc.make != nil {
				tc.make(t, m)
			}
			if res := taskstest.Run(t, pyservice.Kind(), tc.spec, m.Host()); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, tc.why) {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestPyservice_secretsThatAreNoLongerWantedGo(t *testing.T) {
	_, h := simulated(t)
	s := suite()
	s.Spec = strings.Replace(small, `"ready"`, `"secrets":{"TOKEN":{"secret":"token"}},"ready"`, 1)
	if res := s.Apply(t, taskstest.NewRecorder(h)); res.Status != tasks.StatusChanged {
		t.Fatalf("%+v", res)
	}
	fi, err := h.Stat("/etc/phoenix/web.env")
	if err != nil || fi.Mode.Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode, err)
	}
	applied(t, small, h)
	if _, err := h.Stat("/etc/phoenix/web.env"); err == nil {
		t.Error("the file of the secrets is still there")
	}
}
