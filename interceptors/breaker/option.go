package breaker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(b *Interceptor) }

type option func(b *Interceptor)

func (f option) apply(b *Interceptor) { f(b) }

// WithClock uses now as the clock. The default is the system's monotonic clock. now must
// be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(b *Interceptor) {
		if b.isNil(now == nil, "the clock of WithClock is nil") {
			return
		}
		b.now = clock.Elapsed(now)
	})
}

// WithOutcome uses outcome to distinguish failures from successes, in place of [Config.FailureCodes] alone:
// a response may report a failure although the status is OK, and an error may say nothing about the
// server. err is the outcome of the call, or nil; usual is [Failure] if FailureCodes has its code,
// and otherwise [Success]. [hauberk.Call.Response] returns the response of a method without server
// streaming.
//
// outcome runs when a call ends. It does not run for calls that count for nothing anyway (see the
// package's documentation), for panics, nor for streams that count at their first response. It must
// be safe for concurrent use and must not modify the response. If it panics, the call counts for
// nothing, and the panic continues as one of the interceptor.
func WithOutcome(outcome func(call *hauberk.Call, err error, usual Outcome) Outcome) Option {
	return option(func(b *Interceptor) {
		if !b.isNil(outcome == nil, "the function of WithOutcome is nil") {
			b.outcome = outcome
		}
	})
}

// WithFallback uses fallback to answer calls that a circuit rejects. rejection is the error that they
// end with otherwise. fallback answers with [hauberk.Call.Reply] and returns nil, as an interceptor
// does that does not call next, or returns an error, such as rejection:
//
//	breaker.WithFallback(func(ctx context.Context, call *hauberk.Call, rejection error) error {
//		if prices := lastPrices.Load(); prices != nil {
//			return call.Reply(prices)
//		}
//		return rejection
//	})
//
// A call that fallback answers has a decision that allows it, with [ReasonFallback]. fallback runs
// without locks, for many calls at a time. It does not run in [hauberk.Shadow]. A panic of fallback
// is one of the interceptor; it leaves the circuit as it is.
func WithFallback(fallback func(ctx context.Context, call *hauberk.Call, rejection error) error) Option {
	return option(func(b *Interceptor) {
		if !b.isNil(fallback == nil, "the function of WithFallback is nil") {
			b.fallback = fallback
		}
	})
}

// WithListener calls listener with each change of a circuit, on a separate goroutine: it may block
// and panic, and no call waits for it. The changes of one circuit are in order, and listener never
// runs concurrently with itself. At most 1024 changes wait. Further ones are dropped; the measurement
// breaker_dropped_changes_total counts them. A panic drops the change; breaker_listener_panics_total
// counts it. The goroutine ends when no change waits.
func WithListener(listener func(Change)) Option {
	return option(func(b *Interceptor) {
		if !b.isNil(listener == nil, "the function of WithListener is nil") {
			b.news.Listeners = append(b.news.Listeners, listener)
		}
	})
}

// WithLogger logs each change of a circuit with logger: at Warn if the circuit opens, and otherwise at
// Info. The record names the circuit, which may contain the value of [Config.Key], and the last
// failure. The default is not to log. Records are made as [WithListener] calls listeners.
func WithLogger(logger *slog.Logger) Option {
	return option(func(b *Interceptor) {
		if !b.isNil(logger == nil, "the logger of WithLogger is nil") {
			b.news.Listeners = append(b.news.Listeners, func(c Change) { c.log(logger) })
		}
	})
}

// WithOnChange calls f with each change of a circuit. The changes of one circuit
// are in order, those of several circuits may be concurrent. f runs on the goroutine of a
// call that begins or ends. It must not block and must not panic: use [WithListener] for a function
// that may. A nil f is ignored.
func WithOnChange(f func(Change)) Option {
	return option(func(b *Interceptor) { b.onChange = f })
}

// isNil notes an error if an argument is nil.
func (b *Interceptor) isNil(isNil bool, text string) bool {
	if isNil {
		b.err = errors.Join(b.err, errors.New(text))
	}
	return isNil
}
