package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The files of a run below Store.Dir/ID.
const (
	reportFile = "report.json"
	eventsFile = "events.ndjson"
	logFile    = "phoenix.log"
)

// DefaultKeep is how many runs a Store keeps.
const DefaultKeep = 200

// Store keeps runs in a folder, one folder per run. The folders are readable by their
// owner only, since a report tells a lot about a fleet.
type Store struct {
	// Dir is the folder; see StoreDir.
	Dir string
	// Keep is how many runs Prune leaves, the newest; 0 means DefaultKeep.
	Keep int
}

// StoreDir is where runs are kept: phoenix/runs below $XDG_STATE_HOME, which is
// $HOME/.local/state when it is not set or, as the XDG base directory specification
// 0.8 asks, not absolute.
func StoreDir(getenv func(string) string) (string, error) {
	state := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home := getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", errors.New("find the folder for runs: neither XDG_STATE_HOME nor HOME is an absolute path (set one of them)")
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "phoenix", "runs"), nil
}

// List returns the IDs of the runs that are kept, newest first. A missing folder
// holds none.
func (s Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var ids []string
	written := make(map[string]time.Time)
	for _, e := range entries {
		if !e.IsDir() || CheckRunID(e.Name()) != nil {
			continue
		}
		ids = append(ids, e.Name())
		if info, err := e.Info(); err == nil {
			written[e.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(
			strings.Compare(second(b), second(a)),
			// An ID tells no more than the second: what a script ran right after
			// another run has to come before it all the same.
			written[b].Compare(written[a]),
			strings.Compare(b, a),
		)
	})
	return ids, nil
}

// second is the part of a run's ID that is its time.
func second(id string) string { return id[:strings.LastIndexByte(id, '-')] }

// Prune removes all but the newest Keep runs. What does not look like a run is left
// alone.
func (s Store) Prune() error {
	keep := s.Keep
	if keep == 0 {
		keep = DefaultKeep
	}
	ids, err := s.List()
	if err != nil || len(ids) <= keep {
		return err
	}
	var errs []error
	for _, id := range ids[keep:] {
		if err := os.RemoveAll(filepath.Join(s.Dir, id)); err != nil {
			errs = append(errs, fmt.Errorf("remove old run: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Load returns the report of a run. That of a run which was killed before its end is
// built from the events that it left.
func (s Store) Load(id string) (Report, error) {
	if err := CheckRunID(id); err != nil {
		return Report{}, err
	}
	raw, err := os.ReadFile(filepath.Join(s.Dir, id, reportFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s.rebuild(id)
	}
	if err != nil {
		return Report{}, fmt.Errorf("load run %s: %w", id, err)
	}
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return Report{}, fmt.Errorf("load run %s: decode %s: %w", id, reportFile, err)
	}
	if r.Schema != Schema {
		return Report{}, fmt.Errorf("load run %s: its format is %q, this version reads %q", id, r.Schema, Schema)
	}
	return r, nil
}

func (s Store) rebuild(id string) (Report, error) {
	events, err := s.Events(id)
	if err != nil {
		return Report{}, err
	}
	return Build(events), nil
}

// Events returns the stream of a run, as far as it was written.
func (s Store) Events(id string) ([]Event, error) {
	if err := CheckRunID(id); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(s.Dir, id, eventsFile))
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", id, err)
	}
	defer f.Close()
	events, err := ReadEvents(f)
	if err != nil {
		return nil, fmt.Errorf("load run %s: %w", id, err)
	}
	return events, nil
}

// ReadEvents reads a stream that was written as NDJSON. A last line that was cut off,
// as a killed run leaves it, is dropped.
func ReadEvents(r io.Reader) ([]Event, error) {
	var out []Event
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read events: line %d: %w", n, err)
		}
		if n == 1 && e.Schema != EventSchema {
			return nil, fmt.Errorf("read events: line 1: the format is %q, this version reads %q", e.Schema, EventSchema)
		}
		out = append(out, e)
	}
	if len(out) == 0 || out[0].RunStarted == nil {
		return nil, fmt.Errorf("read events: %w", errNoRun)
	}
	return out, nil
}
