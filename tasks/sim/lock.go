package sim

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// configLock is Proxmox's lock file of a container's configuration.
func configLock(id int) string { return fmt.Sprintf("/run/lock/lxc/pve-config-%d.lock", id) }

// lockPoll is how often a waiting program looks whether the lock is free. Waiting in
// flock itself would not see the context end.
const lockPoll = 10 * time.Millisecond

// errLockTimeout is what Proxmox says when the lock stayed taken.
type errLockTimeout struct{ file string }

func (e errLockTimeout) Error() string {
	return fmt.Sprintf("can't lock file '%s' - got timeout", e.file)
}

// lockConfig takes the lock of a container's configuration and waits for it as long
// as Machine.LockTimeout. The words go to the program's standard error.
func (c *call) lockConfig(id int) (unlock func(), err error) {
	file := configLock(id)
	if err := os.MkdirAll(c.m.path("/run/lock/lxc"), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(c.m.path(file), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = f.Close() } // closing frees the lock
	if tryLock(f) {
		return unlock, nil
	}
	c.errorf("trying to acquire lock...")
	deadline := time.Now().Add(c.m.LockTimeout)
	for time.Now().Before(deadline) && c.ctx.Err() == nil {
		c.wait(lockPoll)
		if tryLock(f) {
			c.errorf("\n OK\n")
			return unlock, nil
		}
	}
	c.errorf("\n")
	unlock()
	return nil, errLockTimeout{file}
}

func tryLock(f *os.File) bool {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err == nil
		}
	}
}
