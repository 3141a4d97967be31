package dial

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout limits how long sent data may be without an acknowledgement.
func setUserTimeout(conn syscall.RawConn, timeout time.Duration) error {
	var wrong error
	err := conn.Control(func(fd uintptr) {
		wrong = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	})
	if err == nil {
		err = wrong
	}
	return err
}
