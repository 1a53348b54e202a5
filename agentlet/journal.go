package agentlet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"phoenix/tasks"
)

// Files in the folder of a run.
const (
	metaFile      = "job.json"      // which job it was; no secrets, no specs
	eventsFile    = "events.ndjson" // every event, one a line
	doneFile      = "done"          // the helper came to its end
	collectedFile = "collected"     // the workstation has the record
	outputFolder  = "output"        // of the programs that were started
)

// meta is what the journal says of its job.
type meta struct {
	RunID    string     `json:"run_id"`
	Operator string     `json:"operator,omitempty"`
	Mode     tasks.Mode `json:"mode"`
	Steps    []string   `json:"steps"`
}

func runsDir(state string) string { return filepath.Join(state, "runs") }

// checkRunID refuses what cannot be the name of a folder.
func checkRunID(id string) error {
	ok := func(r rune) bool {
		return r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if id == "" || len(id) > 128 || strings.ContainsAny(id[:1], "._-") || strings.IndexFunc(id, func(r rune) bool { return !ok(r) }) >= 0 {
		return fmt.Errorf("check run ID %q: want up to 128 of A-Z, a-z, 0-9, '.', '_', '-', not beginning with a sign", id)
	}
	return nil
}

// journal is the record of a run on the machine itself. An error of writing it does
// not end the run: the events are on their way to the workstation all the same.
type journal struct {
	dir    string
	events *os.File
	torn   bool // the last line is not whole
	fault  error
}

// openJournal makes the folder of the run. It always returns a journal; its fault
// tells whether it can be written.
func openJournal(runs string, job tasks.Job) *journal {
	j := &journal{dir: filepath.Join(runs, job.RunID)}
	j.fault = j.open(job)
	return j
}

func (j *journal) open(job tasks.Job) error {
	if err := os.MkdirAll(filepath.Join(j.dir, outputFolder), 0o700); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	m := meta{RunID: job.RunID, Operator: job.Operator, Mode: job.Mode}
	for _, s := range job.Steps {
		m.Steps = append(m.Steps, s.ID)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if err := os.WriteFile(filepath.Join(j.dir, metaFile), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	j.events, err = os.OpenFile(filepath.Join(j.dir, eventsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	return nil
}

// minRoom is how much space, in bytes, there must be for programs to write their
// output into files: a program whose output cannot be written fails.
const minRoom = 64 << 20

// outputDir is the folder for the output of programs, or empty where there is none
// with that much room.
func (j *journal) outputDir(room uint64) string {
	dir := filepath.Join(j.dir, outputFolder)
	var fs syscall.Statfs_t
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || syscall.Statfs(dir, &fs) != nil {
		return ""
	}
	if uint64(fs.Bavail)*uint64(fs.Bsize) < room {
		return ""
	}
	return dir
}

// write appends an event, in one write, so that a helper that is killed leaves whole
// lines. The first error is kept; an event that could not be written is not missed
// silently, because no done marker is written then. What comes after half a line, as
// when a full disk has room again, begins a new one.
func (j *journal) write(e tasks.Event) {
	if j.events == nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		line = append(line, '\n')
		if j.torn {
			line = append([]byte("\n"), line...)
		}
		var n int
		n, err = j.events.Write(line)
		j.torn = n > 0 && n < len(line) || j.torn && n == 0
	}
	if err != nil && j.fault == nil {
		j.fault = fmt.Errorf("write journal: %w", err)
	}
}

// finish syncs the record and marks it as complete.
func (j *journal) finish() {
	if j.events != nil {
		j.fault = errors.Join(j.fault, j.events.Sync(), j.events.Close())
	}
	if j.fault == nil {
		j.fault = os.WriteFile(filepath.Join(j.dir, doneFile), nil, 0o600)
	}
}
