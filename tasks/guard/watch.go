package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
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

// Watch is the watchdog: it waits until the change is confirmed, or takes it back.
func Watch(ctx context.Context, h tasks.Host, token string) error {
	f, err := open(h, token)
	if err != nil {
		return err
	}
	if err := f.put(ctx, watchingFile, nil); err != nil {
		return err
	}
	decided := false
	_, err = f.until(ctx, applyLimit, func() (bool, error) {
		_, applied, _ := f.read(appliedFile)
		decided = f.isDecided()
		return applied || decided, nil
	})
	if err == nil && !decided {
		_, err = f.until(ctx, f.state.Timeout+lead, func() (bool, error) {
			decided = f.isDecided()
			return decided, nil
		})
	}
	if err != nil || decided {
		return err
	}
	if f.decide(ctx, takenBack) != nil && f.isDecided() {
		return nil
	}
	fault := ""
	if err = f.restore(ctx); err != nil {
		fault = err.Error()
	}
	return errors.Join(err, f.put(ctx, overFile, []byte(fault)))
}

// isDecided tells whether there is a verdict, or nothing left to decide.
func (f *folder) isDecided() bool {
	if _, decided, err := f.read(decidedFile); decided && err == nil {
		return true
	}
	_, there, err := f.read(stateFile)
	return err == nil && !there
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

// forgotten is when a change that nobody decided is one whose watchdog is gone, as
// after a reboot.
const forgotten = applyLimit + 10*time.Minute

// Pending names a change that waits to be decided, and how long at most; empty when
// there is none. A run must not begin under it.
func Pending(h tasks.Host, now time.Time) (what string, left time.Duration, err error) {
	tokens, err := h.ReadDir(Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	for _, token := range tokens {
		f, err := open(h, token)
		if err != nil || f.isDecided() {
			continue
		}
		if end := f.state.Prepared.Add(applyLimit + f.state.Timeout + lead); now.Before(f.state.Prepared.Add(forgotten)) && end.After(now) {
			what, left = f.state.What, max(left, end.Sub(now))
		}
	}
	return what, left, nil
}

// Forget removes what decided and forgotten changes have left.
func Forget(ctx context.Context, h tasks.Host, now time.Time) {
	tokens, err := h.ReadDir(Dir)
	if err != nil {
		return
	}
	for _, token := range tokens {
		f, err := open(h, token)
		if err != nil {
			f = &folder{host: h, token: path.Base(token)}
		}
		if err != nil || now.After(f.state.Prepared.Add(forgotten)) {
			f.remove(ctx)
		}
	}
}
