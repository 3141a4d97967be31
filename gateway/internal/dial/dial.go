// Package dial makes connections to an upstream that notice when the other side is gone.
package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// DefaultTCPTimeout is how long a TCP connection may be without an answer.
const DefaultTCPTimeout = 30 * time.Second

// Func makes a connection, as net.Dialer.DialContext does.
type Func func(ctx context.Context, network, address string) (net.Conn, error)

// TCP returns a function whose connections fail after the timeout without an answer of the other
// machine: to sent data (TCP_USER_TIMEOUT of RFC 5482, on Linux), and to the probes that are sent
// when nothing else is. 0 means DefaultTCPTimeout, and less than 0 disables both. The kernel of
// the other machine answers, also for a process that does not react.
func TCP(timeout time.Duration) Func {
	if timeout == 0 {
		timeout = DefaultTCPTimeout
	}
	if timeout < 0 {
		return (&net.Dialer{KeepAlive: -1}).DialContext
	}
	const probes = 3
	return (&net.Dialer{
		// The first probe after half of the time, and three until the end.
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: max(timeout/2, time.Second),
			Interval: max(timeout/2/probes, time.Second), Count: probes,
		},
		Control: func(network, _ string, conn syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			return setUserTimeout(conn, timeout)
		},
	}).DialContext
}

var errNoALPN = errors.New("the upstream did not select h2 (ALPN)")

// Secure completes the handshake of TLS on a new connection, which must negotiate h2. It closes
// the connection if that fails.
func Secure(ctx context.Context, conn net.Conn, config *tls.Config) (net.Conn, error) {
	secure := tls.Client(conn, config)
	err := secure.HandshakeContext(ctx)
	if err == nil && secure.ConnectionState().NegotiatedProtocol != "h2" {
		err = errNoALPN
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", conn.RemoteAddr(), err)
	}
	return secure, nil
}
