package metrics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/clock"
)

// Option changes what a [Interceptor] depends on.
type Option interface{ apply(m *Interceptor) }

type option func(m *Interceptor)

func (f option) apply(m *Interceptor) { f(m) }

// WithClock has the time told by now in place of time.Now. It must be safe for
// concurrent use. Times without a monotonic reading work; a call that seems to
// take less than no time counts as 0.
func WithClock(now func() time.Time) Option {
	return option(func(m *Interceptor) {
		if now == nil {
			m.fail(errors.New("WithClock was given a nil function"))
			return
		}
		m.now, m.elapsed = now, clock.Elapsed(now)
	})
}

// WithLabel adds a label to the series of methods, calls and messages, with the
// value that is told of each call when it starts: of a chain's state, what interceptors
// further out have written. Give one for each label. Values may come from anyone,
// so they are bounded: see [Config.MaxLabelSets]; one longer than 128 bytes or not
// in UTF-8 is [Other].
//
// A label is named as Prometheus has it, in letters, digits and "_"; names that
// start with "__" or "grpc_", and "le", are taken. With labels, methods that were
// registered have no series before their first call, since the values are not
// known. Snapshots, rejections and decisions are not told apart by labels. A call
// for which value panics ends there and does not count.
func WithLabel(name string, value func(ctx context.Context, call *hauberk.Call) string) Option {
	return option(func(m *Interceptor) {
		switch {
		case value == nil:
			m.fail(fmt.Errorf("WithLabel(%q) was given a nil function", name))
		case !isLabelName(name) || isTaken(name):
			m.fail(fmt.Errorf("WithLabel was given the name %q; want letters, digits and \"_\", "+
				"without a digit, \"__\" or \"grpc_\" in front, and not \"le\"", name))
		case slices.Contains(m.labelNames, name):
			m.fail(fmt.Errorf("WithLabel was given the name %q twice; want each label once", name))
		default:
			m.labelNames = append(m.labelNames, name)
			m.labelValues = append(m.labelValues, value)
		}
	})
}

// WithExemplars keeps the latest call of each code, and of each bucket of the
// latency histogram, as an example to look up: by the trace id, mostly.
//
//	metrics.WithExemplars(func(ctx context.Context, _ *hauberk.Call) map[string]string {
//		span := trace.SpanContextFromContext(ctx)
//		if !span.IsSampled() {
//			return nil // no example
//		}
//		return map[string]string{"trace_id": span.TraceID().String()}
//	})
//
// The labels are asked for when the call has ended, with the context that the
// interceptor was given. Labels that OpenMetrics would not take are left out with
// the example: names of anything but letters, digits and "_" or with "__" in front,
// values not in UTF-8, or more than 128 characters of both together.
func WithExemplars(labels func(ctx context.Context, call *hauberk.Call) map[string]string) Option {
	return option(func(m *Interceptor) {
		if labels == nil {
			m.fail(errors.New("WithExemplars was given a nil function"))
			return
		}
		m.exemplar = labels
	})
}

// fail notes what is wrong with the configuration.
func (m *Interceptor) fail(err error) { m.err = errors.Join(m.err, err) }
