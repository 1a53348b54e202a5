package lxc_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"phoenix/tasks"
	"phoenix/tasks/kind/lxc"
	"phoenix/tasks/taskstest"
)

// migrated is a machine of a cluster whose container 900 is on node pve2 by now.
func migrated(t *testing.T, spec string) *machine {
	t.Helper()
	m := newGuest(t, spec)
	m.sh(t, "pct stop 900")
	h := m.sim.Host()
	conf := m.conf(t)
	for _, e := range []tasks.Edit{
		{Verb: tasks.VerbMkdir, Path: "/etc/pve/nodes/pve2/lxc"},
		{Verb: tasks.VerbPut, Path: "/etc/pve/nodes/pve2/lxc/900.conf", Data: []byte(conf)},
		{Verb: tasks.VerbRemove, Path: "/etc/pve/nodes/pve/lxc/900.conf"},
	} {
		if err := h.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	list := taskstest.Get(t, h, "/etc/pve/.vmlist")
	taskstest.Put(t, h, "/etc/pve/.vmlist", strings.Replace(list, `"900": { "node": "pve"`, `"900": { "node": "pve2"`, 1))
	m.Recorder = taskstest.NewRecorder(h)
	return m
}

const elsewhere = "changing container 900, which is on node pve2 and not on node pve, is refused: place it on the inventory's host of node pve2, " +
	"or bring it here with pct migrate 900 pve on node pve2 (--restart while it runs)"

func TestAContainerThatMovedIsFoundThereAndNotMadeAnew(t *testing.T) {
	m := migrated(t, spec(""))
	res := m.check(t, spec(""))
	wantStatus(t, res, tasks.StatusWouldChange)
	c := res.Changes[0]
	if len(res.Changes) != 1 || c.Path != "node" || c.From != "pve2" || c.To != "pve" || !c.Held() {
		t.Errorf("check shows %+v", res.Changes)
	}
	if want := "a run does not migrate it\nwould be refused: place it on the inventory's host of node pve2, or bring it here with pct migrate 900 pve on node pve2 (--restart while it runs)"; c.Note != want {
		t.Errorf("note\n%s\nwant\n%s", c.Note, want)
	}
	res = m.apply(t, spec(""), tasks.Consent{Destroy: []int{900}, Restart: true})
	wantStatus(t, res, tasks.StatusSkipped)
	if res.Cause != tasks.CauseRefused || res.Why != elsewhere || !slices.Equal(paths(res.Remaining), []string{"node"}) {
		t.Errorf("run: %+v", res)
	}
	if len(m.Commands())+len(m.Changes()) > 0 {
		t.Errorf("did %v", m.Changes())
	}
}

func TestTheInventorysHostOfTheNodeIsNamed(t *testing.T) {
	m := migrated(t, spec(""))
	res := m.apply(t, spec(`"nodes":{"pve2":"second","pve3":"third"}`), tasks.Consent{})
	if want := "is refused: place it on host second, which is node pve2, or bring it here"; !strings.Contains(res.Why, want) {
		t.Errorf("why %q, want %q", res.Why, want)
	}
}

// TestWhatDiffersOfAContainerThatMovedIsToldAndLeft has it locked there as well, and
// cards that only its node knows.
func TestWhatDiffersOfAContainerThatMovedIsToldAndLeft(t *testing.T) {
	m := migrated(t, spec(`"lxc_options":["lxc.prlimit.nofile: 1024"]`))
	const file = "/etc/pve/nodes/pve2/lxc/900.conf"
	taskstest.Put(t, m.sim.Host(), file, strings.Replace(taskstest.Get(t, m.sim.Host(), file), "memory: 512\n", "lock: migrate\nmemory: 1024\n", 1))
	s := spec(`"lxc_options":["lxc.prlimit.nofile: 4096"],"gpu_assignment":"0","template_snapshot_name":"ready"`)
	res := m.check(t, s)
	wantStatus(t, res, tasks.StatusWouldChange)
	if got := paths(res.Changes); !slices.Equal(got, []string{"node", "memory_mb", "lxc_options", "template_snapshot_name"}) {
		t.Errorf("check shows %q", got)
	}
	for _, c := range res.Changes {
		if !c.Held() {
			t.Errorf("%s is not said to be left: %q", c.Path, c.Note)
		}
	}
	if note := res.Changes[0].Note; !strings.Contains(note, "it is locked there (migrate)") {
		t.Errorf("note %q", note)
	}
	wantStatus(t, m.apply(t, s, tasks.Consent{Restart: true}), tasks.StatusSkipped)
	if len(m.Changes()) > 0 {
		t.Errorf("did %v", m.Changes())
	}
}

func TestAContainerThatIsToGoAndHasMovedIsNotDestroyedFromHere(t *testing.T) {
	m := migrated(t, spec(""))
	s := spec(`"state":"absent"`)
	res := m.check(t, s)
	wantStatus(t, res, tasks.StatusWouldChange)
	if c := res.Changes[0]; c.Path != "exists" || c.From != "container web1 on node pve2" || !c.Held() {
		t.Errorf("check shows %+v", c)
	}
	res = m.apply(t, s, tasks.Consent{Destroy: []int{900}})
	wantStatus(t, res, tasks.StatusSkipped)
	if want := "destroying container 900 of node pve2 from node pve is refused: place it on the inventory's host of node pve2"; res.Why != want {
		t.Errorf("why %q, want %q", res.Why, want)
	}
	if len(m.Changes()) > 0 {
		t.Errorf("did %v", m.Changes())
	}
}

func TestWhatNeedsAContainerThatMovedIsNotDone(t *testing.T) {
	for name, more := range map[string]string{
		"a dependant": `"template":"debian-12-standard","storage_pool":"local-lvm","depends_on":[900]`,
		"a clone":     `"clone_from_ctid":900`,
	} {
		t.Run(name, func(t *testing.T) {
			m := migrated(t, spec(""))
			results := make(map[string]tasks.Result)
			r := tasks.Runner{Host: m, Registry: tasks.NewRegistry(lxc.Kind()), Emit: func(e tasks.Event) {
				if e.Result != nil {
					results[e.Step] = *e.Result
				}
			}}
			err := r.Run(t.Context(), tasks.Job{RunID: "test", Mode: tasks.ModeRun, Steps: []tasks.Step{
				{ID: "lxc:901", Kind: lxc.Name, Needs: []string{"lxc:900"}, Spec: json.RawMessage(`{"ctid":901,` + more + `}`)},
				{ID: "lxc:900", Kind: lxc.Name, Spec: json.RawMessage(spec(""))},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if res := results["lxc:901"]; res.Status != tasks.StatusSkipped || res.Cause != tasks.CauseNeed {
				t.Errorf("%+v", res)
			}
			if len(m.Changes()) > 0 {
				t.Errorf("did %v", m.Changes())
			}
		})
	}
}

func TestAParentOnAnotherNodeIsNotClonedHere(t *testing.T) {
	m := migrated(t, spec(""))
	res := m.apply(t, `{"ctid":901,"clone_from_ctid":900}`, tasks.Consent{})
	wantStatus(t, res, tasks.StatusFailed)
	if want := "container 900, of which it is to be a clone, is on node pve2"; !strings.Contains(res.Why, want) || len(m.Commands()) > 0 {
		t.Errorf("why %q, want %q; ran %q", res.Why, want, m.Commands())
	}
}

// TestAContainerOnItsWayIsNeitherHereNorThere has the list of guests ahead of the files.
func TestAContainerOnItsWayIsNeitherHereNorThere(t *testing.T) {
	m := migrated(t, spec(""))
	if err := m.sim.Host().Write(t.Context(), tasks.Edit{Verb: tasks.VerbRemove, Path: "/etc/pve/nodes/pve2/lxc/900.conf"}); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []tasks.Mode{tasks.ModeCheck, tasks.ModeRun} {
		res := m.step(t, spec(""), mode, tasks.Consent{})
		wantStatus(t, res, tasks.StatusUnknown)
		if want := "the cluster lists container 900 on node pve2, which has no configuration of it"; !strings.Contains(res.Why, want) {
			t.Errorf("why %q, want %q", res.Why, want)
		}
	}
	if len(m.Changes()) > 0 {
		t.Errorf("did %v", m.Changes())
	}
}

// TestAContainerThatMovesWhileItIsChangedIsNotMadeAnew has it go between check and change.
func TestAContainerThatMovesWhileItIsChangedIsNotMadeAnew(t *testing.T) {
	m := migrated(t, spec(""))
	var s lxc.Spec
	if err := json.Unmarshal([]byte(spec("")), &s); err != nil {
		t.Fatal(err)
	}
	for _, d := range []tasks.Diff{{{Path: "exists", To: "created"}}, {{Path: "memory_mb", From: "512", To: "1024"}}} {
		if err := s.Task().Apply(t.Context(), m, d); err == nil || err.Error() != elsewhere {
			t.Errorf("%v: %v", d, err)
		}
	}
	if len(m.Changes()) > 0 {
		t.Errorf("did %v", m.Changes())
	}
}
