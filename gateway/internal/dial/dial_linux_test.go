package dial

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The options of the sockets are those of the timeout.
func TestTCPOptions(t *testing.T) {
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	tests := []struct {
		timeout time.Duration
		want    map[int]int // of TCP options
		alive   int
	}{
		{0, map[int]int{unix.TCP_USER_TIMEOUT: 30000, unix.TCP_KEEPIDLE: 15, unix.TCP_KEEPINTVL: 5, unix.TCP_KEEPCNT: 3}, 1},
		{12 * time.Second, map[int]int{unix.TCP_USER_TIMEOUT: 12000, unix.TCP_KEEPIDLE: 6, unix.TCP_KEEPINTVL: 2}, 1},
		{-1, map[int]int{unix.TCP_USER_TIMEOUT: 0}, 0},
	}
	for _, tt := range tests {
		conn, err := TCP(tt.timeout)(t.Context(), "tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		socket, ok := conn.(*net.TCPConn)
		if !ok {
			t.Fatalf("%T", conn)
		}
		raw, err := socket.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			for option, want := range tt.want {
				if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want {
					t.Errorf("%v: option %d is %d, %v; want %d", tt.timeout, option, got, err, want)
				}
			}
			if got, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE); err != nil || got != tt.alive {
				t.Errorf("%v: SO_KEEPALIVE is %d, %v; want %d", tt.timeout, got, err, tt.alive)
			}
		}); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}

// Sockets of another kind have no such options.
func TestUnix(t *testing.T) {
	path := t.TempDir() + "/s"
	lis, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	conn, err := TCP(0)(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
