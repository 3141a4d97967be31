package e2e_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNotify: systemd learns when the sidecar accepts calls, and when it stops.
func TestNotify(t *testing.T) {
	socket := systemd(t)
	gate, address := sidecar(t, io.Discard, upstream(t))
	if got := notification(t, socket); !strings.HasPrefix(got, "READY=1\nSTATUS=Listening on "+address+", ") {
		t.Errorf("the sidecar sent %q", got)
	}
	gate.signal(t, syscall.SIGTERM)
	if got := notification(t, socket); got != "STOPPING=1" {
		t.Errorf("after SIGTERM the sidecar sent %q", got)
	}
	if err := gate.wait(t); err != nil {
		t.Errorf("the sidecar ended with %v", err)
	}
}

// TestNotifyReload: systemd learns when the sidecar reads its policy file again, good or bad, and when it has done so.
func TestNotifyReload(t *testing.T) {
	socket := systemd(t)
	path := policyFile(t, "")
	gate, _ := sidecar(t, io.Discard, upstream(t), "-c", path)
	if got := notification(t, socket); !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("the sidecar sent %q", got)
	}
	for _, text := range []string{policyText(""), "version: 2"} {
		write(t, path, text)
		gate.signal(t, syscall.SIGHUP)
		if got := notification(t, socket); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("after SIGHUP the sidecar sent %q", got)
		}
		if got := notification(t, socket); got != "READY=1" {
			t.Errorf("after the reload the sidecar sent %q", got)
		}
	}
}

// systemd returns a socket whose name is in NOTIFY_SOCKET.
func systemd(t *testing.T) *net.UnixConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") //nolint:usetesting // t.TempDir may be longer than the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	name := filepath.Join(dir, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return socket
}

// notification returns the next message that systemd receives.
func notification(t *testing.T, socket *net.UnixConn) string {
	t.Helper()
	if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1024)
	n, err := socket.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}
