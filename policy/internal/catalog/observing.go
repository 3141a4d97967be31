package catalog

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/decisiontrace"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsotel"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// stateOfID is the name of the request id in logs and records.
const stateOfID = "request_id"

// observing adds the interceptors that observe calls.
func (c *Catalog) observing() {
	plain(c, "request_id", hauberk.BothSides, "Accepts or makes the id of a call.",
		func(_ *Build, config requestid.Config) hauberk.Interceptor { return requestid.New(config) })
	plain(c, "metrics", hauberk.BothSides, "Counts calls, for Prometheus.",
		func(b *Build, config metrics.Config) hauberk.Interceptor {
			return metrics.New(config, options[metrics.Option](nil).
				when(b.Clock != nil, func() metrics.Option { return metrics.WithClock(b.Clock) }).
				when(b.Traced, func() metrics.Option { return metrics.WithExemplars(tracing.Exemplar) })...)
		})
	plain(c, "metrics_otel", hauberk.BothSides, "Records the metrics of gRFC A66 with OpenTelemetry.",
		func(b *Build, config metricsotel.Config) hauberk.Interceptor {
			return metricsotel.New(config, options[metricsotel.Option](nil).
				when(b.Meter != nil, func() metricsotel.Option { return metricsotel.WithMeterProvider(b.Meter) }).
				when(b.Clock != nil, func() metricsotel.Option { return metricsotel.WithClock(b.Clock) })...)
		})
	plain(c, "tracing", hauberk.BothSides, "Makes a span of OpenTelemetry for each call.",
		func(b *Build, config tracing.Config) hauberk.Interceptor {
			return tracing.New(config, options[tracing.Option](nil).
				when(b.Tracer != nil, func() tracing.Option { return tracing.WithTracerProvider(b.Tracer) }).
				when(b.Propagator != nil, func() tracing.Option { return tracing.WithPropagator(b.Propagator) }).
				when(b.Clock != nil, func() tracing.Option { return tracing.WithClock(b.Clock) })...)
		})
	plain(c, "logging", hauberk.BothSides, "Writes a record of each call to the log.",
		func(b *Build, config logging.Config) hauberk.Interceptor {
			return logging.New(config, options[logging.Option]{logging.WithLogger(b.Logger)}.
				when(b.RequestID, func() logging.Option { return logging.State(stateOfID, requestid.Key) }).
				when(b.Traced, func() logging.Option { return logging.WithAttrs(tracing.LogAttrs) }).
				when(b.Types != nil, func() logging.Option { return logging.WithTypes(b.Types) }).
				when(b.Clock != nil, func() logging.Option { return logging.WithClock(b.Clock) })...)
		})
	plain(c, "recovery", hauberk.BothSides, "Turns panics into the status INTERNAL.",
		func(b *Build, config recovery.Config) hauberk.Interceptor {
			return recovery.New(config, options[recovery.Option]{recovery.WithLogger(b.Logger)}.
				when(b.RequestID, func() recovery.Option { return recovery.State(stateOfID, requestid.Key) }).
				when(b.Traced, func() recovery.Option { return recovery.WithAttrs(tracing.LogAttrs) })...)
		})
	plain(c, "report", hauberk.BothSides, "Reports panics and failures to an incident reporter, by default to the log.",
		func(b *Build, config report.Config) hauberk.Interceptor {
			to := b.Report
			if to == nil {
				to = b.logIncident
			}
			return report.New(config, to, options[report.Option](nil).
				when(b.RequestID, func() report.Option { return report.State(stateOfID, requestid.Key) }).
				when(b.Clock != nil, func() report.Option { return report.WithClock(b.Clock) })...)
		})
	plain(c, "decision_trace", hauberk.OnlyServers, "Returns the decisions on a call to chosen identities.",
		func(_ *Build, config decisiontrace.Config) hauberk.Interceptor {
			return decisiontrace.New(config, decisiontrace.By(authn.User))
		})
	add(c, "audit", hauberk.BothSides, "Writes a record of each call to a file, before its response.", buildAudit)
}

// logIncident reports an incident to the log.
func (b *Build) logIncident(ctx context.Context, i report.Incident) {
	b.Logger.LogAttrs(ctx, slog.LevelError, "incident", slog.String("method", i.Method),
		slog.String("code", i.Code.String()), slog.Bool("panic", i.Panic), slog.Any("error", i.Err))
}

// auditForm is audit with its sink.
type auditForm struct {
	audit.Config

	// File is the file of the records. It or Log is required.
	File *audit.FileConfig
	// Log writes the records to the log, at the level info.
	Log bool
}

func buildAudit(b *Build, form *auditForm) (hauberk.Interceptor, error) {
	if (form.File == nil) == !form.Log {
		return nil, errors.New("audit needs one sink; want file: {path: …} or log: true")
	}
	if form.File != nil {
		b.Writes = append(b.Writes, form.File.Path)
	}
	var sink audit.Sink = audit.SinkFunc(func(context.Context, audit.Record) error { return nil })
	switch {
	case form.Log:
		sink = audit.Slog(b.Logger, slog.LevelInfo)
	case !b.CheckOnly:
		file, release, err := b.AuditFiles.Open(*form.File)
		if err != nil {
			return nil, err
		}
		b.OnClose(release)
		sink = file
	default:
		if err := checkFolder(form.File.Path); err != nil {
			return nil, err
		}
	}
	return audit.New(form.Config, sink, options[audit.Option](nil).
		when(b.RequestID, func() audit.Option { return audit.State(stateOfID, requestid.Key) }).
		when(b.Types != nil, func() audit.Option { return audit.WithTypes(b.Types) }).
		when(b.Clock != nil, func() audit.Option { return audit.WithClock(b.Clock) })...), nil
}
