package fleet

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
	"phoenix/tasks/gpufacts"
	"phoenix/tasks/gpufacts/findings"
	"phoenix/tasks/kind/gpus"
	"phoenix/tasks/kind/nvidia"
)

// telling is an Agent that tells of the given steps, one after the other.
type telling struct {
	Agent
	events []tasks.Event
}

func (a *telling) Receive() (wire.Message, error) {
	if len(a.events) == 0 {
		return wire.Message{}, errors.New("no more")
	}
	e := a.events[0]
	a.events = a.events[1:]
	return wire.Message{Event: &e}, nil
}

const (
	lostAndHot = `{"gpus":[{"index":0,"pci_address":"0000:01:00.0","error":{"kind":"lost","text":"GPU is lost"}},{"index":1,"uuid":"GPU-1","throttle_reasons":["sw_thermal_slowdown"]}],` +
		`"findings":[{"severity":"note","word":"made up","text":"by the host"}]}`
	mismatch = `{"gpus":[],"cards":[{"address":"0000:01:00.0","driver":"nvidia"}],"machine":{"loaded":"550.54.15","library":"570.86.15"}}`
	unloaded = `{"gpus":[{"index":0,"pci_address":"0000:01:00.0"}],"source":"sysfs","cards":[{"address":"0000:01:00.0"}],"machine":{"library":"550.54.15"}}`
	nodeless = `{"gpus":[{"index":0,"pci_address":"0000:01:00.0"}],"cards":[{"address":"0000:01:00.0","driver":"nvidia","node":"/dev/nvidia0"}],"machine":{"loaded":"550.54.15","library":"550.54.15","devices":["195 nvidia"],"nodes":["/dev/nvidia0 regular file 0 0"]}}`
	shared   = `{"gpus":[{"index":0,"uuid":"GPU-1","pci_address":"0000:01:00.0"}],"cards":[{"address":"0000:01:00.0","assigned":[900,901]}]}`
)

// judge is the answer of a host to the question for its cards, behind that of its driver.
func judge(t *testing.T, ask gpus.Spec, driver *nvidia.Spec, before tasks.Status, data string, changes ...tasks.Change) tasks.Result {
	t.Helper()
	var h Host
	h.GPUPolicy = func(uuid, _ string, _ int) string { return map[string]string{"GPU-1": "exclusive"}[uuid] }
	events := []tasks.Event{{Step: "gpus:host", Result: &tasks.Result{Status: tasks.StatusOK, Data: json.RawMessage(data)}}}
	add := func(kind, id string, spec tasks.Spec) {
		s, err := tasks.NewStep(kind, id, spec)
		if err != nil {
			t.Fatal(err)
		}
		h.Job.Steps = append(h.Job.Steps, s)
	}
	if driver != nil {
		add(nvidia.Name, "nvidia:driver", driver)
		events = append([]tasks.Event{{Step: "nvidia:driver", Result: &tasks.Result{Status: before, Changes: changes}}}, events...)
	}
	add(gpus.Name, "gpus:host", &ask)
	a := withFindings(h, &telling{events: events})
	for {
		m, err := a.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if m.Event.Step == "gpus:host" {
			return *m.Event.Result
		}
		if m.Event.Result.Status != before {
			t.Errorf("the result of the driver's step became %+v", m.Event.Result)
		}
	}
}

func TestFindings_failOrWarn(t *testing.T) {
	inspect := gpus.Spec{Inspect: true}
	off := false
	for _, c := range []struct {
		name, data string
		ask        gpus.Spec
		driver     *nvidia.Spec
		before     tasks.Status
		status     tasks.Status
		why, warns string
		changes    tasks.Diff
	}{
		{"a lost card fails, a hot one warns", lostAndHot, inspect, nil, "", tasks.StatusFailed, "GPU 0 (0000:01:00.0): it has fallen off", "GPU 1: the driver has lowered its clocks", nil},
		{"who only asks is told the facts", lostAndHot, gpus.Spec{}, nil, "", tasks.StatusOK, "", "", nil},
		{"two versions of a driver that nobody manages", mismatch, inspect, nil, "", tasks.StatusFailed, "is loaded and 570.86.15 is installed", "", nil},
		{"two versions where the section only makes the nodes", mismatch, inspect, &nvidia.Spec{}, tasks.StatusOK, tasks.StatusFailed, "is loaded and", "", nil},
		{"two versions of a driver that another step compares", mismatch, inspect, &nvidia.Spec{Driver: "570.86.15"}, tasks.StatusFailed, tasks.StatusOK, "", "", nil},
		{"two versions where another step would change something else", mismatch, inspect, &nvidia.Spec{DeviceNodes: &off}, tasks.StatusWouldChange, tasks.StatusFailed, "is loaded and", "", tasks.Diff{{Path: "persistence"}}},
		{"a driver that is not loaded, and only a unit differs", unloaded, inspect, &nvidia.Spec{}, tasks.StatusWouldChange, tasks.StatusFailed, "is installed and not loaded", "", tasks.Diff{{Path: "device_nodes", From: "no unit"}}},
		{"a driver that is not loaded, and that a run loads", unloaded, inspect, &nvidia.Spec{Driver: "550.54.15"}, tasks.StatusWouldChange, tasks.StatusOK, "", "", tasks.Diff{{Path: "running.driver", To: "550.54.15"}}},
		{"a driver that is not loaded, and that a run would not install", unloaded, inspect, &nvidia.Spec{Driver: "570.86.15"}, tasks.StatusWouldChange, tasks.StatusFailed, "is installed and not loaded", "", tasks.Diff{{Path: "driver", To: "570.86.15", Note: (&tasks.RefusedError{What: "installing", Instead: "install is none"}).Note()}}},
		{"a node that is a file, and only a unit differs", nodeless, inspect, &nvidia.Spec{}, tasks.StatusWouldChange, tasks.StatusFailed, "is no character device", "", tasks.Diff{{Path: "device_nodes", From: "another unit"}}},
		{"a node that is a file, and another is to be made", nodeless, inspect, &nvidia.Spec{}, tasks.StatusWouldChange, tasks.StatusOK, "", "", tasks.Diff{{Path: "device_nodes", From: "no unit, no /dev/nvidiactl"}}},
		{"an exclusive card that two have", shared, inspect, nil, "", tasks.StatusOK, "", "its policy is exclusive", nil},
		{"what cannot be read stays as it is", `{"gpus":7}`, inspect, nil, "", tasks.StatusOK, "", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := judge(t, c.ask, c.driver, c.before, c.data, c.changes...)
			if r.Status != c.status || !strings.Contains(r.Why, c.why) || (c.why == "") != (r.Why == "") {
				t.Errorf("%s: %s, want %s: %s", r.Status, r.Why, c.status, c.why)
			}
			if warns := strings.Join(r.Warnings, "\n"); !strings.Contains(warns, c.warns) || (c.warns == "") != (warns == "") {
				t.Errorf("warnings %q, want %q", warns, c.warns)
			}
			var h gpufacts.Host
			if json.Unmarshal(r.Data, &h) == nil && c.ask.Inspect && strings.Contains(string(r.Data), "made up") {
				t.Errorf("the host's own findings are believed: %s", r.Data)
			}
		})
	}
}

func TestFindings_aStepThatFailedByItselfKeepsItsReason(t *testing.T) {
	e := judged(tasks.Event{Step: "gpus:host", Result: &tasks.Result{Status: tasks.StatusSkipped, Why: "the run was stopped", Data: json.RawMessage(lostAndHot)}}, findings.Rules{})
	if e.Result.Status != tasks.StatusSkipped || e.Result.Why != "the run was stopped" {
		t.Errorf("%+v", e.Result)
	}
}
