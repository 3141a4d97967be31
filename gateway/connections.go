package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/hauberk-rpc/hauberk/gateway/internal/transport"
)

// Balance is how calls use the addresses of an upstream that has several.
type Balance string

// The values of Balance, which are policies of gRPC.
const (
	// PickFirst uses one address for all calls, until its connection is lost. Then the
	// addresses are tried in order. The next one is tried when an attempt fails or takes more
	// than 250 ms.
	PickFirst Balance = "pick_first"
	// RoundRobin connects to all addresses, and uses those that are connected in turn.
	RoundRobin Balance = "round_robin"
)

// MinPingAfter is the least value of [Connections.PingAfter], as in grpc-go.
const MinPingAfter = 10 * time.Second

// Connections configures the connections to the upstream. The zero values of all fields are
// defaults.
type Connections struct {
	// Balance is how several addresses are used. "" means PickFirst.
	Balance Balance

	// TLS is the configuration of TLS to the upstream. nil means plain text.
	TLS *TLS

	// ConnectTimeout is how long an attempt to connect may take, with the handshakes of TLS and
	// HTTP/2. 0 means 5 s.
	ConnectTimeout time.Duration

	// MinBackoff and MaxBackoff are the first and the greatest delay between attempts to connect
	// to an address. Delays grow by 1.6 and have a jitter of 20 %
	// (https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md). 0 means 50 ms and
	// 500 ms, which suit an upstream that is near. gRPC uses 1 s and 120 s.
	MinBackoff, MaxBackoff time.Duration

	// TCPTimeout is how long the upstream's machine may not answer, to sent data
	// (TCP_USER_TIMEOUT, RFC 5482, only on Linux) and to the keepalive probes of TCP. A
	// connection then ends, and its calls fail with UNAVAILABLE. 0 means 30 s. Less than 0
	// disables both.
	TCPTimeout time.Duration

	// PingAfter is how long a connection with calls may be silent before the gateway sends a
	// PING of HTTP/2. It detects an upstream that is connected but does not react, which TCP does
	// not. The value is at least MinPingAfter. 0 sends none: many servers reject clients that
	// ping more than once in 5 minutes (gRFC A8).
	PingAfter time.Duration

	// PingTimeout is how long the answer to a PING may take. Then the connection ends, and its
	// calls fail with UNAVAILABLE. 0 means 20 s.
	PingTimeout time.Duration

	// PingIdle sends PING on connections without calls, too.
	PingIdle bool

	// HealthCheck watches the health of HealthService with grpc.health.v1.Health/Watch at each
	// address (gRFC A17). Calls use addresses that report SERVING or do not implement the
	// service. With TransportGRPC it requires RoundRobin.
	HealthCheck bool

	// HealthService is the name of the service that HealthCheck watches. "" is the server as a
	// whole.
	HealthService string

	// EjectAfter is the number of consecutive transport errors after which an address is not used
	// for EjectTime: calls that ended without a status of the upstream since their connection was
	// lost, or their stream was reset with another code than CANCEL, REFUSED_STREAM and
	// ENHANCE_YOUR_CALM. 0 disables it. It requires TransportFrames.
	EjectAfter int

	// EjectTime is how long an address is not used after EjectAfter errors. 0 means 30 s.
	EjectTime time.Duration

	// EjectPercent is the largest percentage of addresses that are ejected at a time, up to 100.
	// 0 means 50.
	EjectPercent int

	// WaitForReady is how long a call waits for a connection while there is none and attempts
	// fail. 0 fails such calls at once with UNAVAILABLE. A call waits for an attempt that runs in
	// any case.
	WaitForReady time.Duration
}

var errPing = errors.New("gateway: Connections.PingTimeout or PingIdle without PingAfter; " +
	"want PingAfter of 10s or more")

// check returns an error with all that is wrong.
func (c Connections) check(t Transport) error {
	errs := []error{
		c.checkTimes(), c.checkEjection(),
		c.TLS.check("Connections.TLS", false),
	}
	switch c.Balance {
	case "", PickFirst, RoundRobin:
	default:
		errs = append(errs, fmt.Errorf("gateway: Connections.Balance is %q; want %q or %q",
			c.Balance, PickFirst, RoundRobin))
	}
	if c.HealthService != "" && !c.HealthCheck {
		errs = append(errs, errors.New("gateway: Connections.HealthService without HealthCheck; want both"))
	}
	if !utf8.ValidString(c.HealthService) {
		errs = append(errs, fmt.Errorf("gateway: Connections.HealthService is %q; want UTF-8", c.HealthService))
	}
	if t == TransportGRPC {
		errs = append(errs, c.checkGRPC())
	}
	return errors.Join(errs...)
}

// checkGRPC returns an error for what grpc-go cannot do.
func (c Connections) checkGRPC() error {
	var errs []error
	if c.HealthCheck && c.Balance != RoundRobin {
		errs = append(errs, fmt.Errorf("gateway: Connections.HealthCheck with transport %q needs Balance %q",
			TransportGRPC, RoundRobin))
	}
	if c.EjectAfter != 0 {
		errs = append(errs, fmt.Errorf("gateway: Connections.EjectAfter needs transport %q", TransportFrames))
	}
	return errors.Join(errs...)
}

func (c Connections) checkTimes() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ConnectTimeout", c.ConnectTimeout},
		{"MinBackoff", c.MinBackoff},
		{"MaxBackoff", c.MaxBackoff},
		{"PingTimeout", c.PingTimeout},
		{"EjectTime", c.EjectTime},
		{"WaitForReady", c.WaitForReady},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("gateway: Connections.%s is %v; want more than 0, or 0 for the default",
				d.name, d.value))
		}
	}
	if c.MaxBackoff != 0 && c.MaxBackoff < c.MinBackoff {
		errs = append(errs, fmt.Errorf("gateway: Connections.MaxBackoff is %v; want at least MinBackoff, %v",
			c.MaxBackoff, c.MinBackoff))
	}
	switch {
	case c.PingAfter != 0 && c.PingAfter < MinPingAfter:
		errs = append(errs, fmt.Errorf("gateway: Connections.PingAfter is %v; want %v or more, or 0 for none",
			c.PingAfter, MinPingAfter))
	case c.PingAfter == 0 && (c.PingTimeout != 0 || c.PingIdle):
		errs = append(errs, errPing)
	}
	return errors.Join(errs...)
}

func (c Connections) checkEjection() error {
	switch {
	case c.EjectAfter < 0:
		return fmt.Errorf("gateway: Connections.EjectAfter is %d; want a number of errors, or 0 for none", c.EjectAfter)
	case c.EjectPercent < 0 || c.EjectPercent > 100:
		return fmt.Errorf("gateway: Connections.EjectPercent is %d; want 1 to 100, or 0 for 50", c.EjectPercent)
	case c.EjectAfter == 0 && (c.EjectTime != 0 || c.EjectPercent != 0):
		return errors.New("gateway: Connections.EjectTime or EjectPercent without EjectAfter; want a number of errors")
	}
	return nil
}

// internal returns the configuration of a transport.
func (c Connections) internal(secure *tls.Config) transport.Connections {
	return transport.Connections{
		Policy: string(c.Balance), ConnectTimeout: c.ConnectTimeout, MinBackoff: c.MinBackoff, MaxBackoff: c.MaxBackoff,
		TCPTimeout: c.TCPTimeout, PingAfter: c.PingAfter, PingTimeout: c.PingTimeout, PingIdle: c.PingIdle,
		HealthCheck: c.HealthCheck, HealthService: c.HealthService,
		EjectAfter: c.EjectAfter, EjectTime: c.EjectTime, EjectPercent: c.EjectPercent,
		WaitForReady: c.WaitForReady, TLS: secure,
	}.WithDefaults()
}
