package agentlet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"phoenix/agentlet/wire"
)

// hostLock is the lock that one run has on the machine. The kernel releases it with
// the process; programs that the helper started do not inherit it.
type hostLock struct{ f *os.File }

// takeLock takes the lock without waiting and writes into it who has it. When
// another run has it, the holder is what that run wrote.
func takeLock(path string, me wire.Holder) (*hostLock, *wire.Holder, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, nil, fmt.Errorf("lock host: %w", err)
	}
	for {
		f, err := openLock(path)
		if err != nil {
			return nil, nil, fmt.Errorf("lock host: %w", err)
		}
		err = flock(f)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			holder := readHolder(f)
			return nil, &holder, errors.Join(fmt.Errorf("lock host: run %s of %s has it since %s (process %d)",
				holder.RunID, holder.Operator, holder.Since.Format("2006-01-02 15:04:05 MST"), holder.PID), f.Close())
		}
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("lock host: flock %s: %w", path, err), f.Close())
		}
		if !current(f, path) {
			// `phoenix clean` removed the file between open and flock: what is locked
			// is a file that nobody else will find.
			_ = f.Close()
			continue
		}
		if err := writeHolder(f, me); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("lock host: %w", err), f.Close())
		}
		return &hostLock{f}, nil, nil
	}
}

// openLock opens or creates the file. Its folder may be writable by everyone
// (/run/lock is), so a link or somebody else's file in its place is refused.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && int(st.Uid) != os.Geteuid() {
			err = fmt.Errorf("%s is no file of ours; look at it and remove it", path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func current(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Lstat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func readHolder(f *os.File) wire.Holder {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	var h wire.Holder
	if err != nil || json.Unmarshal(data, &h) != nil {
		return wire.Holder{RunID: "(unknown)", Operator: "(unknown)"} // it is just being written
	}
	return h
}

func writeHolder(f *os.File, me wire.Holder) error {
	data, err := json.Marshal(me)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(data, '\n'), 0)
	return err
}

// release gives the lock back. The file stays: removing it would let two runs lock
// two files of the same name.
func (l *hostLock) release() {
	_ = l.f.Truncate(0)
	_ = l.f.Close()
}
