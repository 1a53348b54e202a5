package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// KeptRun is the folder of a run under way. It is a Sink. What cannot be written (a
// full disk) never stops the run: the first error goes to the warning function, and
// the rest is silence. It is safe for concurrent use.
type KeptRun struct {
	dir  string
	warn func(error)

	mu     sync.Mutex
	events *os.File
	log    *os.File
	warned bool
	line   []byte
	size   int64 // of the whole lines in events
}

// Create makes the folder of a run. Its warn function is called at most once, with
// the first error, possibly before Create returns; it must not emit events into the
// Stream that feeds the KeptRun.
func (s Store) Create(id string, warn func(error)) *KeptRun {
	k := &KeptRun{dir: filepath.Join(s.Dir, id), warn: warn}
	if err := k.open(id); err != nil {
		k.trouble(err)
	}
	return k
}

func (k *KeptRun) open(id string) error {
	if err := CheckRunID(id); err != nil {
		return err
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	var err error
	const flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if k.events, err = os.OpenFile(filepath.Join(k.dir, eventsFile), flags, 0o600); err != nil {
		return err
	}
	k.log, err = os.OpenFile(filepath.Join(k.dir, logFile), flags, 0o600)
	return err
}

// trouble is called with mu held, or before the KeptRun is shared.
func (k *KeptRun) trouble(err error) {
	if k.warned {
		return
	}
	k.warned = true
	if k.warn != nil {
		k.warn(fmt.Errorf("keep the record of the run: %w", err))
	}
}

// Dir is the folder of the run.
func (k *KeptRun) Dir() string { return k.dir }

// Event appends the event to events.ndjson.
func (k *KeptRun) Event(e Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.events == nil {
		return
	}
	line, err := AppendLine(k.line[:0], e)
	if err == nil {
		k.line = line
		err = k.appendWhole(line)
	}
	if err != nil {
		k.trouble(err)
	}
}

// appendWhole appends a line or nothing: half a line would make the events after it
// unreadable, should the disk have room again.
func (k *KeptRun) appendWhole(line []byte) error {
	n, err := k.events.Write(line)
	if err == nil {
		k.size += int64(n)
	} else if n > 0 {
		_ = k.events.Truncate(k.size)
	}
	return err
}

// Log returns a writer to phoenix.log that never fails.
func (k *KeptRun) Log() io.Writer { return keptLog{k} }

type keptLog struct{ run *KeptRun }

func (l keptLog) Write(p []byte) (int, error) {
	l.run.mu.Lock()
	defer l.run.mu.Unlock()
	if l.run.log != nil {
		if _, err := l.run.log.Write(p); err != nil {
			l.run.trouble(err)
		}
	}
	return len(p), nil
}

// Finish writes report.json, which appears under its name only when it is whole, and
// closes the files.
func (k *KeptRun) Finish(r Report) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.events == nil {
		return
	}
	if err := k.writeReport(r); err != nil {
		k.trouble(err)
	}
	for _, f := range []*os.File{k.events, k.log} {
		if f == nil {
			continue
		}
		if err := f.Close(); err != nil {
			k.trouble(err)
		}
	}
	k.events, k.log = nil, nil
}

func (k *KeptRun) writeReport(r Report) (err error) {
	f, err := os.CreateTemp(k.dir, reportFile+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := WriteJSON(f, r); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(k.dir, reportFile))
}
