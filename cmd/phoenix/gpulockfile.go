package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// errLockChanged is a lock file that is not the one that was read any more.
var errLockChanged = errors.New("somebody else has changed it meanwhile; run again")

// mostLinks is as many as Linux follows.
const mostLinks = 40

// linked is the file that a path means in the end, be it there or not: a lock file may be a
// symbolic link into another folder, and is written there.
func linked(path string) (string, error) {
	for range mostLinks {
		to, err := os.Readlink(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("read %s: %w", path, syscall.ELOOP)
}

// replaceLock puts new content in the place of what was read, nil for no file, or leaves
// the file as it is. Others on this machine who do the same wait; of two of them, the
// second finds the file changed. A file that is there keeps its mode.
func replaceLock(path string, read, data []byte) error {
	path, err := linked(path)
	if err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer dir.Close()
	// Where a file system has no such locks, the comparison is as good as it gets.
	_ = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)
	now, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		now, err = nil, nil
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(now, read) || (now == nil) != (read == nil) {
		return fmt.Errorf("write %s: %w", path, errLockChanged)
	}
	mode := fs.FileMode(0o644)
	if fi, err := os.Stat(path); err == nil {
		mode = fi.Mode().Perm()
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// answers are what the operator typed while hosts were asked before a run, so that the run
// does not ask for the same passphrase. Each serves once: one that is asked for again was
// wrong. nil remembers nothing.
type answers struct {
	mu    sync.Mutex
	known map[string]string
}

type askFunc = func(ctx context.Context, question string) (string, error)

// remember is ask, and keeps the answers; nil stays nil.
func (a *answers) remember(ask askFunc) askFunc {
	if ask == nil {
		return nil
	}
	return func(ctx context.Context, question string) (string, error) {
		answer, err := ask(ctx, question)
		if err == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.known == nil {
				a.known = map[string]string{}
			}
			a.known[question] = answer
		}
		return answer, err
	}
}

// before is ask, for what was not answered already.
func (a *answers) before(ask askFunc) askFunc {
	if a == nil || ask == nil {
		return ask
	}
	return func(ctx context.Context, question string) (string, error) {
		a.mu.Lock()
		answer, known := a.known[question]
		delete(a.known, question)
		a.mu.Unlock()
		if known {
			return answer, nil
		}
		return ask(ctx, question)
	}
}
