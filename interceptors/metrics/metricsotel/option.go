package metricsotel

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// settings contains the values of the options.
type settings struct {
	provider       metric.MeterProvider
	now            func() time.Time
	method         func(fullMethod string) bool
	genericMethods func(fullMethod string) bool
	target         func(target string) bool
	errs           []error
}

// Option configures an [Interceptor].
type Option interface{ apply(s *settings) }

type option func(s *settings)

func (f option) apply(s *settings) { f(s) }

// WithMeterProvider uses p to make the instruments. The default, also for nil, is
// otel.GetMeterProvider() when [New] is called.
func WithMeterProvider(p metric.MeterProvider) Option {
	return option(func(s *settings) { s.provider = p })
}

// WithMethodFilter records the names of methods for which record returns true. The others are
// [Other]. record receives "/package.Service/Method". It is called a few times for each method
// whose name would be recorded without the filter. It must be safe for concurrent use and must
// always return the same for a method. It corresponds to grpc-go's MethodAttributeFilter, but
// applies to clients too.
func WithMethodFilter(record func(fullMethod string) bool) Option {
	return option(func(s *settings) { s.method = s.function("WithMethodFilter", record) })
}

// WithGenericMethods records the names of generic methods for which record returns true. Generic
// methods are those that the server has not registered or that the client does not call by
// generated code, such as those of a proxy. record receives "/package.Service/Method". The name
// comes from the caller: return true for known names only. record is called for each such call
// and must be safe for concurrent use.
func WithGenericMethods(record func(fullMethod string) bool) Option {
	return option(func(s *settings) { s.genericMethods = s.function("WithGenericMethods", record) })
}

// WithTargetFilter records the targets for which record returns true. The others are [Other].
// record receives a canonical target, such as "dns:///shop:50051". It must be safe for concurrent
// use and must always return the same for a target.
func WithTargetFilter(record func(target string) bool) Option {
	return option(func(s *settings) { s.target = s.function("WithTargetFilter", record) })
}

func (s *settings) function(name string, f func(string) bool) func(string) bool {
	if f == nil {
		s.errs = append(s.errs, fmt.Errorf("%s: the function is nil", name))
	}
	return f
}

// WithClock uses now as the clock. The default is time.Now. now must be safe for concurrent use. A
// negative duration is recorded as 0.
func WithClock(now func() time.Time) Option {
	return option(func(s *settings) {
		if now == nil {
			s.errs = append(s.errs, errors.New("WithClock: the function is nil"))
			return
		}
		s.now = now
	})
}
