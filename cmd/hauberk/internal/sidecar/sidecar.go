// Package sidecar is the command `hauberk run`: a gateway in front of one service,
// in a process of its own.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/address"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

const long = `Forwards every call of every method to the upstream, without knowing its types,
through a chain of request id, tracing, metrics, logging and recovery.

Each call is a line of JSON on stdout, where lines are dropped, and counted, if
no one reads them. Its request_id is the one that came with the call, else one of the
sidecar's own, which only --forward-request-id tells the upstream and the client.
Where the sidecar listens is on stderr, in a line such as

  hauberk: listening on 127.0.0.1:8443, upstream 127.0.0.1:50051

SIGTERM and SIGINT end it: clients are told to go elsewhere, calls that run may
finish within the drain time, and the exit code is 0. A second signal ends it at
once.

METRICS

With --telemetry ADDR it serves http://ADDR/metrics to Prometheus, for reading and
nothing else, in the text format and in OpenMetrics: the calls, under the names of
go-grpc-middleware's Prometheus provider, their rejections, and what Go and the
operating system say of the process. All calls count as grpc_type="bidi_stream",
and those of methods that the upstream has not answered yet as "unknown". Where it
is stands on stderr:

  hauberk: metrics at http://127.0.0.1:9464/metrics

It is served until the sidecar ends.

OPENTELEMETRY

Traces are exported if OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT or
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, metrics (those of gRFC A66) likewise with
METRICS in place of TRACES. Otherwise nothing is exported, whatever else is set, and
trace context passes through as it came. With traces each call is a span, a child of
the caller's, and the parent of what the upstream makes of it. It has the name of the
method, or, where the upstream has not answered that yet, "grpc", with the name in
rpc.method_original. What the exporter console writes is among the log.

The variables are those of OpenTelemetry's specification. A value that cannot be
used is an error at the start, with exit code 1. A collector that cannot be reached
holds up no call: spans that do not fit in the queue are dropped, and stderr tells
of it, at most once a minute. What waits at the end is exported within the drain
time, and 5 seconds at most.

  OTEL_SDK_DISABLED                   true: nothing of this (default false)
  OTEL_SERVICE_NAME                   (default hauberk)
  OTEL_RESOURCE_ATTRIBUTES            name=value,... of the process (default none)
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
  OTEL_BSP_SCHEDULE_DELAY             longest wait of a span, ms (default 5000)
  OTEL_BSP_EXPORT_TIMEOUT             of one export, ms (default 30000)
  OTEL_BSP_MAX_QUEUE_SIZE             spans that wait (default 2048)
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE      spans of one export (default 512)
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
  OTEL_EXPORTER_PROMETHEUS_HOST       of the exporter prometheus, which listens at an
                                      address of its own (default localhost)
  OTEL_EXPORTER_PROMETHEUS_PORT       not that of --telemetry (default 9464)
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
                                      cumulative, delta or lowmemory
                                      (default cumulative)
  OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION
                                      explicit_bucket_histogram or
                                      base2_exponential_bucket_histogram
                                      (default explicit_bucket_histogram)

These exist also with TRACES_ or METRICS_ after OTLP_, for one of the two alone:

  OTEL_EXPORTER_OTLP_ENDPOINT         a URL with http, https, or for grpc unix
                                      (default https://localhost:4318, for grpc 4317);
                                      to this one, not for grpc, /v1/traces or
                                      /v1/metrics is added
  OTEL_EXPORTER_OTLP_PROTOCOL         http/protobuf or grpc (default http/protobuf)
  OTEL_EXPORTER_OTLP_HEADERS          name=value,... (default none)
  OTEL_EXPORTER_OTLP_TIMEOUT          ms (default 10000)
  OTEL_EXPORTER_OTLP_COMPRESSION      gzip or none (default none)
  OTEL_EXPORTER_OTLP_INSECURE         true: the default endpoint in plain text
                                      (default false)
  OTEL_EXPORTER_OTLP_CERTIFICATE      a file of the collector's authorities, PEM
                                      (default the system's)
  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_KEY
                                      files, PEM (default none)

Logs go to stdout alone; OTEL_LOGS_EXPORTER is not heeded.`

const examples = `  hauberk run --listen 127.0.0.1:8443 --upstream 127.0.0.1:50051
  hauberk run --listen 127.0.0.1:0 --upstream dns:///shop:50051 --drain 10s
  hauberk run --listen 127.0.0.1:8443 --upstream 127.0.0.1:50051 --telemetry 127.0.0.1:9464
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 hauberk run --listen 127.0.0.1:8443 --upstream 127.0.0.1:50051`

const defaultDrain = 30 * time.Second

// options are the command's flags.
type options struct {
	version   string // of the program
	listen    string
	upstream  string
	telemetry string // "": not served
	drain     time.Duration
	insecure  bool
	forwardID bool
}

// addresses are those to listen on.
type addresses struct {
	calls     *net.TCPAddr
	telemetry *net.TCPAddr // nil: not served
}

// Command returns `hauberk run`, of a version of the program.
func Command(version string) *cobra.Command {
	o := options{version: version}
	cmd := &cobra.Command{
		Use:     "run --listen ADDR --upstream ADDR",
		Short:   "Run the sidecar: a chain in front of any gRPC service",
		Long:    long,
		Example: examples,
		Args:    cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// What no one reads any more is no reason to end.
		signal.Ignore(syscall.SIGPIPE)
		ctx, release := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer release()
		at, err := o.check(ctx)
		if err != nil {
			return cmd.FlagErrorFunc()(cmd, err)
		}
		return o.run(cmd.Context(), signals{ctx.Done(), release}, at, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "", "the address to take calls on, host:port; port 0 is any free one")
	flags.StringVar(&o.upstream, "upstream", "",
		"the service to forward to: host:port, dns:///host:port or unix:///path")
	flags.StringVar(&o.telemetry, "telemetry", "",
		"serve /metrics, read only, on this address, host:port; without it, nothing")
	flags.DurationVar(&o.drain, "drain", defaultDrain, "how long calls may go on after a signal; 0 is not at all")
	flags.BoolVar(&o.insecure, "insecure", false, "take calls in plain text from other machines too")
	flags.BoolVar(&o.forwardID, "forward-request-id", false,
		"send each call's request id to the upstream, and back to the client, as "+requestid.DefaultHeader)
	return cmd
}

// check returns the addresses to listen on, or all that is wrong with the flags.
func (o *options) check(ctx context.Context) (at addresses, err error) {
	var errs [4]error
	at.calls, errs[0] = o.checkListen(ctx)
	if o.upstream == "" {
		errs[1] = errors.New("--upstream is missing; want an address such as 127.0.0.1:50051")
	} else if err := (gateway.Config{Upstream: o.upstream}).Validate(); err != nil {
		errs[1] = fmt.Errorf("--upstream: %w", err)
	}
	at.telemetry, errs[2] = scrape.Resolve(ctx, o.telemetry)
	if o.drain < 0 {
		errs[3] = fmt.Errorf("--drain is %v; want a duration such as 30s, or 0", o.drain)
	}
	return at, errors.Join(errs[:]...)
}

func (o *options) checkListen(ctx context.Context) (*net.TCPAddr, error) {
	if o.listen == "" {
		return nil, errors.New("--listen is missing; want an address such as 127.0.0.1:8443")
	}
	addr, err := address.Resolve(ctx, o.listen)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--listen %q is not an address: %w;"+
			" want host:port, such as 127.0.0.1:8443", o.listen, err)
	case !addr.IP.IsLoopback() && !o.insecure:
		return nil, fmt.Errorf("--listen %q takes calls from other machines, in plain text;"+
			" want a loopback address such as 127.0.0.1:%d, or --insecure", o.listen, addr.Port)
	default:
		return addr, nil
	}
}
