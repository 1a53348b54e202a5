package lxc_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/sim"
	"phoenix/tasks/taskstest"
)

func TestATemplateIsBuiltThenConvertedAndNeverStarted(t *testing.T) {
	m := newMachine(t, "8.4")
	wantStatus(t, m.apply(t, spec(`"is_template":true,"protection":true`), tasks.Consent{}), tasks.StatusChanged)
	calls := m.pct()
	if len(calls) != 2 || !strings.HasPrefix(calls[0], "create 900 ") || calls[1] != "template 900" {
		t.Errorf("pct was called as %q", calls)
	}
	if m.line(t, "template") != "template: 1" || !strings.Contains(m.line(t, "rootfs"), "base-900-disk-0") {
		t.Errorf("configuration\n%s", m.conf(t))
	}
	wantStatus(t, m.check(t, spec(`"is_template":true`)), tasks.StatusOK)
}

func TestARunningContainerIsStoppedChangedAndConverted(t *testing.T) {
	m := newGuest(t, spec(""))
	s := strings.Replace(spec(`"is_template":true`), `"memory_mb":512`, `"memory_mb":1024`, 1)
	if res := m.check(t, s); strings.Join(paths(res.Changes), " ") != "memory_mb is_template state" {
		t.Errorf("check shows %+v", res.Changes)
	} else if c := res.Changes[1]; c.Effect != tasks.EffectLive || c.From != "false" || c.To != "true" {
		t.Errorf("change %+v", c)
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	wantCalls(t, m, "shutdown 900 --timeout 60 --forceStop 1", "set 900 --memory 1024", "template 900")
	wantStatus(t, m.check(t, s), tasks.StatusOK)
}

func TestAContainerThatCannotBeATemplateIsRefusedWithTheReasonAndKeepsRunning(t *testing.T) {
	for name, c := range map[string]struct {
		then []string
		want string
	}{
		"snapshots": {[]string{"pct snapshot 900 s1", "pct snapshot 900 s2"},
			"a container with snapshots cannot be a template: take them away first with pct delsnapshot 900 s1, pct delsnapshot 900 s2"},
		"a directory of the host": {[]string{"pct set 900 --mp0 /srv,mp=/data"}, "mp0 is /srv of the host, not a volume"},
		"a storage that cannot": {[]string{"pvesm add lvm thick --vgname pve --content rootdir", "pct set 900 --mp0 thick:1,mp=/data"},
			"mp0 is on storage thick of type lvm, which cannot (template)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(""))
			for _, line := range c.then {
				m.sh(t, line)
			}
			m.Recorder = taskstest.NewRecorder(m.sim.Host())
			s := strings.Replace(spec(`"is_template":true`), `"memory_mb":512`, `"memory_mb":1024`, 1)
			if res := m.check(t, s); len(res.Changes) != 2 || !res.Changes[1].Held() || !strings.Contains(res.Changes[1].Note, c.want) {
				t.Errorf("check shows %+v", res.Changes)
			}
			res := m.apply(t, s, tasks.Consent{Restart: true, Destroy: []int{900}})
			wantStatus(t, res, tasks.StatusSkipped)
			if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, c.want) || len(res.Remaining) != 1 {
				t.Errorf("cause %s, why %q, remaining %+v", res.Cause, res.Why, res.Remaining)
			}
			wantCalls(t, m, "set 900 --memory 1024")
		})
	}
}

func TestATemplateThatShouldBeNoneIsReplacedOnlyWithConsent(t *testing.T) {
	m := newGuest(t, spec(`"is_template":true`))
	s := strings.Replace(spec(`"is_template":false`), `"memory_mb":512`, `"memory_mb":1024`, 1)
	res := m.apply(t, s, tasks.Consent{})
	wantStatus(t, res, tasks.StatusSkipped)
	if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "is_template true -> false needs container 900 to be destroyed") ||
		!strings.Contains(res.Why, "--allow-destroy 900") || !res.Remaining.Only(tasks.EffectReplace) {
		t.Errorf("cause %s, why %q, remaining %+v", res.Cause, res.Why, res.Remaining)
	}
	wantCalls(t, m, "set 900 --memory 1024")
	wantStatus(t, m.apply(t, s, tasks.Consent{Destroy: []int{900}}), tasks.StatusChanged)
	if m.line(t, "template") != "" {
		t.Error("it is a template still")
	}
	wantStatus(t, m.check(t, s), tasks.StatusOK)
}

func TestVolumesOfATemplateAreLeftAsTheyAre(t *testing.T) {
	m := newGuest(t, spec(`"is_template":true`))
	grown := strings.Replace(spec(`"is_template":true,"cores":2`), `"storage_size_gb":4`, `"storage_size_gb":8`, 1)
	for name, s := range map[string]string{
		"grown":        grown,
		"another disk": spec(`"is_template":true,"cores":2,"volumes":[{"storage":"local-lvm","size_gb":1,"container_path":"/data"}]`),
	} {
		res := m.apply(t, s, tasks.Consent{Destroy: []int{900}})
		wantStatus(t, res, tasks.StatusSkipped)
		if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, "the volumes of a template stay as they are: make a clone of it") {
			t.Errorf("%s: cause %s, why %q", name, res.Cause, res.Why)
		}
	}
	wantCalls(t, m, "set 900 --cores 2")
}

func TestTheSnapshotForClonesIsTakenOnceWhenAllElseIsDone(t *testing.T) {
	m := newMachine(t, "8.4")
	s := spec(`"template_snapshot_name":"base-snapshot"`)
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	calls := m.pct()
	if got := calls[len(calls)-2:]; got[0] != "start 900" || got[1] != "snapshot 900 base-snapshot" {
		t.Errorf("pct was called as %q", calls)
	}
	m.Recorder = taskstest.NewRecorder(m.sim.Host())
	more := strings.Replace(s, `"memory_mb":512`, `"memory_mb":1024`, 1)
	wantStatus(t, m.apply(t, more, tasks.Consent{}), tasks.StatusChanged)
	wantCalls(t, m, "set 900 --memory 1024")
	if !strings.Contains(m.conf(t), "[base-snapshot]\n") {
		t.Errorf("configuration\n%s", m.conf(t))
	}
}

func TestASnapshotThatCannotBeHadIsRefusedWithTheReason(t *testing.T) {
	const s = `"template_snapshot_name":"base"`
	small := func(s string) string { return strings.Replace(s, `"storage_size_gb":4`, `"storage_size_gb":2`, 1) }
	for name, c := range map[string]struct {
		then       string
		spec, want string
	}{
		"a storage that cannot": {"pct set 900 --mp0 disks:1,mp=/data", spec(s), "mp0 is on storage disks of type dir, which cannot (snapshot)"},
		"a template":            {"pct template 900", spec(s + `,"state":"stopped"`), "a template has no snapshots: clone it without one"},
		"something to replace":  {"pct set 900 --cores 1", small(spec(s)), "--allow-destroy 900"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newGuest(t, spec(`"state":"stopped"`))
			m.sh(t, "pvesm add dir disks --path /srv/disks --content rootdir")
			m.sh(t, c.then)
			res := m.apply(t, c.spec, tasks.Consent{})
			wantStatus(t, res, tasks.StatusSkipped)
			if res.Cause != tasks.CauseRefused || !strings.Contains(res.Why, c.want) || !res.Remaining.Has("template_snapshot_name") {
				t.Errorf("cause %s, why %q, remaining %+v", res.Cause, res.Why, res.Remaining)
			}
			if strings.Contains(m.conf(t), "[base]") {
				t.Error("there is a snapshot")
			}
		})
	}
}

func TestAnIncompleteSnapshotIsNotTakenForOne(t *testing.T) {
	m := newGuest(t, spec(""))
	m.sh(t, "pct snapshot 900 base")
	m.hand(t, "[base]\n", "[base]\nsnapstate: prepare\n")
	res := m.apply(t, spec(`"template_snapshot_name":"base"`), tasks.Consent{})
	wantStatus(t, res, tasks.StatusSkipped)
	if !strings.Contains(res.Why, "take it away with pct delsnapshot 900 base --force 1") {
		t.Errorf("why %q", res.Why)
	}
	clone := strings.Replace(strings.Replace(cloned(`"clone_from_snapshot":"base"`), "900", "901", 1), "800", "900", 1)
	if res := m.apply(t, clone, tasks.Consent{}); res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "snapshot base of container 900 is not complete") {
		t.Errorf("a clone of it: %s %q", res.Status, res.Why)
	}
}

func TestSuccessThatMadeNothingIsAFailure(t *testing.T) {
	for verb, c := range map[string]struct{ more, want string }{
		"template": {`"is_template":true`, "change container 900: is_template is still false"},
		"snapshot": {`"template_snapshot_name":"base"`, "change container 900: template_snapshot_name is still (nothing)"},
	} {
		m := newGuest(t, spec(""))
		m.answer(verb, false, tasks.Output{Stderr: []byte("Template feature is not available\n")})
		res := m.apply(t, spec(c.more), tasks.Consent{})
		wantStatus(t, res, tasks.StatusFailed)
		if !strings.Contains(res.Why, c.want) || !strings.Contains(res.Why, "Template feature") {
			t.Errorf("why %q, want %q", res.Why, c.want)
		}
	}
}

func TestAnUnmanagedTemplateSaysHowToSaySo(t *testing.T) {
	m := newParent(t, newMachine(t, "8.4"), "local-lvm", "pct template 800")
	res := m.check(t, `{"ctid":800}`)
	if res.Status != tasks.StatusFailed || !strings.Contains(res.Why, "it is a template, which cannot run: set is_template to true") {
		t.Errorf("%s %q", res.Status, res.Why)
	}
	wantStatus(t, m.check(t, `{"ctid":800,"is_template":true}`), tasks.StatusOK)
	wantStatus(t, m.check(t, `{"ctid":800,"state":"stopped"}`), tasks.StatusOK)
}

// TestAChainOfThree has each container come from the one before, as template, as
// snapshot of a container that runs, and as a copy.
func TestAChainOfThree(t *testing.T) {
	for _, layout := range []sim.Layout{sim.LayoutLVM, sim.LayoutZFS} {
		m := machineOn(t, layout, "9.1")
		pool := map[sim.Layout]string{sim.LayoutLVM: "local-lvm", sim.LayoutZFS: "local-zfs"}[layout]
		chain := []string{
			`{"ctid":800,"name":"base","template":"debian-12-standard","storage_pool":"` + pool + `","storage_size_gb":2,"is_template":true}`,
			`{"ctid":801,"name":"gpu","clone_from_ctid":800,"storage_size_gb":3,"template_snapshot_name":"gpu-snapshot"}`,
			`{"ctid":900,"name":"vllm","clone_from_ctid":801,"clone_from_snapshot":"gpu-snapshot","storage_size_gb":5,"memory_mb":4096}`,
		}
		for _, s := range chain {
			wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
		}
		m.Recorder = taskstest.NewRecorder(m.sim.Host())
		for _, s := range chain {
			wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusOK)
		}
		wantCalls(t, m)
		if m.line(t, "memory") != "memory: 4096" || !strings.Contains(m.line(t, "rootfs"), "size=5G") || strings.Contains(m.conf(t), "[gpu-snapshot]") {
			t.Errorf("configuration\n%s", m.conf(t))
		}
	}
}
