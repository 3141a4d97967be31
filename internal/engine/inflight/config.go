package inflight

import (
	"errors"
	"fmt"
	"time"
)

// Bounds of a [Config].
const (
	MaxLimit   = 1 << 20
	MaxWaiting = 1 << 20
)

// DefaultHold is the default of [Config.Hold].
const DefaultHold = 10 * time.Second

// Config configures a [Limiter].
type Config struct {
	// Limit is the number of calls in flight, 1 to MaxLimit.
	Limit int
	// MaxWaiting is the number of calls that wait, 0 to MaxWaiting.
	MaxWaiting int
	// MaxWait is how long a call waits at most; more than 0 if MaxWaiting is.
	MaxWait time.Duration
	// Hold is how long a tenant without calls keeps its share. 0 means DefaultHold.
	Hold time.Duration
	// Timed measures durations of calls, which deadlines and Typical need. A queue sets it.
	Timed bool
}

// Validate returns an error that names the value that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Limit < 1 || c.Limit > MaxLimit:
		return fmt.Errorf("inflight: a limit of %d calls; want 1 to %d", c.Limit, MaxLimit)
	case c.MaxWaiting < 0 || c.MaxWaiting > MaxWaiting:
		return fmt.Errorf("inflight: %d waiting calls; want 0 to %d", c.MaxWaiting, MaxWaiting)
	case c.MaxWait < 0 || c.MaxWaiting > 0 && c.MaxWait == 0:
		return fmt.Errorf("inflight: a longest wait of %v; want more than 0", c.MaxWait)
	case c.Hold < 0:
		return fmt.Errorf("inflight: a hold of %v; want 0 for %v, or more", c.Hold, DefaultHold)
	}
	return nil
}

// The reasons for rejections.
var (
	// ErrFull means that the limit is reached, and that the queue is full or there is none.
	ErrFull = errors.New("too many calls in flight")
	// ErrWaited means that a call waited for MaxWait.
	ErrWaited = errors.New("waited too long for a call in flight to end")
	// ErrDisplaced means that another call took the place of a call in the queue.
	ErrDisplaced = errors.New("displaced in the queue by another call")
	// ErrNoTime means that a call cannot finish before its deadline.
	ErrNoTime = errors.New("not enough time left to wait and finish")
)

// Request is what a call asks for.
type Request struct {
	// Tenant is whose share the call uses.
	Tenant string
	// Priority orders the calls that wait, the highest first.
	Priority int
	// Deadline is the time by which the call must finish, if HasDeadline is set.
	Deadline    time.Duration
	HasDeadline bool
}

// Slot is the slot of a call in flight. The zero Slot holds nothing. It must not be copied
// while it holds something.
type Slot struct {
	tenant  *tenant
	started time.Duration
}

// Held reports whether the slot is that of a call in flight.
func (s *Slot) Held() bool { return s.tenant != nil }

// Started returns when the call was admitted. It is 0 if the limiter is not Timed.
func (s *Slot) Started() time.Duration { return s.started }

// Snapshot is a limiter at one moment.
type Snapshot struct {
	Limit     int
	Running   int    // calls in flight
	Waiting   int    // calls in the queue
	Tenants   int    // active
	Admitted  uint64 // calls so far
	Full      uint64 // calls rejected with ErrFull
	Waited    uint64 // with ErrWaited
	NoTime    uint64 // with ErrNoTime
	Displaced uint64 // with ErrDisplaced
	Left      uint64 // calls that were cancelled while they waited
}
