package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"time"

	"phoenix/tasks"
)

// Dir holds a folder for each change that is not yet decided.
const Dir = "/var/lib/phoenix/guard"

// Change is what is about to be done, and how it is taken back.
type Change struct {
	// What it is, for people: "network".
	What string
	// Files are saved before and put back as they were, with mode and owner; those
	// that were missing are removed.
	Files []string
	// Restore are the programs that put the old files into effect, in order.
	Restore [][]string
	// Release are programs to try where the old files cannot be written, before the next
	// attempt: a firewall that shuts the cluster out makes /etc/pve read-only.
	Release [][]string
	// Addresses are where the machine may be reached afterwards, beside the address
	// that it is reached at now.
	Addresses []string
	// Timeout is how long somebody has to confirm, counted from the end of the change;
	// 0 means a minute.
	Timeout time.Duration
}

const (
	// applyLimit is how long a change may take until the watchdog takes it back.
	applyLimit = 3 * time.Minute
	// armLimit is how long the watchdog may take to begin.
	armLimit = 10 * time.Second
	// restoreLimit bounds taking back.
	restoreLimit = 2 * time.Minute
	// lead is how much later than the helper the watchdog acts, so that a helper that
	// lives does it itself and can say so.
	lead = 5 * time.Second
	// firstPoll and poll are how soon and then how often the files are looked at; what
	// is waited for takes seconds, or is there at once.
	firstPoll, poll = 2 * time.Millisecond, 100 * time.Millisecond
)

// ErrTakenBack is the cause of Make's error when nobody confirmed.
var ErrTakenBack = errors.New("nobody confirmed over a new connection that the machine can still be reached")

// Make saves the files, starts the watchdog, calls apply, and waits until the change
// is confirmed. An error of apply, the end of ctx, and the end of the time take the
// change back at once; the error then says whether that worked. Nothing is changed
// where nobody could confirm: without a Confirm function in the Scope, or a watchdog.
func Make(ctx context.Context, h tasks.Host, c Change, apply func(ctx context.Context) error) error {
	scope := tasks.ScopeOf(ctx)
	if scope.Confirm == nil {
		return fmt.Errorf("change the %s: nobody follows the run who could confirm that the machine can still be reached", c.What)
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	f, err := save(ctx, h, c)
	if err == nil {
		err = f.arm(ctx, scope.Helper)
	}
	if err != nil {
		f.remove(ctx)
		return fmt.Errorf("prepare to take back the change of the %s: %w", c.What, err)
	}
	scope.Confirm(tasks.Confirm{Token: f.token, TimeoutS: int(c.Timeout.Seconds()), Addresses: c.Addresses})
	if err := apply(ctx); err != nil {
		return f.undo(ctx, err)
	}
	ticket := newToken()
	if err := f.put(ctx, appliedFile, []byte(ticket)); err != nil {
		return f.undo(ctx, err)
	}
	tasks.Logf(ctx, "changed the %s; without a new connection within %s it is taken back", c.What, c.Timeout)
	return f.await(ctx, c.Timeout)
}

// folder is what is kept of one change.
type folder struct {
	host  tasks.Host
	token string
	state state
}

// state is the content of stateFile.
type state struct {
	What    string        `json:"what"`
	Files   []saved       `json:"files"`
	Restore [][]string    `json:"restore"`
	Release [][]string    `json:"release,omitempty"`
	Timeout time.Duration `json:"timeout"`
	// Prepared is when the change was begun.
	Prepared moment `json:"prepared"`
	// Helper is the process that makes the change; empty where /proc does not tell.
	Helper string `json:"helper,omitempty"`
}

// saved is a file as it was.
type saved struct {
	Path    string      `json:"path"`
	Missing bool        `json:"missing,omitempty"`
	Mode    fs.FileMode `json:"mode"`
	UID     int         `json:"uid"`
	GID     int         `json:"gid"`
	Data    []byte      `json:"data"`
}

// The files of a folder.
const (
	stateFile    = "state.json"
	watchingFile = "watching" // the watchdog is there
	appliedFile  = "applied"  // holds the ticket
	decidedFile  = "decided"  // holds the verdict; whoever makes it has decided
	overFile     = "over"     // it has been taken back
)

// The verdicts.
const (
	confirmed = "confirmed"
	takenBack = "taken back"
)

// newToken tells changes apart. Nothing depends on nobody guessing it: whoever could
// use one is root already.
func newToken() string { return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()) }

func (f *folder) path(name string) string { return path.Join(Dir, f.token, name) }

func (f *folder) put(ctx context.Context, name string, data []byte) error {
	private := fs.FileMode(0o600)
	return f.host.Write(ctx, tasks.Edit{Verb: tasks.VerbPut, Path: f.path(name), Data: data, Mode: &private})
}

func (f *folder) read(name string) (string, bool, error) {
	data, ok, err := tasks.ReadIfExists(f.host, f.path(name))
	return string(data), ok, err
}

// save keeps the files as they are. The folder is returned also with an error.
func save(ctx context.Context, h tasks.Host, c Change) (*folder, error) {
	f := &folder{host: h, token: newToken(), state: state{
		What: c.What, Restore: c.Restore, Release: c.Release, Timeout: c.Timeout, Prepared: now(h, time.Now()), Helper: process(h, "self"),
	}}
	for _, p := range c.Files {
		s, err := look(h, p)
		if err != nil {
			return f, err
		}
		f.state.Files = append(f.state.Files, s)
	}
	data, err := json.Marshal(f.state)
	if err != nil {
		return f, err
	}
	private := fs.FileMode(0o700)
	if err := h.Write(ctx, tasks.Edit{Verb: tasks.VerbMkdir, Path: path.Join(Dir, f.token), Mode: &private}); err != nil {
		return f, err
	}
	return f, f.put(ctx, stateFile, data)
}

// look reads a file with what is to be restored of it. A link is saved as the file
// that it leads to, which is what an edit of it changes.
func look(h tasks.Host, p string) (saved, error) {
	at := p
	for range 10 {
		info, err := h.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at == p:
			return saved{Path: p, Missing: true}, nil
		case errors.Is(err, fs.ErrNotExist):
			return saved{}, fmt.Errorf("read %s: it leads to %s, which is not there", p, at)
		case err != nil:
			return saved{}, err
		case info.Mode&fs.ModeSymlink != 0:
			link := at
			if at = info.Target; !path.IsAbs(at) {
				at = path.Join(path.Dir(link), at)
			}
			continue
		}
		data, err := h.ReadFile(at)
		return saved{Path: at, Mode: info.Mode.Perm(), UID: info.UID, GID: info.GID, Data: data}, err
	}
	return saved{}, fmt.Errorf("read %s: too many links", p)
}

// arm starts the watchdog, and waits until it says that it is there: a change that
// nobody would take back must not be begun.
func (f *folder) arm(ctx context.Context, helper string) error {
	_, err := tasks.Succeed(ctx, f.host, tasks.Cmd{Argv: []string{
		"systemd-run", "--quiet", "--collect", "--unit=phoenix-guard-" + f.token[:12],
		"--description=takes back the change of the " + f.state.What + " unless it is confirmed", helper, "guard", f.token,
	}})
	if err != nil {
		return err
	}
	ok, err := f.until(ctx, armLimit, func() (bool, error) {
		_, is, err := f.read(watchingFile)
		return is, err
	})
	if err == nil && !ok {
		err = fmt.Errorf("the watchdog did not start within %s", armLimit)
	}
	return err
}

// until polls, at once and then until done says so, an error, or the limit.
func (f *folder) until(ctx context.Context, limit time.Duration, done func() (bool, error)) (bool, error) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for pause := firstPoll; ; pause = min(2*pause, poll) {
		if ok, err := done(); ok || err != nil {
			return ok, err
		}
		select {
		case <-time.After(pause):
		case <-deadline.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// await waits for the verdict, and takes the change back when there is none.
func (f *folder) await(ctx context.Context, limit time.Duration) error {
	verdict := ""
	_, err := f.until(ctx, limit, func() (ok bool, err error) {
		verdict, ok, err = f.read(decidedFile)
		return ok, err
	})
	if verdict == confirmed {
		f.remove(ctx)
		return nil
	}
	if err == nil {
		err = ErrTakenBack
	}
	return f.undo(ctx, err)
}

// undo takes the change back, because of why, unless the watchdog was faster. It also
// works when ctx has ended.
func (f *folder) undo(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreLimit)
	defer cancel()
	err := f.decide(ctx, takenBack)
	var other *decidedError
	switch {
	case errors.As(err, &other) && other.verdict == confirmed:
		f.remove(ctx)
		return nil
	case errors.As(err, &other):
		err = f.over(ctx)
	default: // also where the claim cannot be written: better twice than not at all
		err = f.takeBack(ctx)
	}
	var status *tasks.CommandError
	switch {
	case errors.As(err, &status): // of something else on the machine, perhaps
		f.remove(ctx)
		return fmt.Errorf("%w; the %s has its old files back, and to put them into effect ended with: %w", why, f.state.What, err)
	case err != nil:
		return fmt.Errorf("%w; taking the change of the %s back went wrong: %w", why, f.state.What, err)
	}
	f.remove(ctx)
	return fmt.Errorf("%w; the %s is as it was before", why, f.state.What)
}

// over waits until another process has taken the change back.
func (f *folder) over(ctx context.Context) error {
	ok, err := f.until(ctx, restoreLimit, func() (ok bool, err error) {
		_, ok, err = f.read(overFile)
		return ok, err
	})
	if err == nil && !ok {
		err = fmt.Errorf("the watchdog did not end within %s", restoreLimit)
	}
	return err
}

// decidedError is a claim that came second.
type decidedError struct{ verdict string }

func (e *decidedError) Error() string { return "it was already " + e.verdict }

// decide claims the verdict; a *decidedError says that there is one.
func (f *folder) decide(ctx context.Context, verdict string) error {
	private := fs.FileMode(0o600)
	return f.host.Write(ctx, tasks.Edit{
		Verb: tasks.VerbPut, Path: f.path(decidedFile), Mode: &private, Lock: f.path("lock"),
		Update: func(old []byte) ([]byte, error) {
			switch {
			case old != nil:
				return nil, &decidedError{string(old)}
			case f.isOver():
				return nil, &decidedError{confirmed} // what is taken back is not over before it is decided
			}
			return []byte(verdict), nil
		},
	})
}

// takeBack restores until it has worked, and then says that it is over. Disks that are
// full and clusters without quorum come to themselves.
func (f *folder) takeBack(ctx context.Context) error {
	var fault error
	ok, err := f.until(ctx, restoreLimit, func() (bool, error) {
		fault = f.restore(ctx)
		if fault == nil || errors.As(fault, new(*tasks.CommandError)) {
			return true, nil
		}
		for _, argv := range f.state.Release {
			_, _ = f.host.Run(ctx, tasks.Cmd{Argv: argv}) // the next attempt tells
		}
		return false, nil
	})
	if !ok || err != nil {
		return errors.Join(fault, err)
	}
	if err := f.put(ctx, overFile, nil); err != nil && fault == nil {
		tasks.Logf(ctx, "the %s is restored, but that could not be noted: %v", f.state.What, err)
	}
	return fault
}

// restore puts everything back, as far as it goes, and then into effect. Where only a
// program that does so ended with a status, the error is a *tasks.CommandError alone.
func (f *folder) restore(ctx context.Context) error {
	var faults []error
	for _, s := range f.state.Files {
		e := tasks.Edit{Verb: tasks.VerbPut, Path: s.Path, Data: s.Data, Mode: &s.Mode, Owner: &tasks.Owner{UID: s.UID, GID: s.GID}}
		if s.Missing {
			e = tasks.Edit{Verb: tasks.VerbRemove, Path: s.Path}
		}
		faults = append(faults, f.host.Write(ctx, e))
	}
	var ended error
	for _, argv := range f.state.Restore {
		_, err := tasks.Succeed(ctx, f.host, tasks.Cmd{Argv: argv})
		if errors.As(err, new(*tasks.CommandError)) {
			ended = err
		} else {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return ended
}

// remove takes the folder away, first of all what would be restored, so that nobody
// decides anew once the verdict is gone. What is left is removed by the next run.
func (f *folder) remove(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	dir := path.Join(Dir, f.token)
	if f.host.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: f.path(stateFile), Lock: f.path("lock")}) != nil {
		return
	}
	names, err := f.host.ReadDir(dir)
	if err != nil {
		return
	}
	for _, name := range names {
		_ = f.host.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: path.Join(dir, name)})
	}
	_ = f.host.Write(ctx, tasks.Edit{Verb: tasks.VerbRemove, Path: dir})
}
