package sidecar

import (
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// policy is the sidecar's chain, and the metrics in it.
type policy struct {
	chain *hauberk.Chain
	calls *metrics.Interceptor

	logger *slog.Logger
}

// newPolicy creates the chain. It logs to out and exports telemetry to the providers.
func (o *options) newPolicy(out io.Writer, providers *otelenv.Providers) (*policy, error) {
	logger := slog.New(slog.NewJSONHandler(out, nil))
	counts := metrics.New(metrics.Config{})
	var traced []hauberk.Interceptor
	logs := []logging.Option{logging.WithLogger(logger), logging.State("request_id", requestid.Key)}
	guard := []recovery.Option{recovery.WithLogger(logger), recovery.State("request_id", requestid.Key)}
	if providers.Tracer != nil {
		counts = metrics.New(metrics.Config{}, metrics.WithExemplars(tracing.Exemplar))
		logs = append(logs, logging.WithAttrs(tracing.LogAttrs))
		guard = append(guard, recovery.WithAttrs(tracing.LogAttrs))
		traced = []hauberk.Interceptor{forwardTrace{providers.Propagator}}
	}
	chain, err := hauberk.New(slices.Concat(
		// Outermost: all records of a call have its id.
		[]hauberk.Interceptor{requestid.New(requestid.Config{NoEcho: !o.forwardID, SetMetadata: o.forwardID})},
		exported(providers), // inner interceptors can use the trace
		[]hauberk.Interceptor{
			counts, // outside the interceptors that can end a call
			logging.New(logging.Config{}, logs...),
			// The outer interceptors see a panic as the error that the client receives.
			recovery.New(recovery.Config{}, guard...),
		},
		traced, // innermost: its metadata is forwarded
	)...)
	return &policy{chain: chain, calls: counts, logger: logger}, err
}

// exported returns the interceptors that export traces and metrics.
func exported(providers *otelenv.Providers) (interceptors []hauberk.Interceptor) {
	if providers.Tracer != nil {
		interceptors = append(interceptors, tracing.New(tracing.Config{},
			tracing.WithTracerProvider(providers.Tracer), tracing.WithPropagator(providers.Propagator)))
	}
	if providers.Meter != nil {
		interceptors = append(interceptors,
			metricsotel.New(metricsotel.Config{}, metricsotel.WithMeterProvider(providers.Meter)))
	}
	return interceptors
}

// summary returns the number of calls and of those that failed.
func (p *policy) summary() string {
	var calls, failed uint64
	for _, m := range p.calls.Snapshot().Server.Methods {
		calls += m.Calls
		failed += m.Errors
	}
	return fmt.Sprintf("%d calls, %d failed", calls, failed)
}
