package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"phoenix/tasks"
)

// open reads the folder of a change.
func open(h tasks.Host, token string) (*folder, error) {
	if !plain(token) {
		return nil, fmt.Errorf("find change %q: no token looks like that", token)
	}
	f := &folder{host: h, token: token}
	data, err := h.ReadFile(f.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("find change %s: there is none; it was decided already", token)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &f.state); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path(stateFile), err)
	}
	return f, nil
}

func plain(token string) bool {
	for _, r := range token {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return len(token) == 32
}

// watchLimit is how long the watchdog tries to take a change back.
const watchLimit = 6 * time.Hour

// Watch is the watchdog: it waits until the change is confirmed, or takes it back. A
// helper that was killed before the change was whole is not waited for, and one that
// does not manage to take it back itself is relieved.
func Watch(ctx context.Context, h tasks.Host, token string) error {
	f, err := open(h, token)
	if err != nil {
		return err
	}
	if err := f.put(ctx, watchingFile, nil); err != nil {
		return err
	}
	decided, dead := false, false
	_, err = f.until(ctx, applyLimit, func() (bool, error) {
		_, applied, _ := f.read(appliedFile)
		decided, dead = f.isDecided(), f.helperIsGone()
		return applied || decided || dead, nil
	})
	if _, applied, _ := f.read(appliedFile); err == nil && !decided && applied {
		_, err = f.until(ctx, f.state.Timeout+lead, func() (bool, error) {
			decided = f.isDecided()
			return decided, nil
		})
	}
	if err != nil {
		return err
	}
	if !decided {
		decided = errors.As(f.decide(ctx, takenBack), new(*decidedError))
	}
	if decided && f.relieved(ctx) {
		return nil
	}
	deadline := time.Now().Add(watchLimit)
	for {
		err := f.takeBack(ctx)
		if err == nil || errors.As(err, new(*tasks.CommandError)) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

// relieved tells whether somebody else has seen to the verdict: it was confirmed, or the
// change was taken back within the time.
func (f *folder) relieved(ctx context.Context) bool {
	ok, err := f.until(ctx, restoreLimit+lead, func() (bool, error) {
		verdict, _, _ := f.read(decidedFile)
		_, over, _ := f.read(overFile)
		return verdict == confirmed || over || f.isOver(), nil
	})
	return ok && err == nil
}

// isDecided tells whether there is a verdict, or nothing left to decide.
func (f *folder) isDecided() bool {
	_, decided, err := f.read(decidedFile)
	return decided && err == nil || f.isOver()
}

// isOver tells whether the folder is being removed, or gone.
func (f *folder) isOver() bool {
	_, there, err := f.read(stateFile)
	return err == nil && !there
}

// helperIsGone tells whether the process that makes the change has ended, where /proc
// tells.
func (f *folder) helperIsGone() bool {
	pid, _, known := strings.Cut(f.state.Helper, " ")
	return known && process(f.host, "self") != "" && process(f.host, pid) != f.state.Helper
}

// ErrNotYet is the error of confirming a change that is still being made.
var ErrNotYet = errors.New("the change is still being made")

// Confirm says that somebody got in. The first call after the change gives a ticket
// and decides nothing; only a call with it does, over a connection that was opened
// after the change for that reason. ErrNotYet: come again.
func Confirm(ctx context.Context, h tasks.Host, token, ticket string) (next string, err error) {
	f, err := open(h, token)
	if err != nil {
		return "", err
	}
	want, applied, err := f.read(appliedFile)
	switch {
	case err != nil:
		return "", err
	case !applied:
		return "", ErrNotYet
	case ticket != want:
		return want, nil
	}
	err = f.decide(ctx, confirmed)
	var other *decidedError
	if errors.As(err, &other) && other.verdict == confirmed {
		err = nil
	}
	return "", err
}

// afterwards is how much longer than its watchdog a change is waited for.
const afterwards = 10 * time.Minute

// left is how long a change can still be undecided; nothing once its watchdog must be
// gone, as after a reboot.
func (f *folder) left(at moment) time.Duration {
	age, same := at.since(f.state.Prepared)
	if !same {
		return 0
	}
	return applyLimit + f.state.Timeout + lead - age
}

// Pending names a change that waits to be decided, and how long at most; empty when
// there is none. A run must not begin under it.
func Pending(h tasks.Host, clock time.Time) (what string, left time.Duration, err error) {
	tokens, err := h.ReadDir(Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	at := now(h, clock)
	for _, token := range tokens {
		f, err := open(h, token)
		if err != nil || f.isDecided() {
			continue
		}
		if more := f.left(at); more > 0 {
			what, left = f.state.What, max(left, more)
		}
	}
	return what, left, nil
}

// Forget removes what changes have left whose watchdog must be gone.
func Forget(ctx context.Context, h tasks.Host, clock time.Time) {
	tokens, err := h.ReadDir(Dir)
	if err != nil {
		return
	}
	at := now(h, clock)
	for _, token := range tokens {
		f, err := open(h, token)
		if err != nil {
			f = &folder{host: h, token: path.Base(token)}
		}
		if err != nil || f.left(at) < -afterwards || !at.sameBoot(f.state.Prepared) {
			f.remove(ctx)
		}
	}
}
