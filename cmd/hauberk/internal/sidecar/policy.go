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

// policy is what the sidecar does to calls.
type policy struct {
	chain *hauberk.Chain
	calls *metrics.Interceptor
}

// newPolicy makes the chain, which logs to out and exports to providers.
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
		// Outermost: all that is told of a call names its id.
		[]hauberk.Interceptor{requestid.New(requestid.Config{NoEcho: !o.forwardID, SetMetadata: o.forwardID})},
		exported(providers), // what follows can name the trace
		[]hauberk.Interceptor{
			counts, // outside of all that can end a call
			logging.New(logging.Config{}, logs...),
			// A panic comes to the others as the error that the client gets.
			recovery.New(recovery.Config{}, guard...),
		},
		traced, // innermost: what it leaves is forwarded
	)...)
	return &policy{chain: chain, calls: counts}, err
}

// exported returns the interceptors for what is exported.
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

// summary says in a few words what became of the calls.
func (p *policy) summary() string {
	var calls, failed uint64
	for _, m := range p.calls.Snapshot().Server.Methods {
		calls += m.Calls
		failed += m.Errors
	}
	return fmt.Sprintf("%d calls, %d of them ended with an error", calls, failed)
}
