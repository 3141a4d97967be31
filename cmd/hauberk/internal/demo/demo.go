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
)

const (
	defaultRate = 200
	maxRate     = 10_000
)

const long = `A shop, its shoppers and the chains between them, in one process: a grpc-go
server on a TCP port of this machine, with a method of each of the four kinds, and
shoppers who call them and, among that, call methods that do not exist, import too
much, run out of time, give up, and meet a handler that panics.

Some show a good token and some none, a made-up or an expired one. Each user has
the limit of her plan: anna's is ample, bertha's 5 calls in 5 seconds, which she
exceeds. Calls of a flaky cart fail once and succeed on the retry. The index of
second-hand goods is offline from time to time: after 3 failures in a row carla's
breaker opens for a second at a time, until a probe succeeds. A smaller limit of
imports is in shadow: it rejects nothing, but the metrics and the log tell what it
would.

Each second it prints what its callers saw: calls that have ended, their rate over
the last second, errors, and the latency since the start, per method. At the end
calls in flight have two seconds to finish and are cancelled after that; then it
prints the totals, with the rate over the whole time. On a terminal the table stays
in its place, unless --log is given.

All numbers are those of the shoppers' chains, outermost: one call is one call of a
shopper, whatever became of it and however many attempts it took, so that calls =
ok + errors, and both are the sums over the methods. Calls of methods that the shop
does not have count together as "unknown". Rejections are the calls that an
interceptor turned down, on either end, by reason; they are among the errors.
Retries are the attempts after the first of a call, and how many of them were OK.
Breakers has the state of each circuit: closed, open or half_open.

With --json it prints only the totals, as one JSON object: seconds, calls, ok,
errors (by code), rejections (by reason), methods (by name: calls, errors, p50_ms,
p99_ms), retries (attempts, succeeded) and breakers (by name: state). Where the shop
listens is then on stderr.

While it runs its metrics can be scraped by Prometheus: it prints where. They are
those of both ends, with the label scope="call", and on the client also of attempts,
with scope="attempt", under the names that deploy/grafana has a dashboard for. The
log, with --log, names of each call its request id, user, last attempt and trace.
Spans go where the OTEL_ variables say that "hauberk run --help" lists, and nowhere
without them; OTEL_SERVICE_NAME is hauberk-demo by default. The exporter console writes
them to stdout, ahead of the totals. Metrics are not exported that way.`

const examples = `  hauberk demo
  hauberk demo --for 10s --json
  hauberk demo --telemetry 127.0.0.1:9464
  hauberk demo --rate 1000 --log 2>demo.log`

// options are the command's flags.
type options struct {
	version   string        // of the program
	length    time.Duration // 0: until a signal
	rate      int
	json      bool
	log       bool
	telemetry string // "": not served
}

// Command returns `hauberk demo`, of a version of the program.
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
			metrics, err = scrape.Resolve(cmd.Context(), o.telemetry)
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
	flags.DurationVar(&o.length, "for", 0, "how long to run, such as 10s; without it until SIGINT or SIGTERM")
	flags.IntVar(&o.rate, "rate", defaultRate, fmt.Sprintf("calls a second, 1 to %d", maxRate))
	flags.BoolVar(&o.json, "json", false, "print only the totals, as JSON")
	flags.BoolVar(&o.log, "log", false, "write the log of the interceptors to stderr")
	flags.StringVar(&o.telemetry, "telemetry", "127.0.0.1:0",
		"serve /metrics, read only, on this address, host:port; port 0 is any free one, an empty address none")
	return cmd
}

func (o *options) check(bounded bool) error {
	var errs []error
	if bounded && o.length <= 0 {
		errs = append(errs, fmt.Errorf("--for is %v; want a time above 0, such as 10s", o.length))
	}
	if o.rate < 1 || o.rate > maxRate {
		errs = append(errs, fmt.Errorf("--rate is %d; want 1 to %d calls a second", o.rate, maxRate))
	}
	return errors.Join(errs...)
}

// run runs the demo until ctx is done, or for as long as o says, and prints.
func run(ctx context.Context, o options, metrics *net.TCPAddr, out, errOut io.Writer) error {
	always := context.WithoutCancel(ctx) // however short the run, there is a shop
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

// perform serves the metrics while the traffic runs.
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

// flush exports the spans that wait for it. A collector that cannot be reached has
// been told of, and is no reason to fail.
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

// play has the traffic run until ctx is done, or r cannot print, and returns the
// totals when all calls have ended.
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

// bound gives ctx the end that o says.
func (o *options) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.length == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, o.length)
}

// logger returns the logger of the interceptors. People see the first record of each
// rejection; --log writes all records to w.
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
