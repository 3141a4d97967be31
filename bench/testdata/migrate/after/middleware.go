// Package after has the programs of the migration guides as they are after.
package after

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// ServerChain is that of a server that counts, logs, authenticates and recovers.
func ServerChain(logger *slog.Logger, registry prometheus.Registerer, check authn.Validator) (*hauberk.Chain, error) {
	calls := metrics.New(metrics.Config{})
	registry.MustRegister(metricsprom.NewServerCollector(calls))
	return hauberk.Config{Public: []string{hauberk.Health}}.New(
		calls,
		logging.New(logging.Config{}, logging.WithLogger(logger), logging.State("user", authn.User)),
		recovery.New(recovery.Config{}, recovery.WithLogger(logger)),
		authn.New(authn.Config{}, authn.Bearer(check)),
	)
}

// DialOptions are those of a client that counts, logs, bounds and retries.
func DialOptions(logger *slog.Logger, registry prometheus.Registerer) ([]grpc.DialOption, error) {
	calls := metrics.New(metrics.Config{})
	registry.MustRegister(metricsprom.NewClientCollector(calls))
	chain, err := hauberk.New(
		calls,
		logging.New(logging.Config{}, logging.WithLogger(logger)),
		transform.New(transform.Config{MaxTimeout: 10 * time.Second}),
		retry.New(retry.Config{
			AllMethods:  true,
			MaxAttempts: 3, InitialBackoff: 100 * time.Millisecond, MaxBackoff: 5 * time.Second,
		}),
	)
	if err != nil {
		return nil, err
	}
	return chain.DialOptions(), nil
}
