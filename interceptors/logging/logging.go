package logging

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Interceptor logs calls. Make it with [New]. It may be used by any number of
// chains at once, of servers and of clients.
type Interceptor struct {
	config  Config
	logger  *slog.Logger // nil for slog's default
	now     func() time.Time
	since   func(t time.Time) time.Duration // cheaper than now: it reads one clock, not two
	level   func(call *hauberk.Call, code codes.Code) slog.Level
	types   Types
	states  []state
	attrs   []AttrsFunc
	peers   peers
	rules   rules
	methods methods
	redact  redactor
	secrets names  // of metadata
	queue   *queue // nil to write at once
	epoch   time.Time
	errs    []error

	sampledOut, dropped atomic.Int64
}

// New returns an interceptor for both sides. What is wrong with its configuration
// is reported by hauberk.New.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{
		config: config, now: time.Now, since: time.Since, level: levelBySide, types: linkedTypes,
		peers: peers{seed: maphash.MakeSeed()},
	}
	if err := options.Apply(opts, func(o Option) { o.apply(x) }); err != nil {
		x.errs = append(x.errs, err)
	}
	x.compile()
	if len(x.errs) == 0 {
		x.epoch = x.now()
	}
	return x
}

// compile turns what Config says into what calls use.
func (x *Interceptor) compile() {
	c := x.config
	x.rules = x.newRules(c)
	x.redact = x.newRedactor(c.Payloads)
	x.secrets = x.newNames(c.Metadata)
	if c.Queue < 0 {
		x.failf("Config.Queue is %d; want how many records wait, or 0 for none", c.Queue)
	} else if c.Queue > 0 {
		x.queue = newQueue(c.Queue, &x.dropped)
	}
}

func (x *Interceptor) failf(format string, args ...any) {
	x.errs = append(x.errs, fmt.Errorf(format, args...))
}

// Declare tells chains of the usual place, and what is wrong with the
// configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := errors.Join(x.errs...)
	if x.now == nil && err == nil {
		err = errors.New("a zero Interceptor; make it with logging.New")
	}
	return hauberk.Declaration{Name: "logging", Phase: hauberk.PhaseLogging, Err: err}
}

// SampledOut returns how many calls were not logged for Sampling so far. Safe for
// concurrent use.
func (x *Interceptor) SampledOut() int64 { return x.sampledOut.Load() }

// Dropped returns how many records were lost so far: the queue was full or closed,
// or the logger's handler panicked where no chain is around it. Safe for concurrent
// use.
func (x *Interceptor) Dropped() int64 { return x.dropped.Load() }

// Flush waits until the records that are in the queue have been written, or fails
// with the error of ctx. Without a queue there is nothing to wait for. Safe for
// concurrent use.
func (x *Interceptor) Flush(ctx context.Context) error {
	if x.queue == nil {
		return nil
	}
	return x.queue.flush(ctx)
}

// Close writes what is in the queue and ends its goroutine, for the end of a
// program, when its servers have stopped; records that come later are dropped and
// counted. When ctx ends first Close fails with its error, and the rest is written
// beside the caller. Without a queue it does nothing. Safe for concurrent use, and
// to be called again.
func (x *Interceptor) Close(ctx context.Context) error {
	if x.queue == nil {
		return nil
	}
	return x.queue.close(ctx)
}

// Intercept logs the call when it has ended, also when a panic unwinds it.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	m := x.methodOf(call)
	if m.off {
		return next(ctx, call)
	}
	began := x.begin(ctx, call, m)
	return hauberk.Observe(ctx, call, next, func(err error) { x.end(ctx, call, began, err) })
}
