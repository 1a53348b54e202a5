//go:build unix

package ssh

import (
	"os"
	"syscall"
)

// lockFile takes the file's advisory lock; closing the file would release it too.
func lockFile(f *os.File) (unlock func(), err error) {
	fd := int(f.Fd())
	for {
		err := syscall.Flock(fd, syscall.LOCK_EX)
		if err == syscall.EINTR {
			continue
		}
		// Nothing can be done about an unlock that fails; closing follows.
		return func() { _ = syscall.Flock(fd, syscall.LOCK_UN) }, err
	}
}
