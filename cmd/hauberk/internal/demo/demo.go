package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/web"
)

const (
	defaultRate = 200
	maxRate     = 10_000
)

const long = `Runs a shop, its shoppers and the interceptor chains between them in one process. The
shop is a grpc-go server on a TCP port of this machine, with a method of each of the
four kinds. The shoppers misbehave on purpose: they call methods that do not exist,
import too many items, exceed deadlines, cancel calls, and trigger a panic in a handler.

An issuer in the same process signs the shoppers' tokens, which are JWTs. The shop fetches
the issuer's public keys over HTTP, again and again, since the key rotates while the demo
runs. Some shoppers send a valid token, others none, an expired one, a forged one, or one by
a key that the issuer has retired. gerda is suspended: a rule rejects all of her calls. Each
user has the rate limit of a plan. anna's limit is ample; bertha exceeds a limit of 5
calls in 5 seconds. Calls for a flaky cart fail once and succeed on the retry. The index of
second-hand goods goes offline from time to time: carla's circuit breaker opens for a
second after 3 consecutive failures, and closes when a probe succeeds. A smaller limit
of imports is in shadow: it rejects nothing, but the metrics and the log show what it
would reject.

First the demo prints its addresses, the server's chain for one method, and a grpcurl
command that calls the shop. Then it prints the first log record of each rejection
reason, and each second a table of what the shoppers saw, per method: ended calls, their
rate over the last second, errors, and the latency since the start. At the end, calls in
flight have two seconds to finish before they are cancelled. The totals follow, with the
rate over the whole time. On a terminal a table replaces the last one, unless --log is
given.

The outermost interceptor of the shoppers' chains provides all numbers. A call with
several attempts counts once, so that calls = ok + errors, and both are the sums over
the methods. "unknown" combines the methods that the shop does not have. Rejections
counts the errors that an interceptor of either end caused, by reason. Retries counts
the attempts after the first of a call, and those that succeeded. Breakers has the state
of each circuit: closed, open or half_open.

--json prints only the totals, as one JSON object: seconds, calls, ok, errors (by code),
rejections (by reason), methods (by name: calls, errors, p50_ms, p99_ms), retries
(attempts, succeeded) and breakers (by name: state). The addresses go to stderr.

While the demo runs, Prometheus can scrape its metrics at the address that it prints.
Both ends have metrics of calls, with the label scope="call". The client also has metrics
of attempts, with scope="attempt". The dashboard in deploy/grafana uses their names. The
log, with --log, has the request id, user, last attempt and trace of each call. The OTEL_
variables that "hauberk run --help" lists configure the export of spans; without them
spans are not exported. The default of OTEL_SERVICE_NAME is hauberk-demo. The exporter
console writes spans to stdout, ahead of the totals. Metrics are not exported.`

const examples = `  hauberk demo
  hauberk demo --for 10s --json
  hauberk demo --telemetry 127.0.0.1:9464
  hauberk demo --rate 1000 --log 2>demo.log`

// options are the command's flags.
type options struct {
	version   string        // of the program
	length    time.Duration // 0 runs until a signal
	rate      int
	json      bool
	log       bool
	telemetry string // address; "" serves no metrics
	insecure  bool
}

// Command returns the command `hauberk demo`. The version is that of the program.
func Command(version string) *cobra.Command {
	o := options{version: version}
	var metrics *net.TCPAddr
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Run a shop, its traffic and interceptor chains on both ends",
		Long:    long,
		Example: examples,
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			metrics, err = scrape.Resolve(cmd.Context(), o.telemetry, web.TLS{}, o.insecure)
			if err = errors.Join(o.check(cmd.Flags().Changed("for")), err); err != nil {
				return cmd.FlagErrorFunc()(cmd, err)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return run(ctx, o, metrics, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.length, "for", 0, "how long to run, such as 10s (default: until SIGINT or SIGTERM)")
	flags.IntVar(&o.rate, "rate", defaultRate, fmt.Sprintf("calls per second, 1 to %d", maxRate))
	flags.BoolVar(&o.json, "json", false, "print only the totals, as JSON")
	flags.BoolVar(&o.log, "log", false, "write all log records of the interceptors to stderr")
	flags.StringVar(&o.telemetry, "telemetry", "127.0.0.1:0",
		"serve /metrics on this address, host:port; port 0 selects a free port, an empty address disables it")
	flags.BoolVar(&o.insecure, "insecure", false, "serve /metrics to other machines in plain text")
	return cmd
}

func (o *options) check(bounded bool) error {
	var errs []error
	if bounded && o.length <= 0 {
		errs = append(errs, fmt.Errorf("--for is %v; want a time above 0, such as 10s", o.length))
	}
	if o.rate < 1 || o.rate > maxRate {
		errs = append(errs, fmt.Errorf("--rate is %d; want 1 to %d calls per second", o.rate, maxRate))
	}
	return errors.Join(errs...)
}

// run runs the demo until ctx is done or o.length has passed, and prints the report.
func run(ctx context.Context, o options, metrics *net.TCPAddr, out, errOut io.Writer) error {
	always := context.WithoutCancel(ctx) // the shortest run starts the shop, too
	service := otelenv.Service{Name: "hauberk-demo", Version: o.version}
	providers, err := otelenv.OpenTraces(always, service, sayf(errOut))
	if err != nil {
		return err
	}
	first := newFirstRejections()
	st, err := openStage(always, o.logger(errOut, first), providers)
	if err != nil {
		return errors.Join(err, flush(providers))
	}
	ctx, stop := o.bound(ctx)
	defer stop()
	r := newReport(&o, first.take, out, errOut)
	t, err := perform(ctx, st, o.rate, metrics, r)
	if err := errors.Join(err, st.close(), flush(providers)); err != nil {
		return err
	}
	return r.end(t)
}

// perform runs the traffic and serves the metrics meanwhile.
func perform(ctx context.Context, st *stage, rate int, metrics *net.TCPAddr, r *report) (*totals, error) {
	srv, err := st.serveMetrics(metrics)
	if err != nil {
		return nil, err
	}
	url := ""
	if srv != nil {
		url = srv.URL()
	}
	opening, err := st.story(url)
	if err == nil {
		err = r.begin(opening)
	}
	if err != nil {
		return nil, errors.Join(err, end(srv))
	}
	t, err := play(ctx, st, rate, r)
	return t, errors.Join(err, end(srv))
}

func end(srv *scrape.Server) error {
	if srv == nil {
		return nil
	}
	return srv.Close()
}

// flush exports the pending spans. A timeout is no error: an exporter that cannot reach
// its collector has reported it already.
func flush(providers *otelenv.Providers) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := providers.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func sayf(w io.Writer) func(string, ...any) {
	return func(format string, args ...any) { _, _ = fmt.Fprintf(w, "hauberk: "+format+"\n", args...) }
}

// play runs the traffic until ctx is done or r fails to print. It waits for all calls
// and returns the totals.
func play(ctx context.Context, st *stage, rate int, r *report) (*totals, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		newTraffic(st.crowd, rate).run(ctx)
		st.open.Wait()
	}()
	err := r.follow(st.totals, ended)
	stop()
	<-ended
	return st.totals(), err
}

// bound returns ctx with the timeout o.length, if there is one.
func (o *options) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.length == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, o.length)
}

// logger returns the logger of the interceptors. It passes records to first, unless
// --json is given, and writes them to w if --log is given.
func (o *options) logger(w io.Writer, first slog.Handler) *slog.Logger {
	var handlers []slog.Handler
	if !o.json {
		handlers = append(handlers, first)
	}
	if o.log {
		handlers = append(handlers, slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewMultiHandler(handlers...))
}
