package socket

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// leave leaves a socket behind, as a process that was killed does.
func leave(t *testing.T, path string) {
	t.Helper()
	lis, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	lis.SetUnlinkOnClose(false)
	_ = lis.Close()
}

// The file exists while something listens, and a socket that was left behind is replaced.
func TestListen(t *testing.T) {
	for _, stale := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "s")
		if stale {
			leave(t, path)
		}
		lis, err := Listen(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := new(net.Dialer).DialContext(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = lis.Close()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// What is in use, or not a socket, is not removed.
func TestListenRemovesNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	lis, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if _, err := Listen(t.Context(), path); !errors.Is(err, errInUse) {
		t.Errorf("a socket in use: %v", err)
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), file); !errors.Is(err, errNoSocket) {
		t.Errorf("a file: %v", err)
	}
	if err := os.Symlink(path, filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), filepath.Join(dir, "l")); !errors.Is(err, errNoSocket) {
		t.Errorf("a symbolic link: %v", err)
	}
	if _, err := Listen(t.Context(), filepath.Join(dir, "none", "s")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "x" {
		t.Errorf("the file has %q, %v", data, err)
	}
}

// Of several processes that replace one socket, exactly one listens on it.
func TestConcurrentListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 20 {
		leave(t, path)
		var all sync.WaitGroup
		listeners := make(chan net.Listener, 8)
		for range cap(listeners) {
			all.Go(func() {
				lis, err := Listen(t.Context(), path)
				if err == nil {
					listeners <- lis
				} else if !errors.Is(err, errInUse) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(listeners) != 1 {
			t.Fatalf("%d listeners, want 1", len(listeners))
		}
		_ = (<-listeners).Close()
	}
}
