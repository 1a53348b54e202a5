package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const runID = "20261123-041530-ab12cd"

func TestARunIDTellsItsTimeAndSorts(t *testing.T) {
	at := time.Date(2026, 11, 23, 5, 15, 30, 0, time.FixedZone("CET", 3600))
	id, err := NewRunID(at, bytes.NewReader([]byte{0xab, 0x12, 0xcd}))
	if err != nil || id != runID {
		t.Errorf("made %q (%v), want %q", id, err, runID)
	}
	if err := CheckRunID(id); err != nil {
		t.Error(err)
	}
	if _, err := NewRunID(at, bytes.NewReader([]byte{1})); err == nil {
		t.Error("made an ID without enough randomness")
	}
}

func TestOnlyRunIDsNameFolders(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	for _, id := range []string{"", "..", "../20261123-041530-ab12cd", runID + "/x", runID + "\n", strings.ToUpper(runID), "latest"} {
		if CheckRunID(id) == nil {
			t.Errorf("%q passes", id)
		}
		if _, err := s.Load(id); err == nil {
			t.Errorf("%q is loaded", id)
		}
	}
}

func TestStoreDir(t *testing.T) {
	for _, c := range []struct{ name, state, home, want string }{
		{"XDG_STATE_HOME decides", "/state", "/home/ann", "/state/phoenix/runs"},
		{"without it, the home folder does", "", "/home/ann", "/home/ann/.local/state/phoenix/runs"},
		{"one that is not absolute is ignored", "state", "/home/ann", "/home/ann/.local/state/phoenix/runs"},
		{"without either there is none", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{"XDG_STATE_HOME": c.state, "HOME": c.home}
			got, err := StoreDir(func(k string) string { return env[k] })
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q (%v), want %q", got, err, c.want)
			}
		})
	}
}

// keep records a stream in a store whose warnings fail the test.
func keep(t *testing.T, s Store, id string, events []Event) *KeptRun {
	t.Helper()
	k := s.Create(id, func(err error) { t.Error(err) })
	for _, e := range events {
		k.Event(e)
	}
	return k
}

func TestAKeptRunLoadsAsItWas(t *testing.T) {
	s := Store{Dir: filepath.Join(t.TempDir(), "phoenix", "runs")}
	events := fixture(t, "mixed.ndjson")
	k := keep(t, s, runID, events)
	fmt.Fprintln(k.Log(), "hello")
	k.Finish(Build(events))
	k.Finish(Build(nil))
	got, err := s.Load(runID)
	if err != nil {
		t.Fatal(err)
	}
	assertSame(t, got, Build(events))
	for name, mode := range map[string]os.FileMode{"": 0o700, "report.json": 0o600, "events.ndjson": 0o600, "phoenix.log": 0o600} {
		info, err := os.Stat(filepath.Join(k.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%q has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	if entries, err := os.ReadDir(k.Dir()); err != nil || len(entries) != 3 {
		t.Errorf("%d files are left (%v), want 3", len(entries), err)
	}
	if text, err := os.ReadFile(filepath.Join(k.Dir(), "phoenix.log")); err != nil || string(text) != "hello\n" {
		t.Errorf("the log is %q (%v)", text, err)
	}
}

// assertSame compares as JSON, where the order of keys in Data is the writer's.
func assertSame(t *testing.T, got, want Report) {
	t.Helper()
	var a, b bytes.Buffer
	if err := errors.Join(WriteJSON(&a, got), WriteJSON(&b, want)); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Errorf("loaded\n%s\nwant\n%s", a.String(), b.String())
	}
}

func TestAKilledRunLoadsFromItsEvents(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	events := fixture(t, "mixed.ndjson")[:20]
	k := keep(t, s, runID, events)
	if _, err := k.events.WriteString(`{"seq": 21, "ki`); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(runID)
	if err != nil {
		t.Fatal(err)
	}
	assertSame(t, got, Build(events))
	if got.Finished || got.ExitCode != ExitFailed {
		t.Errorf("finished %v with %d, want a run without an end", got.Finished, got.ExitCode)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, file, content, want string }{
		{"a run that is not there", "other", "", "no such file"},
		{"a report of another format", reportFile, `{"schema": "phoenix.report/v9"}`, "phoenix.report/v9"},
		{"a report that is not JSON", reportFile, `{`, "decode report.json"},
		{"events of another format", eventsFile, `{"schema": "x"}` + "\n", `"x"`},
		{"events that are not JSON", eventsFile, "{\n", "line 1"},
		{"no events at all", eventsFile, "", "no run_started event"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Store{Dir: t.TempDir()}
			dir := filepath.Join(s.Dir, runID)
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, c.file), []byte(c.content), 0o600)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Load(runID); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), runID) {
				t.Errorf("error %v, want one about %s", err, c.want)
			}
		})
	}
}

func TestAFullDiskIsWarnedAboutOnceAndStopsNothing(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	dir := filepath.Join(s.Dir, runID)
	// /dev/full refuses every write with "no space left on device" (Linux, full(4)).
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink("/dev/full", filepath.Join(dir, eventsFile)), os.Symlink("/dev/full", filepath.Join(dir, logFile))); err != nil {
		t.Fatal(err)
	}
	var warnings []error
	k := s.Create(runID, func(err error) { warnings = append(warnings, err) })
	events := fixture(t, "mixed.ndjson")
	for _, e := range events {
		k.Event(e)
	}
	if n, err := k.Log().Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("the log returned %d, %v", n, err)
	}
	k.Finish(Build(events))
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), "no space left") {
		t.Errorf("warnings %v, want one about the space", warnings)
	}
	if _, err := s.Load(runID); err != nil {
		t.Errorf("the report, which had room, is not there: %v", err)
	}
}

func TestAFolderThatCannotBeMadeIsWarnedAboutOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var warnings []error
	k := Store{Dir: file}.Create(runID, func(err error) { warnings = append(warnings, err) })
	k.Event(fixture(t, "mixed.ndjson")[0])
	k.Finish(Report{})
	if len(warnings) != 1 {
		t.Errorf("warnings %v, want one", warnings)
	}
}

func TestPruneKeepsTheNewestAndWhatIsNotItsOwn(t *testing.T) {
	s := Store{Dir: t.TempDir(), Keep: 2}
	for _, name := range []string{"20261121-000000-000000", "20261123-000000-000000", "20261122-000000-000000", "notes"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, name, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Prune(); err != nil {
		t.Fatal(err)
	}
	ids, err := s.List()
	if want := []string{"20261123-000000-000000", "20261122-000000-000000"}; err != nil || !reflect.DeepEqual(ids, want) {
		t.Errorf("left %v (%v), want %v", ids, err, want)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "notes")); err != nil {
		t.Errorf("a foreign folder went: %v", err)
	}
}

func TestAMissingStoreHoldsNothing(t *testing.T) {
	s := Store{Dir: filepath.Join(t.TempDir(), "none")}
	if ids, err := s.List(); err != nil || ids != nil {
		t.Errorf("lists %v, %v", ids, err)
	}
	if err := s.Prune(); err != nil {
		t.Error(err)
	}
}
