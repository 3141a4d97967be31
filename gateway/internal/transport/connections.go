package transport

import (
	"cmp"
	"crypto/tls"
	"time"
)

// Connections configures the connections to the upstream. The zero value has the defaults.
type Connections struct {
	// Policy is how several addresses are used: "pick_first" (default) or "round_robin".
	Policy string
	// ConnectTimeout is how long an attempt to connect may take, with TLS and the first
	// settings of HTTP/2. Default 5 s.
	ConnectTimeout time.Duration
	// MinBackoff and MaxBackoff are the first and the greatest delay between attempts.
	// Default 50 ms and 500 ms.
	MinBackoff, MaxBackoff time.Duration
	// TCPTimeout is how long sent data and probes may be unanswered. Default 30 s. Less than 0
	// disables it.
	TCPTimeout time.Duration
	// PingAfter is how long a connection may be silent before it is pinged. 0 disables it.
	PingAfter time.Duration
	// PingTimeout is how long the answer may take. Default 20 s.
	PingTimeout time.Duration
	// PingIdle pings connections without calls, too.
	PingIdle bool
	// HealthCheck watches the health of HealthService at each address.
	HealthCheck   bool
	HealthService string
	// EjectAfter is the number of consecutive transport errors that eject an address. 0
	// disables it.
	EjectAfter   int
	EjectTime    time.Duration // default 30 s
	EjectPercent int           // default 50
	// WaitForReady is how long a call waits if there is no connection and attempts fail.
	WaitForReady time.Duration
	// TLS is nil for plain text. It is cloned. ServerName "" means the host of the target.
	TLS *tls.Config
}

// WithDefaults returns the configuration with the defaults set, and with ALPN for h2.
func (c Connections) WithDefaults() Connections {
	c.Policy = cmp.Or(c.Policy, "pick_first")
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	c.MinBackoff = cmp.Or(c.MinBackoff, min(50*time.Millisecond, cmp.Or(c.MaxBackoff, time.Hour)))
	c.MaxBackoff = cmp.Or(c.MaxBackoff, max(500*time.Millisecond, c.MinBackoff))
	c.PingTimeout = cmp.Or(c.PingTimeout, 20*time.Second)
	c.EjectTime = cmp.Or(c.EjectTime, 30*time.Second)
	c.EjectPercent = cmp.Or(c.EjectPercent, 50)
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.NextProtos = []string{"h2"}
		c.TLS.MinVersion = max(c.TLS.MinVersion, tls.VersionTLS12)
	}
	return c
}
