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
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/lognames"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/recordqueue"
	"github.com/hauberk-rpc/hauberk/internal/redact"
)

// Interceptor logs calls. Make it with [New]. It may be part of any number of chains at
// once, of servers and of clients.
type Interceptor struct {
	config   Config
	names    Names           // complete; an attribute without a name is left out
	reserved map[string]bool // all names, and those of every record
	logger   *slog.Logger    // nil for slog's default
	now      func() time.Time
	since    func(t time.Time) time.Duration // cheaper than now: it reads one clock, not two
	level    func(call *hauberk.Call, code codes.Code) slog.Level
	types    Types
	states   states
	attrs    []AttrsFunc
	peers    peers
	rules    rules
	methods  methods
	redact   *redact.Redactor
	secrets  secrets                   // of metadata
	queue    *recordqueue.Queue[entry] // nil to write at once
	epoch    time.Time
	errs     []error

	forHandler bool // it only holds the options of a Handler

	sampledOut, dropped atomic.Int64
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{
		config: config, names: config.Names,
		now: time.Now, since: time.Since, level: levelBySide, types: protoregistry.GlobalTypes,
	}
	x.fillNames()
	x.reserved = lognames.Set(x.names)
	x.peers = peers{names: &x.names, seed: maphash.MakeSeed()}
	if err := options.Apply(opts, func(o Option) { o.apply(x) }); err != nil {
		x.errs = append(x.errs, err)
	}
	x.compile()
	if len(x.errs) == 0 {
		x.epoch = x.now()
	}
	return x
}

// compile turns the Config into the form that calls use.
func (x *Interceptor) compile() {
	c := x.config
	x.rules = x.newRules(c)
	x.redact = x.newRedactor(c.Payloads)
	x.secrets = x.newSecrets(c.Metadata)
	if c.Queue < 0 {
		x.failf("Config.Queue is %d; want a number of records, or 0 for no queue", c.Queue)
	} else if c.Queue > 0 {
		x.queue = recordqueue.New(c.Queue, &x.dropped, entry.write)
	}
}

func (x *Interceptor) failf(format string, args ...any) {
	x.errs = append(x.errs, fmt.Errorf(format, args...))
}

// Declare returns the name and the phase of the interceptor, and the errors of its
// configuration.
func (x *Interceptor) Declare() hauberk.Declaration {
	err := errors.Join(x.errs...)
	if x.now == nil && err == nil {
		err = errors.New("a zero Interceptor; make it with logging.New")
	}
	return hauberk.Declaration{
		Name: "logging", Phase: hauberk.PhaseLogging, Unmatched: x.rules.unmatched, Err: err,
	}
}

// SampledOut returns how many calls Sampling has left out so far. Safe for concurrent
// use.
func (x *Interceptor) SampledOut() int64 { return x.sampledOut.Load() }

// Dropped returns how many records have been lost so far: the queue was full or closed,
// or the logger's handler panicked outside the chain. Safe for concurrent use.
func (x *Interceptor) Dropped() int64 { return x.dropped.Load() }

// Flush waits until the records in the queue are written, or returns the error of ctx.
// Without a queue it returns at once. Safe for concurrent use.
func (x *Interceptor) Flush(ctx context.Context) error {
	if x.queue == nil {
		return nil
	}
	if err := x.queue.Flush(ctx); err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	return nil
}

// Close writes the records in the queue and ends the queue's goroutine. Call it at the
// end of the program, when its servers have stopped: later records are dropped and
// counted. If ctx ends first, Close returns its error and the goroutine writes the rest
// concurrently. Without a queue Close does nothing. It may be called more than once.
// Safe for concurrent use.
func (x *Interceptor) Close(ctx context.Context) error {
	if x.queue == nil {
		return nil
	}
	if err := x.queue.Close(ctx); err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	return nil
}

// Intercept logs the call when it has ended, also while a panic unwinds it.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	m := x.methodOf(call)
	if m.off {
		return next(ctx, call)
	}
	began := x.begin(ctx, call, m)
	return hauberk.Observe(ctx, call, next, func(err error) { x.end(ctx, call, began, err) })
}
