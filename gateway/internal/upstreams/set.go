package upstreams

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk/gateway/internal/target"
	"github.com/hauberk-rpc/hauberk/internal/engine/backoff"
)

// Policy is the name of a way to use several addresses.
type Policy string

// The policies.
const (
	PickFirst  Policy = "pick_first"
	RoundRobin Policy = "round_robin"
)

// Config configures a [Set]. All fields are required, except for those of ejection.
type Config struct {
	Policy Policy
	// MinBackoff and MaxBackoff are the first and the greatest delay after failed attempts.
	MinBackoff, MaxBackoff time.Duration
	// MaxConns is the largest number of connections of an endpoint.
	MaxConns int
	// Checked reports that endpoints are used only after SetHealth.
	Checked bool
	// EjectAfter is the number of consecutive transport errors that eject an endpoint for
	// EjectTime. 0 ejects none.
	EjectAfter int
	EjectTime  time.Duration
	// EjectPercent is the largest part of the endpoints that is ejected at a time.
	EjectPercent int
	// Random returns numbers from 0 up to 1, for jitter and the first turn.
	Random func() float64
}

// fallThrough is how long an attempt may take until PickFirst begins another one as well.
const fallThrough = 250 * time.Millisecond

// Set has the endpoints of an upstream. C is the type of connections.
type Set[C comparable] struct {
	config    Config
	backoff   *backoff.Backoff
	endpoints []*Endpoint[C]
	current   *Endpoint[C] // of PickFirst; nil if there is none
	turn      int          // the next index of RoundRobin
	failed    Failure      // the last one
	err       error        // of the last attempt that failed
}

// Failure numbers the attempts that have failed. A call does not wait for an endpoint with an
// attempt that has failed since the call began.
type Failure uint64

// LastFailure returns the last failure.
func (s *Set[C]) LastFailure() Failure { return s.failed }

// New returns an empty set.
func New[C comparable](config Config) (*Set[C], error) {
	delays, err := backoff.New(backoff.Config{
		Initial: config.MinBackoff, Max: config.MaxBackoff, Multiplier: 1.6, Jitter: 0.2, Random: config.Random,
	})
	if err != nil {
		return nil, err
	}
	return &Set[C]{config: config, backoff: delays}, nil
}

// Update sets the addresses. Endpoints that remain keep their state. It returns the
// connections of the others, which are to be drained.
func (s *Set[C]) Update(addresses []target.Address) (removed []C) {
	old := s.endpoints
	s.endpoints = nil
	for _, a := range addresses {
		has := func(e *Endpoint[C]) bool { return e.Address == a }
		if slices.ContainsFunc(s.endpoints, has) {
			continue
		}
		e := &Endpoint[C]{Address: a}
		if i := slices.IndexFunc(old, has); i >= 0 {
			e = old[i]
		}
		s.endpoints = append(s.endpoints, e)
	}
	for _, e := range old {
		if !slices.Contains(s.endpoints, e) {
			e.removed = true
			removed = append(removed, e.Conns...)
		}
	}
	if s.current != nil && s.current.removed {
		s.current = nil
	}
	if old == nil {
		s.turn = int(s.config.Random() * float64(len(s.endpoints)))
	}
	return removed
}

// Choice is the result of [Set.Pick].
type Choice[C comparable] struct {
	Endpoint *Endpoint[C]   // to use; nil if there is none
	Connect  []*Endpoint[C] // to connect to now
	// If Endpoint is nil: Err is why, or nil if the result of an attempt is to be awaited. Pick
	// is to be called again after each change, and at At unless that is zero.
	Err error
	At  time.Time
}

// Pick selects the endpoint of a call, and the endpoints to connect to. since is the last failure
// when the call began.
func (s *Set[C]) Pick(now time.Time, since Failure) Choice[C] {
	if s.config.Policy == RoundRobin {
		return s.rotate(now, since)
	}
	return s.first(now, since)
}

func (s *Set[C]) first(now time.Time, since Failure) (c Choice[C]) {
	if s.current == nil || s.current.state(now) != usable {
		i := slices.IndexFunc(s.endpoints, func(e *Endpoint[C]) bool { return e.state(now) == usable })
		if i < 0 {
			s.current = nil
			return s.next(now, since)
		}
		s.current = s.endpoints[i]
	}
	c.Endpoint = s.current
	return c
}

// next begins the next attempt of PickFirst, if one is due.
func (s *Set[C]) next(now time.Time, since Failure) (c Choice[C]) {
	waits := false
	for _, e := range s.endpoints {
		if e.failed > since {
			continue
		}
		switch e.state(now) {
		case pending:
			waits = true
			if at := e.pendingSince().Add(fallThrough); now.Before(at) {
				c.At = at
				return c
			}
		case idle:
			e.begin(now)
			c.Connect, c.At = []*Endpoint[C]{e}, now.Add(fallThrough)
			return c
		default: // it may be usable later
		}
	}
	if !waits {
		c.At, c.Err = s.unavailable(now)
	}
	return c
}

func (s *Set[C]) rotate(now time.Time, since Failure) (c Choice[C]) {
	waits, next := false, s.turn
	for i := range s.endpoints {
		at := (s.turn + i) % len(s.endpoints)
		e := s.endpoints[at]
		switch e.state(now) {
		case usable:
			if c.Endpoint == nil {
				c.Endpoint, next = e, at+1
			}
		case idle:
			e.begin(now)
			c.Connect, waits = append(c.Connect, e), waits || e.failed <= since
		case pending:
			waits = waits || e.failed <= since
		default: // it may be usable later
		}
	}
	s.turn = next
	if c.Endpoint == nil && !waits {
		c.At, c.Err = s.unavailable(now)
	}
	return c
}

var errNone = errors.New("the upstream has no address")

// unavailable returns why no endpoint is usable, and when one may be.
func (s *Set[C]) unavailable(now time.Time) (at time.Time, err error) {
	err = errNone
	for _, e := range s.endpoints {
		var then time.Time
		switch e.state(now) {
		case waiting:
			err, then = s.err, e.next
		case pending, idle: // it has failed since the call began
			err = s.err
		case ejected:
			then = e.ejected
			if errors.Is(err, errNone) {
				err = fmt.Errorf("%s is not used after %d transport errors", e.Address.Address, s.config.EjectAfter)
			}
		case sick:
			if errors.Is(err, errNone) {
				err = fmt.Errorf("the health check of %s fails: %w", e.Address.Address, e.illness)
			}
		case usable: // does not occur: Pick would use it
		}
		if !then.IsZero() && (at.IsZero() || then.Before(at)) {
			at = then
		}
	}
	return at, err
}

// More reports whether the owner is to make another connection to a connected endpoint.
func (s *Set[C]) More(e *Endpoint[C], now time.Time) bool {
	if e.removed || !e.begun.IsZero() || len(e.Conns) >= s.config.MaxConns || now.Before(e.next) {
		return false
	}
	e.begin(now)
	return true
}

// Connected ends an attempt. If it returns false, the connection is not needed.
func (s *Set[C]) Connected(e *Endpoint[C], conn C, now time.Time) bool {
	e.begun = time.Time{}
	first := len(e.Conns) == 0
	other := s.config.Policy == PickFirst && s.current != nil && s.current != e && s.current.state(now) == usable
	if e.removed || first && other {
		return false
	}
	e.Conns = append(e.Conns, conn)
	if first {
		e.since, e.next = now, time.Time{}
		e.serving, e.illness = !s.config.Checked, nil
	}
	return true
}

// Failed ends an attempt.
func (s *Set[C]) Failed(e *Endpoint[C], err error, now time.Time) {
	e.begun = time.Time{}
	s.err = err
	s.failed++
	e.failed = s.failed
	e.failures++
	e.next = now.Add(s.backoff.Delay(e.failures))
}

// Lost removes a connection that accepts no calls any more. It may be called more than once.
func (s *Set[C]) Lost(e *Endpoint[C], conn C, err error, now time.Time) {
	i := slices.Index(e.Conns, conn)
	if i < 0 {
		return
	}
	e.Conns = slices.Delete(e.Conns, i, i+1)
	if len(e.Conns) > 0 {
		return
	}
	if now.Sub(e.since) >= s.config.MaxBackoff {
		e.failures, e.next = 0, time.Time{}
		return
	}
	// The first connection after it is made at once.
	e.failures++
	if e.failures > 1 {
		e.next = now.Add(s.backoff.Delay(e.failures - 1))
		s.err = lostError{err}
	}
}

// lostError is why there is no connection before another attempt was made.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

// IsLost reports whether the error of a [Choice] is that a connection was lost, and not that an attempt has failed.
func IsLost(err error) bool {
	_, ok := errors.AsType[lostError](err)
	return ok
}

// SetHealth sets the health of a connected endpoint. illness is nil if it is serving.
func (s *Set[C]) SetHealth(e *Endpoint[C], illness error) {
	if len(e.Conns) > 0 {
		e.serving, e.illness = illness == nil, illness
	}
}

// Outcome reports how a call ended: with a transport error, or with an answer. It returns
// whether the endpoint is ejected for that.
func (s *Set[C]) Outcome(e *Endpoint[C], failed bool, now time.Time) bool {
	if !failed {
		e.errors = 0
		return false
	}
	e.errors++
	if s.config.EjectAfter == 0 || e.errors < s.config.EjectAfter || e.removed {
		return false
	}
	others := 0
	for _, o := range s.endpoints {
		if o != e && now.Before(o.ejected) {
			others++
		}
	}
	if (others+1)*100 > s.config.EjectPercent*len(s.endpoints) {
		return false
	}
	e.errors, e.ejected = 0, now.Add(s.config.EjectTime)
	return true
}
