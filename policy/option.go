package policy

import (
	"context"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
	"github.com/hauberk-rpc/hauberk/policy/internal/catalog"
)

// Option sets a dependency of a policy. nil values are the defaults.
type Option interface{ apply(s *settings) }

type option func(s *settings)

func (f option) apply(s *settings) { f(s) }

// settings are the dependencies of a policy.
type settings struct {
	deps           catalog.Deps
	env            func(name string) (string, bool)
	dir            string
	previous       *Policy
	clientServices []protoreflect.ServiceDescriptor
	descriptors    *hauberk.DescriptorPolicy
	listener       func(State)
	around         func(e *Entry) Around
	outermost      hauberk.Interceptor
	check          func(*Policy) error
}

func newSettings(opts []Option) *settings {
	s := &settings{env: os.LookupEnv}
	for _, o := range opts {
		if o != nil {
			o.apply(s)
		}
	}
	s.deps.AuditFiles, s.deps.KeyMemories = new(catalog.AuditFiles), new(catalog.KeyMemories)
	if s.previous != nil {
		s.deps.AuditFiles, s.deps.KeyMemories = s.previous.auditFiles, s.previous.keyMemories
	}
	if s.deps.Logger == nil {
		s.deps.Logger = slog.Default()
	}
	return s
}

// WithLogger uses a logger for logging, recovery, audit with log: true, and what other interceptors log. The default
// is slog.Default().
func WithLogger(logger *slog.Logger) Option {
	return option(func(s *settings) { s.deps.Logger = logger })
}

// WithClock uses now as the clock of the interceptors that have one. The default is that of package time. now must be
// safe for concurrent use.
func WithClock(now func() time.Time) Option { return option(func(s *settings) { s.deps.Clock = now }) }

// WithServices checks the patterns of methods of the chain for the server against these services, and those in public.
// Patterns of the package grpc, such as health, are left out. validate finds the types of messages there, too. By
// default patterns are checked when a server starts ([hauberk.Server.Serve]).
func WithServices(services ...protoreflect.ServiceDescriptor) Option {
	return option(func(s *settings) { s.deps.Services = services })
}

// WithClientServices checks the patterns of methods of the chain for the client. By default they are not checked.
func WithClientServices(services ...protoreflect.ServiceDescriptor) Option {
	return option(func(s *settings) { s.clientServices = services })
}

// Types finds the types of messages, for what logging and audit write of them. *protoregistry.Types and
// *dynamicpb.Types are ones.
type Types = catalog.Types

// WithTypes uses types to find the types of messages. The default is protoregistry.GlobalTypes.
func WithTypes(types Types) Option { return option(func(s *settings) { s.deps.Types = types }) }

// WithDescriptorPolicy uses the policy of the .proto files as [hauberk.Config.Policy] of the server. The default is
// none.
func WithDescriptorPolicy(policy *hauberk.DescriptorPolicy) Option {
	return option(func(s *settings) { s.descriptors = policy })
}

// WithTracerProvider uses a provider for tracing. The default is the global one of OpenTelemetry.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return option(func(s *settings) { s.deps.Tracer = provider })
}

// WithPropagator uses a propagator for tracing. The default is the W3C's trace context and baggage.
func WithPropagator(propagator propagation.TextMapPropagator) Option {
	return option(func(s *settings) { s.deps.Propagator = propagator })
}

// WithMeterProvider uses a provider for metrics_otel. The default is the global one of OpenTelemetry.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return option(func(s *settings) { s.deps.Meter = provider })
}

// WithReporter uses a function as the incident reporter of report. The default writes incidents to the log. It must
// be safe for concurrent use.
func WithReporter(reporter func(ctx context.Context, i report.Incident)) Option {
	return option(func(s *settings) { s.deps.Report = reporter })
}

// WithHealth uses a health service for serving. The default is none.
func WithHealth(server serving.HealthServer) Option {
	return option(func(s *settings) { s.deps.Health = server })
}

// WithEnv uses a function in place of os.LookupEnv for ${env:NAME}.
func WithEnv(lookup func(name string) (string, bool)) Option {
	return option(func(s *settings) {
		if lookup != nil {
			s.env = lookup
		}
	})
}

// WithDir uses a folder as the one that names of files are relative to. The default is the folder of the file's
// name.
func WithDir(dir string) Option { return option(func(s *settings) { s.dir = dir }) }

// WithPrevious keeps the instances of the entries of a policy that have not changed, with their quotas, circuits and
// caches. An entry with an id is compared with the one of that id on the same side, one without with those without
// that have equal settings. methods, except and mode can change, unless they are settings of the interceptor. A
// changed secret or request id is a change, too; an instance that is kept keeps its logger and other
// dependencies.
//
// Both policies share the instances: each is closed when the last policy with it is. previous must not be
// closed before the new policy is made.
func WithPrevious(previous *Policy) Option {
	return option(func(s *settings) { s.previous = previous })
}

// WithListener calls listener with the state of a [File] after each load, good or bad, also with the first one, and
// when a bad file was reverted to the one in force. Calls follow each other, on the goroutine of the File or of Reload.
// listener must not call Reload and Close, and must not panic. The default is none.
func WithListener(listener func(State)) Option {
	return option(func(s *settings) { s.listener = listener })
}

// WithOutermost puts an interceptor outside of the entries of server, and of those of client if there are some, for
// example to record rejections. It must be safe for both sides. It has no entry: explanations do not show it. The
// default is none.
func WithOutermost(x hauberk.Interceptor) Option {
	return option(func(s *settings) { s.outermost = x })
}

// WithCheck rejects policies that do not fit the program: those for which check returns an error. A [File] keeps the
// policy before. The lines of the error begin with a place, as all errors of policies. check must not keep the policy.
// The default accepts all.
func WithCheck(check func(p *Policy) error) Option {
	return option(func(s *settings) { s.check = check })
}

// CheckOnly opens no audit files and no connections, for commands that only check a file. Keys, certificates and other
// files that settings name are read. The chains of the policy must not be attached.
func CheckOnly() Option { return option(func(s *settings) { s.deps.CheckOnly = true }) }
