package coalesce

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/answerkey"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

const name = "coalesce"

// ErrKeyPanicked is found by errors.Is in the error of a call whose key function panicked, in this
// process.
var ErrKeyPanicked = answerkey.ErrKeyPanicked

// ReasonKeyPanicked is the reason of the rejection of such a call.
const ReasonKeyPanicked = answerkey.ReasonKeyPanicked

type keySum = [32]byte

// Interceptor makes one call for equal calls. Make it with [New]. It may be used by any number of
// chains at once, whose calls it coalesces with each other.
type Interceptor struct {
	keys *answerkey.Keys
	key  answerkey.Func
	log  *slog.Logger
	err  error

	begun, joined atomic.Uint64

	mu      sync.Mutex
	flights map[keySum]*flight
}

// New returns an interceptor for both sides. hauberk.New reports what is wrong with its
// configuration.
func New(config Config, opts ...Option) *Interceptor {
	x := &Interceptor{log: slog.Default(), flights: map[keySum]*flight{}}
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
	d.Unmatched = x.keys.Unmatched
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
		return x.share(ctx, call, next, key.Whole)
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
func (x *Interceptor) share(ctx context.Context, call *hauberk.Call, next hauberk.Next, key keySum) error {
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
			panic(f.with)
		case f.how == exited:
			return hauberk.ErrUnwound
		case f.own && !first:
			return next(ctx, call)
		case f.endedEarly() && !first && ctx.Err() == nil:
			continue // its deadline was that of another caller
		}
		if !first {
			x.joined.Add(1)
			call.Decide(hauberk.Decision{Rule: "joined", Verdict: hauberk.Allowed})
		}
		call.Adopt(f.call)
		return f.err
	}
}

// endedEarly reports whether the flight may have ended because of the deadline that it began with.
func (f *flight) endedEarly() bool {
	code := hauberk.CodeOf(f.err)
	return f.late && (code == codes.DeadlineExceeded || code == codes.Canceled)
}
