package metricsotel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// DefaultMaxSeries is the default of [Config.MaxSeries].
const DefaultMaxSeries = 1024

// Config says what is recorded. The zero value records the instruments of gRFC A66
// and none of gRFC A96, which that gRFC has off by default.
type Config struct {
	// Enable names instruments that are recorded although they are off by default:
	// ClientCallRetries, ClientCallHedges and ClientCallRetryDelay.
	Enable []string
	// Disable names instruments that are not recorded.
	Disable []string
	// MaxSeries is how many pairs of grpc.method and grpc.target (on a server, how
	// many methods) are told apart on each side before further ones are recorded as
	// Other. Each has a data point for each status that occurs, up to 17. The SDK
	// has a limit of its own for the data points of an instrument, by default 2000.
	// The default is DefaultMaxSeries.
	MaxSeries int
}

// enabled returns the names of the instruments that are recorded, and what is
// wrong with the lists.
func (c Config) enabled() (map[string]bool, error) {
	var errs []error
	on := make(map[string]bool, len(definitions))
	for _, d := range &definitions {
		on[d.name] = !d.optional
	}
	for _, name := range c.Enable {
		errs = append(errs, known("Enable", name))
		on[name] = true
	}
	for _, name := range c.Disable {
		errs = append(errs, known("Disable", name))
		if slices.Contains(c.Enable, name) {
			errs = append(errs, fmt.Errorf("%s is in Enable and in Disable; want it in one of them", name))
		}
		on[name] = false
	}
	return on, errors.Join(errs...)
}

func known(list, name string) error {
	names := make([]string, 0, len(definitions))
	for _, d := range &definitions {
		names = append(names, d.name)
	}
	if slices.Contains(names, name) {
		return nil
	}
	return fmt.Errorf("%s has %q, which is no instrument of this package; want some of %s",
		list, name, strings.Join(names, ", "))
}

func (c Config) maxSeries() (int, error) {
	if c.MaxSeries < 0 {
		return DefaultMaxSeries, fmt.Errorf("MaxSeries is %d; want a number above 0, or 0 for %d",
			c.MaxSeries, DefaultMaxSeries)
	}
	if c.MaxSeries == 0 {
		return DefaultMaxSeries, nil
	}
	return c.MaxSeries, nil
}

// settings are what a Metrics depends on.
type settings struct {
	provider       metric.MeterProvider
	now            func() time.Time
	method         func(fullMethod string) bool
	genericMethods func(fullMethod string) bool
	target         func(target string) bool
	errs           []error
}

// Option changes what a [Interceptor] depends on.
type Option interface{ apply(s *settings) }

type option func(s *settings)

func (f option) apply(s *settings) { f(s) }

// WithMeterProvider has the instruments made by p. The default, and nil, is
// otel.GetMeterProvider() at the time of [New].
func WithMeterProvider(p metric.MeterProvider) Option {
	return option(func(s *settings) { s.provider = p })
}

// WithMethodFilter has the names of those methods alone recorded for which record,
// given "/package.Service/Method", says true; the others are Other. It is asked of
// methods that would be recorded without it, a few times for each, and must be safe
// for concurrent use and always say the same. It is grpc-go's
// MethodAttributeFilter, but holds for clients too.
func WithMethodFilter(record func(fullMethod string) bool) Option {
	return option(func(s *settings) { s.method = s.function("WithMethodFilter", record) })
}

// WithGenericMethods has the names of methods recorded for which record, given
// "/package.Service/Method", says true, although the server has not registered
// them or the client does not call them by generated code: those of a proxy, say.
// The name comes from whoever calls: answer for names that you know. It is asked
// for each such call, and must be safe for concurrent use.
func WithGenericMethods(record func(fullMethod string) bool) Option {
	return option(func(s *settings) { s.genericMethods = s.function("WithGenericMethods", record) })
}

// WithTargetFilter has those targets alone recorded for which record, given a
// canonical target such as "dns:///shop:50051", says true; the others are Other.
// It must be safe for concurrent use and always say the same.
func WithTargetFilter(record func(target string) bool) Option {
	return option(func(s *settings) { s.target = s.function("WithTargetFilter", record) })
}

func (s *settings) function(name string, f func(string) bool) func(string) bool {
	if f == nil {
		s.errs = append(s.errs, fmt.Errorf("%s was given a nil function", name))
	}
	return f
}

// WithClock has the time told by now in place of time.Now. It must be safe for
// concurrent use. A duration that seems to be less than 0 is recorded as 0.
func WithClock(now func() time.Time) Option {
	return option(func(s *settings) {
		if now == nil {
			s.errs = append(s.errs, errors.New("WithClock was given a nil function"))
			return
		}
		s.now = now
	})
}
