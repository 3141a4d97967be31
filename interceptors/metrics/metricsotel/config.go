package metricsotel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// DefaultMaxSeries is the default of [Config.MaxSeries].
const DefaultMaxSeries = 1024

// Config configures an [Interceptor]. The zero value records the instruments of gRFC A66 and not
// those of gRFC A96, which are off by default.
type Config struct {
	// Enable contains the names of instruments that are off by default and recorded
	// nevertheless: ClientCallRetries, ClientCallHedges, ClientCallRetryDelay.
	Enable []string
	// Disable contains the names of instruments that are not recorded.
	Disable []string
	// MaxSeries is the maximum number of pairs of grpc.method and grpc.target on a client,
	// and of methods on a server. Further ones are recorded as Other. Each has a data point
	// for each status that occurs, up to 17. The SDK has a separate limit for the data
	// points of an instrument, by default 2000. The default is DefaultMaxSeries.
	MaxSeries int
}

// enabled returns for each instrument whether it is recorded, and the errors in the lists.
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
			errs = append(errs, fmt.Errorf("%s is in Enable and in Disable; want it in one of the two", name))
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
	return fmt.Errorf("%s contains %q, which is not an instrument of this package; want names of %s",
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
