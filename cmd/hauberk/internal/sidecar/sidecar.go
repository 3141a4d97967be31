// Package sidecar implements the command `hauberk run`: a gateway in front of one service,
// as a separate process.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/address"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/admin"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	policyfile "github.com/hauberk-rpc/hauberk/policy"
)

const long = `Forwards the calls of all methods to the upstream, without knowing their types, through
a chain of request id, tracing, metrics, logging and recovery.

For each call, the log on stdout has a line of JSON. Lines are dropped, and counted, if
no one reads them. --access-log-off logs no calls, --access-log-first and
--access-log-one-in a sample, and --access-log-levels sets levels by code. With a policy
file, the entry logging has sampling, levels and rules for that. The request_id is that of
the incoming call, or else a new one. With --forward-request-id the sidecar also sends it
to the upstream and to the client. The address that the sidecar listens on is on stderr,
in a line such as

  hauberk: listening on 127.0.0.1:8443, upstream 127.0.0.1:50051

SIGTERM and SIGINT stop the sidecar: it sends GOAWAY to clients, waits for running calls
within the drain time, and ends with exit code 0. A second signal ends it at once.

POLICY FILE

With --config FILE the chains are those of a policy file: server is the chain for the
calls of clients, and client the one for the calls to the upstream. The section gateway
has a key for each flag, such as drain for --drain, and tls.cert_file for --tls-cert. A
flag takes precedence over its key, and a line on stderr reports it.

A change of the file is in force within a second, and SIGHUP reads the file at once. Calls
that have begun keep their chains, and entries that have not changed keep their quotas and
circuits. If something is wrong with the file, the old chains remain in force. Changes of
gateway need a restart.

Entries that read the contents of messages, such as validate, payloads of logging, and
rules and keys of a field of the request, need --descriptors or --reflection, and are else
an error. Messages are decoded only for methods with such an entry. They are forwarded as
they arrived, unless an entry changes them. Calls of methods without a descriptor are then
rejected with UNIMPLEMENTED, and with UNAVAILABLE until the upstream has answered
reflection. Use except for methods whose messages need not be decoded.

With --reflection the sidecar asks the upstream for its services when it starts, each
minute, and when a call needs a descriptor that is missing. With both, the file is used
until the upstream has answered.

IDENTITY

Metadata in which proxies write the identity or the address of a caller is removed from
the calls of clients, with names that look like it (x_user and x-user-bin for x-user):

  x-forwarded-user, x-forwarded-email, x-forwarded-groups, remote-user,
  x-forwarded-preferred-username, x-auth-request-user, x-auth-request-email,
  x-auth-request-groups, x-auth-request-preferred-username, x-remote-user,
  x-remote-group, x-user, x-user-id, x-tenant, x-tenant-id, x-authenticated-user,
  x-forwarded-client-cert, x-client-cert, x-jwt-payload,
  x-goog-authenticated-user-email, x-goog-authenticated-user-id, forwarded, x-real-ip,
  true-client-ip, cf-connecting-ip, x-client-ip

Neither the chain nor the upstream sees it, also if a trusted proxy has sent it.
--strip-metadata replaces this list: name what your proxies do not overwrite. The address
of the client is in x-forwarded-for: what clients send there is removed, except for
entries of the policy file's trusted_proxies. --forward-address=false leaves that header
as it was sent. With --identity-metadata, which needs --config, the upstream receives the
identity that the chain has verified: the parts subject, issuer, tenant, method, roles,
scopes, and claims.NAME.

METRICS

With --telemetry ADDR the sidecar serves http://ADDR/metrics to Prometheus, in the text
format and in OpenMetrics: metrics of calls with the names of go-grpc-middleware's
Prometheus provider, rejections, and metrics of the Go runtime and the process. All calls
have grpc_type="bidi_stream", except those whose messages are decoded. Methods are counted
as "unknown" that --descriptors and --reflection do not have, and that the upstream has
not answered yet with a message or a status that only services make. The URL is on stderr:

  hauberk: metrics at http://127.0.0.1:9464/metrics

The metrics are served until the sidecar ends. /healthz answers 200 as long. /readyz
answers 200 while calls are accepted and the upstream is connected, else 503. It sends no
call, but makes a connection if there is none. A connection that was lost counts until an
attempt to make another one has failed. Calls of grpc.health.v1.Health/Check with the
service "hauberk" have the same answer, if the chain admits them. Others are forwarded.

ADMIN

With --admin ADDR the sidecar serves, for operators:

  GET  /config        the policy in force: its hash, since when, the entries with their
                      settings, and what is wrong with the file if a later one was not
                      loaded; values of references and passwords are not shown
  GET  /calls         the last 256 calls that an interceptor has rejected, or would have
                      rejected in shadow, with its decisions; newest first
  POST /reload        reads the policy file at once; the answer is that of /config
  GET  /debug/pprof/  profiles of the process

With --admin-token-file each request needs the header "Authorization: Bearer TOKEN". The
file is read again when it changes. Without a token, --admin must be a loopback address,
and /reload and profiles are not served. Requests of a web site are rejected: those with
its name in Host, and those of another origin that change something. /healthz is served to
everyone.

UPSTREAM

The upstream may have several addresses: a name, or ipv4:ADDRESS:PORT,ADDRESS:PORT. Calls
use the first one that can be connected to (pick_first), or all of them in turn. A name is
resolved again after a connection was lost, at most every 30 s. TCP detects that the
upstream's machine is gone. Use --upstream-ping-after to detect an upstream that is
connected but does not react. The upstream must permit that: a server of grpc-go needs a
keepalive enforcement policy for it. With --transport grpc, --upstream-eject-after is not
available, and --upstream-health needs --upstream-balance round_robin.

With --tls-cert, clients use TLS, and with --tls-client-ca they need a certificate. The
certificates of both sides are read again when their files change. The authorities of
--tls-client-ca and --upstream-ca, and --descriptors, are read at the start.

With --listen unix:PATH the sidecar creates a socket, replaces one that a process has left
behind, and removes it at the end. Its permissions follow from the umask.

LIMITS

A call or connection that meets a limit ends with a status, or GOAWAY, that says so. The
limit is counted in hauberk_gateway_limits_total, and logged at most once a minute. Sizes
have a unit, such as 16KiB. --max-memory counts what the process has from the operating
system. Before it is reached, new calls are rejected with UNAVAILABLE. Garbage is
collected early enough that it does not count, unless GOMEMLIMIT is set.

OPENTELEMETRY

Traces are exported if OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT or
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set. Metrics, those of gRFC A66, are exported
likewise, with METRICS instead of TRACES. Without these variables nothing is exported, and
the sidecar forwards incoming trace context unchanged. With traces each call is a span. It
is a child of the caller's span and the parent of the upstream's. Its name is the method.
If the upstream has not answered that method yet, the name is "grpc", and
rpc.method_original has the method. The exporter console writes to stdout, between the
log lines.

The variables are those of OpenTelemetry's specification. An invalid value is an error at
the start, with exit code 1. An unavailable collector blocks no call: spans that do not
fit in the queue are dropped, and a line on stderr reports it, at most once per minute. At
the end, pending telemetry is exported within the drain time, but for at most 5 seconds.

  OTEL_SDK_DISABLED                   true disables all of this (default false)
  OTEL_SERVICE_NAME                   (default hauberk)
  OTEL_RESOURCE_ATTRIBUTES            name=value,... (default none)
  OTEL_PROPAGATORS                    a list of tracecontext, baggage, b3, b3multi,
                                      jaeger, xray, ottrace, none
                                      (default tracecontext,baggage)
  OTEL_TRACES_EXPORTER                otlp, console (stdout) or none (default otlp if
                                      there is an endpoint, else none)
  OTEL_TRACES_SAMPLER                 always_on, always_off, traceidratio,
                                      parentbased_always_on, parentbased_always_off,
                                      parentbased_traceidratio
                                      (default parentbased_always_on)
  OTEL_TRACES_SAMPLER_ARG             the ratio, 0 to 1 (default 1)
  OTEL_BSP_SCHEDULE_DELAY             longest delay of an export, ms (default 5000)
  OTEL_BSP_EXPORT_TIMEOUT             of one export, ms (default 30000)
  OTEL_BSP_MAX_QUEUE_SIZE             number of waiting spans (default 2048)
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE      number of spans per export (default 512)
  OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT     or OTEL_ATTRIBUTE_COUNT_LIMIT (default 128)
  OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT
                                      or OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT
                                      (default no limit)
  OTEL_SPAN_EVENT_COUNT_LIMIT         (default 128)
  OTEL_SPAN_LINK_COUNT_LIMIT          (default 128)
  OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT    (default 128)
  OTEL_LINK_ATTRIBUTE_COUNT_LIMIT     (default 128)

  OTEL_METRICS_EXPORTER               otlp, prometheus, console (stdout) or none
                                      (default otlp if there is an endpoint, else none)
  OTEL_METRIC_EXPORT_INTERVAL         ms (default 60000)
  OTEL_METRIC_EXPORT_TIMEOUT          ms (default 30000)
  OTEL_METRICS_EXEMPLAR_FILTER        always_on, always_off or trace_based
                                      (default trace_based)
  OTEL_EXPORTER_PROMETHEUS_HOST       of the exporter prometheus, which has a separate
                                      listener (default localhost)
  OTEL_EXPORTER_PROMETHEUS_PORT       different from --telemetry's (default 9464)
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
                                      cumulative, delta or lowmemory
                                      (default cumulative)
  OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION
                                      explicit_bucket_histogram or
                                      base2_exponential_bucket_histogram
                                      (default explicit_bucket_histogram)

The following also exist with TRACES_ or METRICS_ after OTLP_, for one signal:

  OTEL_EXPORTER_OTLP_ENDPOINT         a URL with http, https, or for grpc unix
                                      (default https://localhost:4318, for grpc 4317).
                                      Without TRACES_ or METRICS_, /v1/traces or
                                      /v1/metrics is appended, except for grpc
  OTEL_EXPORTER_OTLP_PROTOCOL         http/protobuf or grpc (default http/protobuf)
  OTEL_EXPORTER_OTLP_HEADERS          name=value,... (default none)
  OTEL_EXPORTER_OTLP_TIMEOUT          ms (default 10000)
  OTEL_EXPORTER_OTLP_COMPRESSION      gzip or none (default none)
  OTEL_EXPORTER_OTLP_INSECURE         true disables TLS for the default endpoint
                                      (default false)
  OTEL_EXPORTER_OTLP_CERTIFICATE      PEM file with the CA certificates for the
                                      collector (default the system's)
  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_KEY
                                      PEM files (default none)

Logs go only to stdout. OTEL_LOGS_EXPORTER has no effect.`

const examples = `  hauberk run --listen 127.0.0.1:8443 --upstream 127.0.0.1:50051
  hauberk run --listen 127.0.0.1:0 --upstream dns:///shop:50051 --drain 10s
  hauberk run --listen unix:/run/shop.sock --upstream dns:///shop:50051 --upstream-balance round_robin
  hauberk run --listen :8443 --tls-cert tls.crt --tls-key tls.key --upstream shop:50051 --upstream-tls
  hauberk run -c policy.yaml
  hauberk run --listen 127.0.0.1:8443 --upstream 127.0.0.1:50051 --telemetry 127.0.0.1:9464
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 hauberk run --listen 127.0.0.1:8443 --upstream 127.0.0.1:50051`

const (
	defaultDrain  = 30 * time.Second
	defaultHealth = "hauberk"
)

// options are the command's flags.
type options struct {
	version   string // of the program
	listen    string
	upstream  string
	telemetry string // address; "" serves no metrics
	transport string
	health    string // gateway.Config.HealthService
	drain     time.Duration
	insecure  bool
	forwardID bool
	address   bool // gateway.Config.ForwardAddress
	limits    limitFlags
	access    accessLog

	config          string            // policy file; "" is the built-in chain
	identity        map[string]string // names of metadata by part of the identity
	reflection      bool              // the upstream is asked for its services
	strip           []string          // nil is the default
	wrong           error             // with a key of the file
	from            []string          // reports of flags that take precedence over keys of the file
	descriptorsFile string            // of the upstream's services; "" is none

	connections  connections
	telemetryTLS web.TLS
	admin        admin.Flags
}

// addresses are the addresses to listen on.
type addresses struct {
	calls     net.Addr
	telemetry *net.TCPAddr // nil serves no metrics
	admin     *net.TCPAddr // nil serves no admin listener
}

// Command returns the command `hauberk run`. The version is that of the program.
func Command(version string) *cobra.Command {
	o := options{version: version}
	cmd := &cobra.Command{
		Use:     "run --listen ADDR --upstream ADDR | run -c FILE",
		Short:   "Run the sidecar: a chain in front of any gRPC service",
		Long:    long,
		Example: examples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("run has the argument %.100q; a policy file needs -c: run -c FILE", args[0])
			}
			return nil
		},
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// A closed stdout or stderr must not end the process.
		signal.Ignore(syscall.SIGPIPE)
		ctx, release := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer release()
		var reload chan os.Signal
		if o.config != "" {
			// Until the process ends: the default action would end it, and change its exit code.
			reload = make(chan os.Signal, 1)
			signal.Notify(reload, syscall.SIGHUP)
		}
		if err := o.fromFile(cmd.Flags()); err != nil {
			if file, ok := errors.AsType[*fileError](err); ok {
				return file.error
			}
			return cmd.FlagErrorFunc()(cmd, err)
		}
		at, err := o.check(ctx)
		if err != nil {
			return cmd.FlagErrorFunc()(cmd, err)
		}
		return o.run(cmd.Context(), signals{reload, ctx.Done(), release}, at, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	o.flags(cmd)
	return cmd
}

// flags adds the flags.
func (o *options) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	o.addPolicy(flags)
	flags.StringVar(&o.listen, "listen", "",
		"listen for calls on this address, host:port or unix:PATH; port 0 selects a free port")
	flags.StringVar(&o.upstream, "upstream", "",
		"forward calls to this service: host:port, dns:///host:port, ipv4:a:1,b:2 or unix:///path")
	o.connections.register(cmd)
	flags.StringVar(&o.descriptorsFile, "descriptors", "",
		"file with the descriptors of the upstream's services (default: methods are learned from answers)")
	flags.BoolVar(&o.reflection, "reflection", false,
		"ask the upstream for the descriptors of its services, by server reflection")
	flags.StringVar(&o.telemetry, "telemetry", "",
		"serve /metrics on this address, host:port (default: not served)")
	flags.StringVar(&o.health, "health-service", defaultHealth,
		`answer grpc.health.v1.Health/Check with this name of a service by the state of the sidecar ("": forward all)`)
	flags.StringVar(&o.transport, "transport", string(gateway.TransportFrames),
		"forward frames of HTTP/2 (frames), or calls of grpc-go (grpc)")
	flags.DurationVar(&o.drain, "drain", defaultDrain,
		"how long running calls may take after a signal; 0 cancels them at once")
	flags.BoolVar(&o.insecure, "insecure", false,
		"accept plain-text calls, and serve --telemetry and --admin in plain text, from other machines")
	flags.BoolVar(&o.forwardID, "forward-request-id", false,
		"send each call's request id to the upstream and to the client, as "+requestid.DefaultHeader)
	flags.BoolVar(&o.address, "forward-address", true,
		"send the address of the client to the upstream in x-forwarded-for; false forwards the header as it was sent")
	scrape.AddTLS(&o.telemetryTLS, flags)
	o.admin.Add(flags)
	o.limits.add(flags)
	o.access.add(flags)
}

// plainConfig returns the configuration without that of connections and limits.
func (o *options) plainConfig() gateway.Config {
	return gateway.Config{Upstream: o.upstream, Transport: gateway.Transport(o.transport)}
}

// gatewayConfig returns the configuration of the gateway. sayf reports problems of files.
func (o *options) gatewayConfig(p *policy, sayf func(format string, args ...any)) gateway.Config {
	config := o.plainConfig()
	config.Strip, config.HealthService, config.ForwardAddress = o.stripped(), o.health, o.address
	switch {
	case p == nil:
	case p.file != nil:
		config.Live, config.ClientLive, config.Forward = p.file.Server(), p.file.Client(), p.forward
	default:
		config.Chain = p.chain
	}
	o.connections.set(&config, sayf)
	o.limits.apply(&config)
	return config
}

// check returns the addresses to listen on, or an error for each wrong flag.
func (o *options) check(ctx context.Context) (at addresses, err error) {
	var errs [9]error
	plain := o.plainConfig()
	switch plain.Transport {
	case "", gateway.TransportFrames, gateway.TransportGRPC:
	default:
		errs[7] = fmt.Errorf("--transport is %q; want %s or %s",
			o.transport, gateway.TransportFrames, gateway.TransportGRPC)
		plain.Transport = ""
	}
	at.calls, errs[0] = address.Calls(ctx, o.listen, "127.0.0.1:8443", o.insecure || o.connections.secure())
	if o.upstream == "" {
		errs[1] = errors.New("--upstream is missing; want an address such as 127.0.0.1:50051")
	} else if err := plain.Validate(); err != nil {
		errs[1] = fmt.Errorf("--upstream: %w", err)
	} else if errs[1] = o.connections.check(); errs[1] == nil && errs[7] == nil {
		errs[4] = o.gatewayConfig(nil, nil).Validate()
	}
	at.telemetry, errs[2] = scrape.Resolve(ctx, o.telemetry, o.telemetryTLS, o.insecure)
	at.admin, errs[6] = o.admin.Resolve(ctx, o.insecure)
	errs[8] = o.access.check(o.config)
	if o.drain < 0 {
		errs[3] = fmt.Errorf("--drain is %v; want a duration such as 30s, or 0", o.drain)
	}
	for part := range o.identity {
		if !policyfile.IdentityPart(part) {
			errs[5] = fmt.Errorf("--identity-metadata has the part %q; want one of subject, issuer, tenant, method, "+
				"roles, scopes, or claims.NAME", part)
		}
	}
	return at, errors.Join(append(errs[:], o.wrong)...)
}
