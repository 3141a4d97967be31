// Package guard asks a store that may fail, and does without it for a time after failures.
//
//	ask ──▶ circuit ──closed──▶ store ──▶ answer
//	           │                  │
//	          open          error or timeout
//	           ▼                  ▼
//	      an error, for which the caller has a failure mode
package guard

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
	"github.com/hauberk-rpc/hauberk/internal/errtree"
)

// failuresInRow open the circuit of the store.
const failuresInRow = 3

// Config holds the settings of a [Guard].
type Config struct {
	Name       string        // of the package that asks, for the log
	Mode       string        // what happens to calls while the store fails, for the log
	Timeout    time.Duration // of one request
	RetryStore time.Duration // how long the circuit is open
	Clock      func() time.Duration
	Log        *slog.Logger
	// Failures counts the failures, optionally: those of several guards, one after the other.
	Failures *atomic.Uint64
}

// Guard is the circuit breaker of a store. Safe for concurrent use. Create it with [New].
type Guard struct {
	config   Config
	circuit  *breaker.Breaker
	last     atomic.Pointer[error] // for the log
	rounds   atomic.Uint64         // failures that counted
	checking atomic.Bool           // Check asks the store
}

// New returns a guard whose circuit is closed.
func New(c Config) *Guard {
	if c.Failures == nil {
		c.Failures = new(atomic.Uint64)
	}
	g := &Guard{config: c}
	g.circuit = breaker.New(breaker.Config{
		FailureThreshold: failuresInRow, OpenFor: c.RetryStore, HalfOpenMaxCalls: 1,
		ProbeTimeout: max(2*c.Timeout, c.RetryStore), OnChange: g.changed,
	})
	return g
}

// changed logs that the store fails, or answers again.
func (g *Guard) changed(c breaker.Change) {
	switch {
	case c.From == breaker.Closed:
		cause := ""
		if err := g.last.Load(); err != nil {
			cause = (*err).Error()
		}
		g.config.Log.Warn(g.config.Name+": the store of shared quotas fails", //nolint:sloglint // one of two names
			"error", cause, "mode", g.config.Mode)
	case c.To == breaker.Closed:
		g.config.Log.Info(g.config.Name + ": the store of shared quotas answers again") //nolint:sloglint // as above
	}
}

// Do asks the store, unless its circuit is open. An error counts as a failure of the store, unless
// ctx has ended. Of requests that are in flight at the same time, the first failure counts for the circuit:
// one late answer, or one pause, does not open it.
func (g *Guard) Do(ctx context.Context, ask func() error) error {
	permit, err := g.circuit.Allow(g.config.Clock())
	if err != nil {
		return err
	}
	round, outcome := g.rounds.Load(), breaker.Neutral // of a panic
	defer func() { permit.Done(g.config.Clock(), outcome) }()
	if err = errtree.Bounded(ask()); err == nil {
		outcome = breaker.Success
		return nil
	}
	if ctx.Err() == nil {
		g.config.Failures.Add(1)
		g.last.Store(&err)
		if g.rounds.CompareAndSwap(round, round+1) {
			outcome = breaker.Failure
		}
	}
	return err
}

// Check asks the store on a separate goroutine, unless another Check does. The outcome counts as that of
// Do. It is for requests whose caller has left before the answer: without it, a store that never answers
// would not fail as long as all deadlines of callers are below Timeout. ask must not depend on the caller,
// and must end within Timeout.
func (g *Guard) Check(ask func() error) {
	if !g.checking.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer g.checking.Store(false)
		_ = g.Do(context.Background(), func() (err error) {
			defer func() {
				if p := recover(); p != nil { // no interceptor recovers it here
					err = fmt.Errorf("the store panicked: %v", p)
				}
			}()
			return ask()
		})
	}()
}

// Failures returns how often the store failed, and whether calls do without it now.
func (g *Guard) Failures() (failures uint64, failing bool) {
	return g.config.Failures.Load(), g.circuit.Snapshot().State != breaker.Closed
}
