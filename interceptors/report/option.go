package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// Option sets a dependency of an [Interceptor].
type Option interface{ apply(x *Interceptor) }

type option func(x *Interceptor)

func (f option) apply(x *Interceptor) { f(x) }

func (x *Interceptor) failf(format string, args ...any) {
	x.err = errors.Join(x.err, fmt.Errorf(format, args...))
}

// State adds a text of the call's state to Incident.Attrs, under name, such as the request id. The
// interceptor that sets the state may be at any place in the chain.
func State(name string, key hauberk.Key[string]) Option {
	return option(func(x *Interceptor) {
		if err := x.states.Add(name, key, key, nil); err != nil {
			x.failf("%w", err)
		}
	})
}

// AttrsFunc appends to the attributes of an incident. It must be safe for concurrent use.
type AttrsFunc = func(ctx context.Context, call *hauberk.Call, list []slog.Attr) []slog.Attr

// WithAttrs adds to Incident.Attrs what attrs appends, such as the ids of a span: tracing.LogAttrs. ctx is
// the context that the interceptor was called with. A panic of attrs is contained.
func WithAttrs(attrs AttrsFunc) Option {
	return option(func(x *Interceptor) {
		if attrs == nil {
			x.failf("WithAttrs was given a nil function")
			return
		}
		x.attrs = append(x.attrs, attrs)
	})
}

// WithIgnore leaves out the incidents for which ignore returns true, such as those with an error that
// errors.Is finds. It must be safe for concurrent use. A panic of ignore is contained, and the incident is
// reported.
func WithIgnore(ignore func(Incident) bool) Option {
	return option(func(x *Interceptor) {
		if x.ignoreFunc = ignore; ignore == nil {
			x.failf("WithIgnore was given a nil function")
		}
	})
}

// WithClock uses now as the clock, in place of time.Now. now must be safe for concurrent use.
func WithClock(now func() time.Time) Option {
	return option(func(x *Interceptor) {
		if x.now = now; now == nil {
			x.failf("WithClock was given a nil function")
		}
	})
}
