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

// Option configures an [Interceptor].
type Option interface{ apply(m *Interceptor) }

type option func(m *Interceptor)

func (f option) apply(m *Interceptor) { f(m) }

// WithClock uses now as the clock. The default is time.Now. now must be safe for concurrent use.
// Times need no monotonic clock reading. A negative latency counts as 0.
func WithClock(now func() time.Time) Option {
	return option(func(m *Interceptor) {
		if now == nil {
			m.fail(errors.New("WithClock: the function is nil"))
			return
		}
		m.now, m.elapsed = now, clock.Elapsed(now)
	})
}

// WithLabel adds a label to the series of calls and messages. Use one WithLabel for each label.
// value returns the label's value for a call. It runs when the call starts and can read the
// state that outer interceptors have set. [Config.MaxLabelSets] bounds the number of values. A
// value that is longer than 128 bytes or not UTF-8 is [Other]. If value panics, the call is not
// counted.
//
// name consists of letters, digits and "_" and does not start with a digit, as in Prometheus.
// Names that start with "__" or "grpc_", and "le", are reserved.
//
// Snapshots, rejections and decisions do not have the label. With labels, registered methods
// have no series before their first call, since the values are not known.
func WithLabel(name string, value func(ctx context.Context, call *hauberk.Call) string) Option {
	return option(func(m *Interceptor) {
		switch {
		case value == nil:
			m.fail(fmt.Errorf("WithLabel(%q): the function is nil", name))
		case !isLabelName(name) || isReserved(name):
			m.fail(fmt.Errorf("WithLabel: the name is %q; want letters, digits and \"_\", "+
				"no digit, \"__\" or \"grpc_\" at the start, and not \"le\"", name))
		case slices.Contains(m.labelNames, name):
			m.fail(fmt.Errorf("WithLabel: the name %q is used twice; want each label once", name))
		default:
			m.labelNames = append(m.labelNames, name)
			m.labelValues = append(m.labelValues, value)
		}
	})
}

// WithExemplars keeps an exemplar of the latest call with each code and in each bucket of the
// latency histogram. labels returns the labels of the exemplar, such as the trace ID:
//
//	metrics.WithExemplars(func(ctx context.Context, _ *hauberk.Call) map[string]string {
//		span := trace.SpanContextFromContext(ctx)
//		if !span.IsSampled() {
//			return nil // no exemplar
//		}
//		return map[string]string{"trace_id": span.TraceID().String()}
//	})
//
// labels runs when the call has ended, with the context of the interceptor. OpenMetrics bounds
// exemplars. The call has no exemplar if a name contains other characters than letters, digits
// and "_" or starts with "__", if a value is not UTF-8, or if all names and values together
// have more than 128 characters.
func WithExemplars(labels func(ctx context.Context, call *hauberk.Call) map[string]string) Option {
	return option(func(m *Interceptor) {
		if labels == nil {
			m.fail(errors.New("WithExemplars: the function is nil"))
			return
		}
		m.exemplar = labels
	})
}

// fail adds an error to the configuration's errors.
func (m *Interceptor) fail(err error) { m.err = errors.Join(m.err, err) }
