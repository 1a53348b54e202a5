package service_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/service"
	"phoenix/tasks/taskstest"
)

func machine(t *testing.T, unit string) *taskstest.Tree {
	tr := taskstest.NewTree(t, map[string]string{taskstest.UnitFile("chrony.service"): unit})
	tr.Programs["systemctl"] = taskstest.Systemctl()
	return tr
}

func TestService_conforms(t *testing.T) {
	set := func(unit string) func(*testing.T, tasks.Host) {
		return func(t *testing.T, h tasks.Host) { taskstest.Put(t, h, taskstest.UnitFile("chrony.service"), unit) }
	}
	taskstest.Suite{
		Kind: service.Kind(),
		Spec: `{"name":"chrony","enabled":true,"active":true}`,
		New: func(t *testing.T) taskstest.Machine {
			return taskstest.Machine{Host: machine(t, taskstest.Unit("loaded", "inactive", "disabled"))}
		},
		Drifts: []taskstest.Drift{
			{Name: "it was stopped", Make: set("loaded inactive enabled"), Paths: []string{"active"}},
			{Name: "it crashed", Make: set("loaded failed enabled"), Paths: []string{"active"}},
			{Name: "it was disabled", Make: set("loaded active disabled"), Paths: []string{"enabled"}},
			{Name: "it was enabled until the next boot only", Make: set("loaded active enabled-runtime"), Paths: []string{"enabled"}},
		},
	}.Run(t)
}

func TestService_switchingOffConforms(t *testing.T) {
	taskstest.Suite{
		Kind: service.Kind(),
		Spec: `{"name":"chrony.service","enabled":false,"active":false}`,
		New: func(t *testing.T) taskstest.Machine {
			return taskstest.Machine{Host: machine(t, taskstest.Unit("loaded", "active", "enabled"))}
		},
	}.Run(t)
}

func TestService_states(t *testing.T) {
	const both = `{"name":"chrony","enabled":true,"active":true}`
	for _, tc := range []struct {
		name, unit, spec string
		status           tasks.Status
		why              string
	}{
		{"a reloading unit runs", "loaded reloading enabled", both, tasks.StatusOK, ""},
		{"an alias is enabled", "loaded active alias", both, tasks.StatusOK, ""},
		{"a static unit cannot be enabled", "loaded active static", both, tasks.StatusFailed, "no [Install] section"},
		{"a static unit is as good as disabled", "loaded inactive static", `{"name":"chrony","enabled":false}`, tasks.StatusOK, ""},
		{"a masked unit is not unmasked", "masked inactive masked", both, tasks.StatusFailed, "masked"},
		{"a unit that does not exist cannot be started", "not-found inactive ", both, tasks.StatusFailed, "does not exist"},
		{"a unit that does not exist is off", "not-found inactive ", `{"name":"chrony","enabled":false,"active":false}`, tasks.StatusOK, ""},
		{"a failed unit is stopped", "loaded failed disabled", `{"name":"chrony","active":false}`, tasks.StatusOK, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := taskstest.Run(t, service.Kind(), tc.spec, machine(t, tc.unit))
			if res.Status != tc.status || !strings.Contains(res.Why, tc.why) {
				t.Errorf("status %s, why %q; want %s, %q", res.Status, res.Why, tc.status, tc.why)
			}
		})
	}
}

func TestService_aMissingUnitIsADifferenceBeforeItsPackageIsInstalled(t *testing.T) {
	res := taskstest.Check(t, service.Kind(), `{"name":"chrony","enabled":true}`, machine(t, "not-found inactive "))
	if res.Status != tasks.StatusWouldChange || res.Changes[0].From != "not found" {
		t.Errorf("got %+v", res)
	}
}

func TestService_theCheckStartsOneProgram(t *testing.T) {
	rec := taskstest.NewRecorder(machine(t, "loaded active enabled"))
	taskstest.Check(t, service.Kind(), `{"name":"chrony","enabled":true,"active":true}`, rec)
	if got := rec.Commands(); len(got) != 1 {
		t.Errorf("the check started %q", got)
	}
}

func TestValidate_namesTheFault(t *testing.T) {
	yes := true
	for _, tc := range []struct {
		name string
		spec service.Spec
		path string
	}{
		{"no name", service.Spec{Enabled: &yes}, "name"},
		{"an option instead of a name", service.Spec{Name: "--now", Enabled: &yes}, "name"},
		{"a line break", service.Spec{Name: "a\nb", Enabled: &yes}, "name"},
		{"nothing wanted", service.Spec{Name: "chrony"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if p := tc.spec.Validate(); len(p) != 1 || p[0].Path != tc.path {
				t.Errorf("problems %v, want one at %q", p, tc.path)
			}
		})
	}
}
