package pushback

import (
	"context"
	"sync"

	"google.golang.org/grpc/status"
)

// Collected are the failures of outgoing calls that run for several callers, or for none: they must not be
// those of the incoming call that happened to begin them. Safe for concurrent use.
type Collected struct {
	mu       sync.Mutex
	failures []*status.Status
}

// Collect returns a context in which [Caller.End] collects the failure, and asks no one.
func Collect(ctx context.Context) (context.Context, *Collected) {
	c := new(Collected)
	return context.WithValue(ctx, IncomingKey{}, c), c
}

// Failed is that of [Incoming]. Only the first failures are kept, as many as of an incoming call.
func (c *Collected) Failed(s *status.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failures) < maxFailures {
		c.failures = append(c.failures, s)
	}
}

// End calls [Caller.End] with the failures, for the incoming call of ctx.
func (c *Collected) End(ctx context.Context, caller *Caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.failures {
		caller.End(ctx, s)
	}
}
