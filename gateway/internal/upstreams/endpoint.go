package upstreams

import (
	"time"

	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
)

// Endpoint is one address of an upstream.
type Endpoint[C comparable] struct {
	Address target.Address
	Conns   []C // that accept calls, the oldest first; must not be modified
	Owner   any // for use by the owner of the set

	begun    time.Time // of the attempt that runs; zero if none does
	since    time.Time // of the first connection
	failures int       // of attempts, since a connection that lasted
	next     time.Time // no attempt before
	failed   Failure   // the last one; 0 if none
	serving  bool      // by the health check, or without one
	illness  error     // why it is not serving; nil if unknown
	errors   int       // consecutive transport errors of calls
	ejected  time.Time // until then
	removed  bool      // no longer an address of the upstream
}

type state int

const (
	idle    state = iota
	pending       // connecting, or the health is unknown
	waiting       // for the end of a delay
	usable
	sick // not serving
	ejected
)

func (e *Endpoint[C]) state(now time.Time) state {
	connected := len(e.Conns) > 0
	switch {
	case now.Before(e.ejected):
		return ejected
	case connected && e.serving:
		return usable
	case connected && e.illness != nil:
		return sick
	case connected || !e.begun.IsZero():
		return pending
	case now.Before(e.next):
		return waiting
	default:
		return idle
	}
}

func (e *Endpoint[C]) begin(now time.Time) { e.begun = now }

// pendingSince returns when the attempt began, or when the connection was made whose health is
// unknown.
func (e *Endpoint[C]) pendingSince() time.Time {
	if len(e.Conns) > 0 {
		return e.since
	}
	return e.begun
}

// Connecting reports whether an attempt runs.
func (e *Endpoint[C]) Connecting() bool { return !e.begun.IsZero() }
