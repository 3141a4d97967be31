package otelenv

import (
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// pause is how long complaints are only counted after one was told.
const pause = time.Minute

// complaints are what the SDK says goes wrong: while it starts, errors of the
// configuration that the checks have missed; later, news for the operator, of which
// there may be many.
type complaints struct {
	sayf func(format string, args ...any)
	now  func() time.Time

	mu      sync.Mutex
	running bool
	early   []error
	told    time.Time
	untold  int
}

func newComplaints(sayf func(format string, args ...any)) *complaints {
	return &complaints{sayf: sayf, now: time.Now}
}

// started returns the complaints so far, and has further ones told.
func (c *complaints) started() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = true
	return errors.Join(c.early...)
}

// Handle takes a complaint, as otel.ErrorHandler. It is safe for concurrent use.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	switch {
	case !c.running:
		c.early = append(c.early, err)
	case !c.told.IsZero() && now.Sub(c.told) < pause:
		c.untold++
	case c.untold > 0:
		c.sayf("telemetry: %v (and %d complaints before it)", err, c.untold)
		c.told, c.untold = now, 0
	default:
		c.sayf("telemetry: %v", err)
		c.told = now
	}
}

// logger takes the complaints that the SDK only logs.
func (c *complaints) logger() logr.Logger {
	return funcr.New(func(_, args string) { c.Handle(errors.New(args)) }, funcr.Options{})
}
