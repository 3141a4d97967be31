package pushback

import (
	"context"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// IncomingKey is the key in the context of an incoming call of its [Incoming], if a chain serves it.
type IncomingKey struct{}

// Incoming is an incoming call that a chain serves.
type Incoming interface {
	// Failed notes the failure of an outgoing call, which the client must not retry.
	Failed(s *status.Status)
}

// maxFailures is how many failures of an incoming call are kept: the last ones.
const maxFailures = 8

// Failures are the failures of outgoing calls that the client of the incoming call must not retry.
// The zero Failures has none. Safe for concurrent use.
type Failures struct {
	mu     sync.Mutex
	last   []failure // at most maxFailures
	next   int       // where in last the next one is stored if it is full
	at     int64     // how many messages the incoming call had when the last one was added
	passed bool      // the outcome was one of them
}

type failure struct {
	code    codes.Code
	message string
}

// Add keeps a failure, unless it is kept. messages is how many messages the incoming call has had.
func (f *Failures) Add(s *status.Status, messages int64) {
	added := failure{s.Code(), s.Message()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = messages
	if slices.Contains(f.last, added) {
		return
	}
	if len(f.last) < maxFailures {
		f.last = append(f.last, added)
		return
	}
	f.last[f.next] = added
	f.next = (f.next + 1) % maxFailures
}

// None reports whether there is no failure.
func (f *Failures) None() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.last) == 0
}

// Pass reports whether outcome, with which the incoming call fails, may come from one of the failures:
// there was no message since the last one, or the outcome has the code of one, and its message
// contains that of the failure. It returns true once.
func (f *Failures) Pass(outcome *status.Status, messages int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.passed {
		return false
	}
	for i := range f.last {
		kept := &f.last[i]
		if f.at == messages || kept.code == outcome.Code() && strings.Contains(outcome.Message(), kept.message) {
			f.passed = true
			break
		}
	}
	return f.passed
}

// Final is the trailer that asks for no further attempt.
func Final() metadata.MD { return metadata.Pairs(Key, "-1") }

// Caller asks the clients of incoming calls not to retry failures of outgoing calls. The zero Caller
// is ready for use. Safe for concurrent use.
type Caller struct {
	asked sync.Map // channels that are closed at the end of the incoming call
}

// End asks the client of the incoming call, if ctx is of one, not to attempt it again if it fails with
// the failure of an outgoing call. On a server without a chain the outcome of the incoming call is
// not known: End asks at once, and once for each call.
func (c *Caller) End(ctx context.Context, failure *status.Status) {
	if in, ok := ctx.Value(IncomingKey{}).(Incoming); ok {
		in.Failed(failure)
		return
	}
	stream := grpc.ServerTransportStreamFromContext(ctx)
	if stream == nil {
		return
	}
	if s, ok := stream.(interface{ Context() context.Context }); ok {
		ctx = s.Context() // of the incoming call; that of the outgoing call may end earlier, or never
	}
	if done := ctx.Done(); done != nil {
		if _, before := c.asked.LoadOrStore(done, true); before {
			return
		}
		context.AfterFunc(ctx, func() { c.asked.Delete(done) })
	}
	_ = stream.SetTrailer(Final()) // it fails if the incoming call is over
}
