package h2

import (
	"cmp"
	"time"
)

// Config has the limits of a connection. Zero values are defaults.
type Config struct {
	// Window is the largest number of received bytes that the connection holds. Default
	// 1 MiB, at least 65,535, which is the window that HTTP/2 begins with.
	Window int
	// MaxStreams is the largest number of concurrent streams of the peer, including those
	// that it has reset and that still have a handler. Further streams are reset with
	// REFUSED_STREAM. Default 1,000. A client ignores it.
	MaxStreams uint32
	// HeaderListSize is the largest size of a received header list, in bytes as HTTP/2
	// counts them. A larger list is passed on with [Stream.Oversized]. A list of more than
	// four times as much ends the connection. Default 16 KiB.
	HeaderListSize uint32
	// FrameTimeout is how long a preface, the first SETTINGS, or a frame or header block
	// that has begun may take. Default 20 s.
	FrameTimeout time.Duration
	// PingAfter is how long a connection may be silent before it is pinged. Default 1 min.
	PingAfter time.Duration
	// PingIdle pings connections of a client without streams, too. Servers of gRPC may count
	// such pings as abuse.
	PingIdle bool
	// PingTimeout is how long the peer may take to answer. Default 20 s.
	PingTimeout time.Duration
}

func (c Config) withDefaults() Config {
	c.Window = max(cmp.Or(c.Window, 1<<20), defaultWindow)
	c.MaxStreams = cmp.Or(c.MaxStreams, 1000)
	c.HeaderListSize = cmp.Or(c.HeaderListSize, 16<<10)
	c.FrameTimeout = cmp.Or(c.FrameTimeout, 20*time.Second)
	c.PingAfter = cmp.Or(c.PingAfter, time.Minute)
	c.PingTimeout = cmp.Or(c.PingTimeout, 20*time.Second)
	return c
}

// The initial values of RFC 9113, section 6.5.2.
const (
	defaultWindow    = 65535
	defaultFrameSize = 16384
	maxWindow        = 1<<31 - 1
	maxStreamID      = 1<<31 - 1
)
