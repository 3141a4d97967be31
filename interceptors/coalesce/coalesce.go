package coalesce

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/answerkey"
	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

const name = "coalesce"

// ErrKeyPanicked is found by errors.Is in the error of a call whose key function panicked, in this
// process.
var ErrKeyPanicked = answerkey.ErrKeyPanicked

// ReasonKeyPanicked is the reason of the rejection of such a call.
const ReasonKeyPanicked = answerkey.ReasonKeyPanicked

// flightKey is what equal calls have in common.
type flightKey struct {
	answer  [32]byte
	options callOptions
}

// callOptions are the options of a call on a client that decide how it ends.
type callOptions struct {
	ready      readiness
	recv, send int // the greatest sizes of messages, or 0
}

// readiness is what a call without a connection does.
type readiness uint8

const (
	asConfigured readiness = iota
	failsFast
	waits
)

// optionsOf returns the options of a call, of which the last counts.
func optionsOf(call *hauberk.Call) (c callOptions) {
	for _, o := range call.Options() {
		switch o := o.(type) {
		case grpc.FailFastCallOption:
			c.ready = waits
			if o.FailFast {
				c.ready = failsFast
			}
		case grpc.MaxRecvMsgSizeCallOption:
			c.recv = o.MaxRecvMsgSize
		case grpc.MaxSendMsgSizeCallOption:
			c.send = o.MaxSendMsgSize
		}
	}
	return c
}

// Interceptor makes one call for equal calls. Make it with [New]. It may be used by any number of
// chains at once, whose calls it coalesces with each other.
type Interceptor struct {
	keys *answerkey.Keys
	key  answerkey.Func
	log  *slog.Logger
	err  error

	caller pushback.Caller

	begun, joined atomic.Uint64

	mu      sync.Mutex
	flights map[flightKey]*flight
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{log: slog.Default(), flights: map[flightKey]*flight{}}
	nils := options.Apply(opts, func(o Option) { o.apply(x) })
	keys, bad := answerkey.New(answerkey.Config{
		Name: name, Methods: config.Methods, Metadata: config.Metadata, AcrossIdentities: config.AcrossIdentities,
	}, x.key)
	x.keys, x.err = keys, errors.Join(bad, x.err, nils)
	return x
}

// Declare describes the interceptor to the checks of a chain.
func (x *Interceptor) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: name, Phase: hauberk.PhaseCache, Err: x.err}
	if x.keys == nil {
		d.Err = errors.New("a zero Interceptor coalesces nothing; make one with coalesce.New")
		return d
	}
	d.Unmatched, d.Invalid = x.keys.Unmatched, x.keys.Invalid
	return d
}

// Intercept makes the call, or waits for the outcome of an equal one.
func (x *Interceptor) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if !x.keys.Covers(call.Method()) {
		return next(ctx, call)
	}
	key, ok, err := x.keys.Of(ctx, call)
	switch {
	case err != nil:
		return err
	case !ok || wantsOwn(call.Metadata(ctx, "cache-control")):
		return next(ctx, call)
	default:
		return x.share(ctx, call, next, flightKey{key.Whole, optionsOf(call)})
	}
}

// wantsOwn reports whether a request must not have an answer that was made for another.
func wantsOwn(control []string) bool {
	for _, value := range control {
		value = strings.ToLower(value)
		if strings.Contains(value, "no-cache") || strings.Contains(value, "no-store") {
			return true
		}
	}
	return false
}

// share waits for the outcome of a flight.
func (x *Interceptor) share(ctx context.Context, call *hauberk.Call, next hauberk.Next, key flightKey) error {
	for {
		f, first, err := x.join(ctx, call, next, key)
		if err != nil {
			return err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			x.leave(key, f)
			return status.FromContextError(ctx.Err()).Err()
		}
		switch {
		case f.how == panicked:
			call.Adopt(f.call) // what the handler did
			panic(f.with)
		case f.how == exited:
			call.Adopt(f.call)
			return hauberk.ErrUnwound
		case f.own && !first:
			return next(ctx, call)
		case !first && ctx.Err() == nil && f.endedEarlyFor(ctx):
			continue // its deadline was that of another caller
		}
		if !first {
			x.joined.Add(1)
			call.Decide(hauberk.Decision{Rule: "joined", Verdict: hauberk.Allowed})
		}
		call.Adopt(f.call)
		f.failures.End(ctx, &x.caller)
		return f.err
	}
}

// endedEarlyFor reports whether the flight may have ended because the deadline that it began with is before
// that of a caller: at it, or sooner, such as by a margin for the way back or since too little was left.
func (f *flight) endedEarlyFor(ctx context.Context) bool {
	if code := hauberk.CodeOf(f.err); !f.limited || code != codes.DeadlineExceeded && code != codes.Canceled {
		return false
	}
	deadline, ok := ctx.Deadline()
	return !ok || deadline.After(f.deadline)
}
