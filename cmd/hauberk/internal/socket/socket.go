// Package socket listens on unix sockets of the file system.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Listen listens on the socket at path, which begins with "@" for an abstract one. Closing the
// listener removes the file. A file that a process has left behind is replaced: a socket where
// nothing listens. Other files are not. Processes that listen at the same time do so one after the
// other.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	unlock, err := lock(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	lis, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return lis, err
	}
	if wrong := removeStale(ctx, path); wrong != nil {
		return nil, fmt.Errorf("%w: %w", err, wrong)
	}
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}

var (
	errNoSocket = errors.New("the file is not a socket")
	errInUse    = errors.New("a process listens on the socket")
)

// removeStale removes a socket where nothing listens.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // an abstract socket, or removed since
		return errInUse
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return errNoSocket
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return errInUse
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
