//go:build unix && !solaris && !illumos && !aix

package socket

import (
	"os"
	"syscall"
)

// lock locks a directory against other calls, also those of other processes.
func lock(dir string) (unlock func(), err error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, &os.PathError{Op: "flock", Path: dir, Err: err}
	}
	return func() { _ = file.Close() }, nil // which unlocks it
}
