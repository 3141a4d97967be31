package ratelimitservice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strings"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/policy/limitsfile"
)

// service is a running rate limit server.
type service struct {
	options

	limits  *rlsserver.Server
	redis   *limitsfile.Redis // nil if the quotas are in memory
	calls   *metrics.Interceptor
	server  *hauberk.Server
	health  *health.Server
	scrape  *scrape.Server // of metrics; nil for none
	signals signals
	errOut  io.Writer
}

// signals are the signals that the server obeys. After the first one that stops it, release restores their
// default action, so that a second signal ends the process at once.
type signals struct {
	reload  <-chan os.Signal // buffered: a signal that comes while the server starts is kept
	first   <-chan struct{}
	release func()
}

// run serves until the first signal, and drains.
func (o *options) run(sig signals, at addresses, errOut io.Writer) error {
	s := &service{
		options: *o, signals: sig, errOut: errOut, calls: metrics.New(metrics.Config{}), health: health.NewServer(),
	}
	file, err := s.read()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(errOut, nil))
	closeStore, err := s.open(file, log)
	if err != nil {
		return err
	}
	defer closeStore()
	chain, err := hauberk.New(s.calls, recovery.New(recovery.Config{}, recovery.WithLogger(log)))
	if err != nil {
		return err
	}
	secure, release, err := s.tls.open(s.certificate)
	if err != nil {
		return err
	}
	defer release()
	s.server = chain.NewServer(secure...)
	rlsv3.RegisterRateLimitServiceServer(s.server, s.limits)
	healthpb.RegisterHealthServer(s.server, s.health)
	s.health.SetServingStatus(rlsv3.RateLimitService_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)

	if s.scrape, err = s.serveMetrics(at.telemetry); err != nil {
		return err
	}
	if s.scrape != nil {
		s.sayf("metrics at %s", s.scrape.URL())
		defer s.end(s.scrape)
	}
	lis, err := net.ListenTCP("tcp", at.calls)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	return s.serve(lis)
}

// open makes the limits of a file, with the store that it names.
func (s *service) open(file limitsfile.File, log *slog.Logger) (closeStore func(), err error) {
	opts, closeStore := []rlsserver.Option{rlsserver.WithLogger(log)}, func() {}
	if s.redis = file.Redis; s.redis != nil {
		store, closeAll, err := s.redis.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.config, err)
		}
		opts, closeStore = append(opts, rlsserver.WithStore(store)), func() { _ = closeAll() }
	}
	if s.limits, err = rlsserver.New(file.Limits, opts...); err != nil {
		closeStore()
		return nil, err
	}
	return closeStore, nil
}

// certificate reports why the files of TLS are not good, or (nil) that they are again.
func (s *service) certificate(err error) {
	if err != nil {
		s.sayf("--tls-cert, --tls-key: %v; the old certificate remains in force", err)
		return
	}
	s.sayf("--tls-cert, --tls-key: the files are good again")
}

// read returns the content of the file.
func (s *service) read() (limitsfile.File, error) {
	data, err := os.ReadFile(s.config)
	if err != nil {
		return limitsfile.File{}, fmt.Errorf("--config: cannot read the limits: %w", err)
	}
	return limitsfile.Parse(s.config, data)
}

// serve serves until a signal.
func (s *service) serve(lis net.Listener) error {
	s.sayf("listening on %s, %d limits", lis.Addr(), len(s.limits.Snapshot().Limits))
	served := make(chan error, 1)
	s.scrape.SetReady(scrape.Always)
	go func() { served <- s.server.Serve(lis) }()
	for {
		select {
		case <-s.signals.reload:
			s.reload()
		case err := <-served:
			s.server.Stop()
			return fmt.Errorf("cannot serve calls: %w", err)
		case <-s.signals.first:
			s.signals.release()
			s.shutdown()
			return nil
		}
	}
}

// reload reads the file again. If something is wrong with it, the limits remain.
func (s *service) reload() {
	file, err := s.read()
	if err == nil && !reflect.DeepEqual(file.Redis, s.redis) {
		err = fmt.Errorf("%s: redis has changed; want a restart, or the settings as they were", s.config)
	}
	if err == nil {
		err = s.limits.Reload(file.Limits)
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			s.sayf("%s", line)
		}
		s.sayf("not reloaded; the limits remain as they were")
		return
	}
	s.sayf("reloaded %s, %d limits", s.config, len(s.limits.Snapshot().Limits))
}

func (s *service) shutdown() {
	s.sayf("shutting down; running calls have %v to finish", s.drain)
	s.scrape.SetNotReady()
	s.health.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	if err := s.server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		s.sayf("drain time exceeded; the remaining calls were cancelled")
	}
	var ok, over uint64
	for _, l := range s.limits.Snapshot().Limits {
		ok, over = ok+l.OK, over+l.OverLimit
	}
	s.sayf("stopped; %d descriptors within their limits, %d over", ok, over)
}

func (s *service) end(scraped *scrape.Server) {
	if err := scraped.Close(); err != nil {
		s.sayf("%v", err)
	}
}

// sayf writes one line to stderr.
func (s *service) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.errOut, "hauberk: %s\n", fmt.Sprintf(format, args...))
}
