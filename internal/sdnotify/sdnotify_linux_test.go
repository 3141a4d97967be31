package sdnotify

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listen returns a socket as systemd has one, with NOTIFY_SOCKET set to its name.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Setenv(variable, name)
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 1024)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// TestSend: systemd receives all states in one message, by sockets with a path and by abstract ones.
func TestSend(t *testing.T) {
	dir, err := os.MkdirTemp("", "sd") //nolint:usetesting // t.TempDir may be longer than the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, name := range []string{filepath.Join(dir, "notify"), "@" + filepath.Base(dir)} {
		conn := listen(t, name)
		if err := Send(Ready, Status("listening on\n127.0.0.1:1 ")); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, conn); got != "READY=1\nSTATUS=listening on 127.0.0.1:1" {
			t.Errorf("%s: received %q", name, got)
		}
		reloading, err := Reloading()
		if err != nil {
			t.Fatal(err)
		}
		if err := Send(reloading); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, conn); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*$`).MatchString(got) {
			t.Errorf("%s: received %q", name, got)
		}
	}
}

// TestSendWithout: without systemd nothing is sent, and a socket that does not work is reported.
func TestSendWithout(t *testing.T) {
	t.Setenv(variable, "")
	if err := Send(Ready); err != nil {
		t.Errorf("without a socket: %v", err)
	}
	for name, want := range map[string]string{
		"notify":                                "want the path of a socket",
		filepath.Join(t.TempDir(), "x", "none"): "sdnotify: dial unixgram",
	} {
		t.Setenv(variable, name)
		if err := Send(Ready); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %q", name, err, want)
		}
	}
}
