//go:build unix

package gateway_test

import (
	"net/netip"
	"syscall"
	"testing"
)

// closed returns an address where nothing listens, and nothing else will during the test: a socket that does not listen
// has its port, which the test can still listen on. A free port would sometimes be taken by another process.
func closed(t *testing.T) string {
	t.Helper()
	holder, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(holder)
	t.Cleanup(func() { _ = syscall.Close(holder) })
	loopback := [4]byte{127, 0, 0, 1}
	if err := syscall.SetsockoptInt(holder, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(holder, &syscall.SockaddrInet4{Addr: loopback}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(holder)
	if err != nil {
		t.Fatal(err)
	}
	inet, ok := bound.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("the socket is bound to a %T", bound)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(loopback), uint16(inet.Port)).String()
}
