package sidecar

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/admin"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

// policy is the chains of the sidecar: a built-in one, or those of a policy file.
type policy struct {
	chain *hauberk.Chain       // nil with a file
	calls *metrics.Interceptor // of chain
	file  *policyfile.File     // nil without a file

	forward func(ctx context.Context, md metadata.MD) // metadata for the upstream; nil without a file
	logger  *slog.Logger
}

// metrics returns the first metrics of the chain in force, or nil if it has none.
func (p *policy) metrics() *metrics.Interceptor {
	if p.file == nil {
		return p.calls
	}
	entries := p.file.Policy().Entries()
	for i := range entries {
		e := &entries[i]
		if calls, ok := e.Interceptor.(*metrics.Interceptor); ok && e.Side == hauberk.ServerSide {
			return calls
		}
	}
	return nil
}

// measurements returns those of the policy file.
func (p *policy) measurements() (all []hauberk.Measurement) {
	if p.file != nil {
		for _, m := range p.file.Measurements() {
			all = append(all, m)
		}
	}
	return all
}

func (p *policy) close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// newPolicy creates the chain. It logs to out and exports telemetry to the providers.
func (o *options) newPolicy(out io.Writer, providers *otelenv.Providers, rejected *admin.Calls) (*policy, error) {
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
	var outermost []hauberk.Interceptor
	if rejected != nil {
		outermost = []hauberk.Interceptor{rejected}
	}
	accesses, err := o.access.interceptors(logs...)
	if err != nil {
		return nil, err
	}
	chain, err := hauberk.New(slices.Concat(
		outermost,
		// Outermost: all records of a call have its id.
		[]hauberk.Interceptor{requestid.New(requestid.Config{NoEcho: !o.forwardID, SetMetadata: o.forwardID})},
		exported(providers), // inner interceptors can use the trace
		[]hauberk.Interceptor{
			counts, // outside the interceptors that can end a call
		},
		accesses,
		[]hauberk.Interceptor{
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
	counts := p.metrics()
	if counts == nil {
		return "the policy has no metrics"
	}
	var calls, failed uint64
	for _, m := range counts.Snapshot().Server.Methods {
		calls += m.Calls
		failed += m.Errors
	}
	return fmt.Sprintf("%d calls, %d failed", calls, failed)
}
