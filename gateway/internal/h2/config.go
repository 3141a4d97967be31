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
	// that it has reset and that still have a handler, of which there are at most 100. Further
	// streams are reset with
	// REFUSED_STREAM. Default 1,000. A client ignores it.
	MaxStreams uint32
	// HeaderListSize is the largest size of a received header list, in bytes as HTTP/2
	// counts them. Of a larger list only the fields of [Stream.Oversized] are passed on. A
	// list of more than 4 times as much and 1 MiB (of a server, 16 MiB) ends the connection.
	// Default 16 KiB.
	HeaderListSize uint32
	// HandshakeTimeout is how long the preface may take, and then the first SETTINGS. Default
	// 20 s.
	HandshakeTimeout time.Duration
	// FrameTimeout is how long a frame or header block that has begun may take. Default 20 s.
	FrameTimeout time.Duration
	// SettingsRate, ResetRate and EmptyRate are the largest numbers per second of SETTINGS,
	// RST_STREAM and frames without effect. Ten times as many may arrive at once. Default 10,
	// 2000 and 500.
	SettingsRate, ResetRate, EmptyRate int
	// MinPing is the least time between two PINGs of the peer. Three may arrive earlier, and
	// any after this side has sent a frame of a call. If it is 0, 1000 may arrive between two
	// such frames.
	MinPing time.Duration
	// Rejected is called for each stream above MaxStreams, unless it is nil. It must not block.
	Rejected func()
	// Queue has the callers that wait for a stream of a client, of this connection or of others
	// with the same queue. It may be nil.
	Queue *Queue
	// Settled is called when the first SETTINGS of the peer have arrived, unless it is nil. It
	// must not block.
	Settled func()
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
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, 20*time.Second)
	c.FrameTimeout = cmp.Or(c.FrameTimeout, 20*time.Second)
	c.SettingsRate = cmp.Or(c.SettingsRate, 10)
	c.ResetRate = cmp.Or(c.ResetRate, 2000)
	c.EmptyRate = cmp.Or(c.EmptyRate, 500)
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
