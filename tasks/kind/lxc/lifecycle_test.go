package lxc_test

import (
	"strings"
	"testing"

	"phoenix/tasks"
)

func TestLifecycleSnapshotsAndHowManyStay(t *testing.T) {
	const keys = netted + `,"enable_lifecycle_snapshots":true,"snapshot_retention":2`
	m := newMachine(t, "8.4")
	if res := m.check(t, spec(keys)); !strings.Contains(res.Changes[0].Note, "enable_lifecycle_snapshots: phoenix-created\n") {
		t.Errorf("note %q", res.Changes[0].Note)
	}
	wantStatus(t, m.apply(t, spec(keys), tasks.Consent{}), tasks.StatusChanged)
	wantSnapshots(t, m, "phoenix-created")
	if text := m.conf(t); !strings.Contains(text, "#taken by phoenix (phoenix-created)\n") {
		t.Errorf("configuration\n%s", text)
	}
	// What people take stays, by its name or by its description.
	m.sh(t, "pct snapshot 900 mine")
	m.sh(t, "pct snapshot 900 phoenix-before-20200101-000000 --description mine")
	m.sh(t, "pct snapshot 900 phoenix-changed-20200101-000000")
	m.sh(t, "pct snapshot 900 phoenix-20200101-000000")
	for _, memory := range []string{"600", "700", "800", "900"} {
		s := strings.Replace(spec(keys), `"memory_mb":512`, `"memory_mb":`+memory, 1)
		wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
		wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusOK)
	}
	wantSnapshots(t, m, "mine", "phoenix-T", "phoenix-before-T", "phoenix-before-T", "phoenix-before-T",
		"phoenix-changed-T", "phoenix-changed-T", "phoenix-changed-T", "phoenix-created")
	for _, name := range []string{"[phoenix-before-20200101-000000]", "[phoenix-changed-20200101-000000]"} {
		if !strings.Contains(m.conf(t), name) {
			t.Errorf("%s has gone", name)
		}
	}
}

func TestAFailureTakesNoOldSnapshotAway(t *testing.T) {
	const keys = netted + `,"snapshot_retention":1`
	m := newGuest(t, spec(keys))
	wantStatus(t, m.apply(t, more(spec(keys)), tasks.Consent{}), tasks.StatusChanged)
	m.fail("resize")
	s := strings.Replace(spec(keys), `"storage_size_gb":4`, `"storage_size_gb":8`, 1)
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusFailed)
	wantSnapshots(t, m, "phoenix-before-T", "phoenix-before-T")
	m.Inject = nil
	wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
	wantSnapshots(t, m, "phoenix-before-T")
}

func TestLifecycleSnapshotsThatCannotBeAreTold(t *testing.T) {
	m := newMachine(t, "8.4")
	m.sh(t, "pvesm set local --content rootdir,vztmpl")
	res := m.apply(t, strings.Replace(spec(`"enable_lifecycle_snapshots":true`), "local-lvm", "local", 1), tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	wantWhy(t, res, "storage local is of type dir, which has no snapshots", "enable_lifecycle_snapshots")
	wantCalls(t, m)
	wantStatus(t, m.apply(t, strings.Replace(spec(`"enable_lifecycle_snapshots":"if_possible"`), "local-lvm", "local", 1), tasks.Consent{}), tasks.StatusChanged)
}

func TestTheFirstSnapshotIsMadeUpForWhenTheFirstRunFailed(t *testing.T) {
	s := spec(`"enable_lifecycle_snapshots":true,"description":"a"`)
	for _, verb := range []string{"start", "snapshot"} {
		m := newMachine(t, "8.4")
		m.fail(verb)
		wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusFailed)
		m.Inject = nil
		res := m.check(t, s)
		if c := res.Changes[len(res.Changes)-1]; c.Path != "enable_lifecycle_snapshots" || c.To != "phoenix-created" || c.Held() {
			t.Errorf("%s: changes %+v", verb, res.Changes)
		}
		wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusChanged)
		wantSnapshots(t, m, "phoenix-created")
		if got := comments(t, m); got != "a|"+fromTemplate {
			t.Errorf("%s: the description is %s", verb, got)
		}
		m.sh(t, "pct delsnapshot 900 phoenix-created") // what people take away stays away
		wantStatus(t, m.apply(t, s, tasks.Consent{}), tasks.StatusOK)
	}
	m := newGuest(t, spec(""))
	wantStatus(t, m.apply(t, spec(`"enable_lifecycle_snapshots":true`), tasks.Consent{}), tasks.StatusOK)
}

func TestANewContainerThatFailsGoesOnlyWhereThatIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		more string
		fail string
		last string
		why  []string
	}{
		"it stays":               {"", "start", "start 900", []string{"injected fault", "the container stays, and the next run goes on with it; phoenix destroy 900 takes it away"}},
		"it goes":                {`"remove_failed":true`, "start", "destroy 900", []string{"injected fault", "it was taken away again (remove_failed)"}},
		"it goes, unfinished":    {`"remove_failed":true,"enable_lifecycle_snapshots":true`, "start", "destroy 900", []string{"it was taken away again (remove_failed)"}},
		"it goes, protected":     {`"remove_failed":true,"protection":true`, "start", "destroy 900", []string{"it was taken away again"}},
		"its making failed":      {`"remove_failed":true`, "create", "create", []string{"injected fault"}},
		"it cannot be destroyed": {`"remove_failed":true,"lxc_options":["lxc.prlimit.nofile: 1"]`, "start,destroy", "destroy 900", []string{"and it could not be taken away (remove_failed): destroy container 900"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "8.4")
			m.fail(strings.Split(c.fail, ",")...)
			res := m.apply(t, spec(c.more), tasks.Consent{})
			wantStatus(t, res, tasks.StatusFailed)
			wantWhy(t, res, c.why...)
			if calls := m.pct(); !strings.HasPrefix(calls[len(calls)-1], c.last) {
				t.Errorf("calls %q", calls)
			}
			m.Inject = nil
			wantStatus(t, m.apply(t, spec(c.more), tasks.Consent{}), tasks.StatusChanged)
			wantStatus(t, m.apply(t, spec(c.more), tasks.Consent{}), tasks.StatusOK)
		})
	}
}

func TestAContainerThatWasThereIsNeverTakenAwayForAFailure(t *testing.T) {
	m := newGuest(t, spec(`"state":"stopped"`))
	m.fail("start")
	wantStatus(t, m.apply(t, spec(`"remove_failed":true`), tasks.Consent{}), tasks.StatusFailed)
	wantCalls(t, m, "start 900")
}
