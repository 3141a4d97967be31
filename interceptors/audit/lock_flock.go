//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package audit

import (
	"errors"
	"os"
	"syscall"
)

// renamesOpenFiles reports whether an open file can be renamed, and stays locked.
const renamesOpenFiles = true

// lock locks a file until it is closed, or returns an error if it is locked.
func lock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// ignoreUnsupported returns nil for the error of a file system that cannot sync folders.
func ignoreUnsupported(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
