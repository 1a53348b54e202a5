package agentlet

import (
	"bufio"
	"cmp"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"phoenix/agentlet/wire"
	"phoenix/tasks"
)

// keepRuns is how many folders of runs stay on a machine.
const keepRuns = 20

// keepHelper is how long after its installation a helper of another build stays, so
// that two operators with two releases do not upload in turns.
const keepHelper = 7 * 24 * time.Hour

// maxJournal bounds the events of one journal message, in bytes of JSON.
const maxJournal = 4 << 20

// runFolder is one run on the machine.
type runFolder struct {
	name string
	at   time.Time
}

// runFolders lists the runs, oldest first.
func runFolders(runs string) []runFolder {
	entries, err := os.ReadDir(runs)
	if err != nil {
		return nil // there are none, or none that can be read
	}
	var out []runFolder
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && checkRunID(e.Name()) == nil {
			out = append(out, runFolder{e.Name(), info.ModTime()})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return cmp.Or(out[i].at.Compare(out[j].at), strings.Compare(out[i].name, out[j].name)) < 0
	})
	return out
}

// uncollected yields the records that no workstation has confirmed, oldest first. It
// reads each when its turn comes, since they may be large.
func uncollected(runs, current string) iter.Seq[wire.Journal] {
	return func(yield func(wire.Journal) bool) {
		for _, f := range runFolders(runs) {
			dir := filepath.Join(runs, f.name)
			if f.name == current || exists(filepath.Join(dir, collectedFile)) {
				continue
			}
			var m meta
			data, err := os.ReadFile(filepath.Join(dir, metaFile))
			if err != nil || json.Unmarshal(data, &m) != nil {
				m = meta{} // killed before it was written, or the disk was full
			}
			if !yield(wire.Journal{
				RunID: f.name, Operator: m.Operator,
				Events: readEvents(filepath.Join(dir, eventsFile)), Finished: exists(filepath.Join(dir, doneFile)),
			}) {
				return
			}
		}
	}
}

// readEvents returns the whole and valid lines of a record. Where they are more than
// fit into a message, the lines of log are left out, the oldest results last.
func readEvents(path string) []tasks.Event {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	var out []tasks.Event
	size := 0
	logs := info.Size() <= maxJournal
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, wire.MaxMessage)
	for lines.Scan() {
		var e tasks.Event
		if tasks.UnmarshalStrict(lines.Bytes(), &e) != nil || e.Validate() != nil || e.Log != nil && !logs {
			continue
		}
		if size += len(lines.Bytes()); size > maxJournal {
			break
		}
		out = append(out, e)
	}
	return out
}

func markCollected(runs, runID string) {
	if checkRunID(runID) != nil || !exists(filepath.Join(runs, runID)) {
		return
	}
	// Where this fails, the record is sent again; the workstation knows run IDs.
	_ = os.WriteFile(filepath.Join(runs, runID, collectedFile), nil, 0o600)
}

// pruneRuns removes the oldest folders beyond keep, but never that of the current
// run, which a clock that was set back makes look the oldest.
func pruneRuns(runs, current string, keep int) {
	folders := slices.DeleteFunc(runFolders(runs), func(f runFolder) bool { return f.name == current })
	keep--
	for _, f := range folders[:max(0, len(folders)-keep)] {
		_ = os.RemoveAll(filepath.Join(runs, f.name))
	}
}

// pruneHelpers removes the helpers of other builds, and what broken uploads left,
// once they are a week old. A helper that runs keeps running: its file only loses
// its name. Of GPU probes the one that came last stays: no job of this build names
// another.
func pruneHelpers(dirs []string, own string, now time.Time) {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		keep := []string{helperPrefix + own}
		if probe := newestProbe(entries); probe != "" {
			keep = append(keep, probe)
		}
		for _, e := range entries {
			name := e.Name()
			ours := strings.HasPrefix(name, helperPrefix) || strings.HasPrefix(name, "."+helperPrefix)
			kept := slices.ContainsFunc(keep, func(k string) bool { return strings.HasPrefix(name, k) })
			if info, err := e.Info(); ours && !kept && err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > keepHelper {
				_ = os.Remove(filepath.Join(dir, name))
			}
		}
	}
}

// What the names of helpers and of GPU probes begin with; a hash follows.
const (
	helperPrefix = "agentlet-"
	probePrefix  = helperPrefix + "nvml-"
)

// newestProbe is the name of the GPU probe that was put there last; empty without one.
func newestProbe(entries []os.DirEntry) (name string) {
	var at time.Time
	for _, e := range entries {
		hash, is := strings.CutPrefix(e.Name(), probePrefix)
		if info, err := e.Info(); is && len(hash) == 64 && err == nil && info.ModTime().After(at) {
			name, at = e.Name(), info.ModTime()
		}
	}
	return name
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
