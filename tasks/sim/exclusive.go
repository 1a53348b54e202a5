package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockFile guards what programs change together; it stands for the locks of pmxcfs
// and dpkg, which the real programs wait for as well.
const lockFile = "/.sim/lock"

// faultLock guards the faults. It is a lock of its own because programs look for
// faults while they are inside exclusive.
const faultLock = "/.sim/faults.lock"

// exclusive runs do while no other program of the machine, in whatever process, is
// inside exclusive. It must not be nested.
func (m *Machine) exclusive(do func() error) error { return m.holding(lockFile, do) }

// holding runs do while it holds an exclusive flock on the file.
func (m *Machine) holding(file string, do func() error) (err error) {
	full := m.path(file)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(full, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", full, err)
	}
	return do()
}
