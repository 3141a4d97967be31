package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/gateway"
)

// sidecar is a gateway that runs, and what it tells to whom.
type sidecar struct {
	options

	gateway   *gateway.Gateway
	policy    *policy
	scrape    *scrape.Server // nil: none
	providers *otelenv.Providers
	signals   signals
	errOut    io.Writer
}

// signals are those that end the sidecar: it waits for the first one, and then lets
// them have their way, which is to end the process at once.
type signals struct {
	first   <-chan struct{}
	release func()
}

// run listens, serves until the first signal, and drains.
func (o *options) run(ctx context.Context, sig signals, at addresses, out, errOut io.Writer) (err error) {
	s := &sidecar{options: *o, signals: sig, errOut: errOut}
	log := newQueue(out, queueLength)
	defer log.close()
	if s.providers, err = otelenv.Open(ctx, otelenv.Service{Name: "hauberk", Version: o.version}, s.sayf); err != nil {
		return err
	}
	defer s.flush(time.Now()) // unless that has been done
	if s.policy, err = o.newPolicy(log, s.providers); err != nil {
		return err
	}
	if s.scrape, err = s.policy.serveMetrics(at.telemetry); err != nil {
		return err
	}
	defer s.endScrape()
	if s.gateway, err = gateway.New(gateway.Config{Upstream: o.upstream, Chain: s.policy.chain}); err != nil {
		return err
	}
	lis, err := net.ListenTCP("tcp", at.calls)
	if err != nil {
		s.gateway.Stop()
		return fmt.Errorf("cannot listen: %w", err)
	}
	return s.serve(lis)
}

func (s *sidecar) serve(lis net.Listener) error {
	if s.scrape != nil {
		s.sayf("metrics at %s", s.scrape.URL())
	}
	s.sayf("listening on %s, upstream %s", lis.Addr(), s.upstream)
	served := make(chan error, 1)
	go func() { served <- s.gateway.Serve(lis) }()
	select {
	case err := <-served:
		s.gateway.Stop()
		return fmt.Errorf("cannot take calls: %w", err)
	case <-s.signals.first:
		s.signals.release()
		s.shutdown()
		return nil
	}
}

// overtime is how long the end may take after the drain time. An interceptor that does not
// heed its context is left behind then.
const overtime = 900 * time.Millisecond

func (s *sidecar) shutdown() {
	s.sayf("ending; calls may go on for %v", s.drain)
	deadline := time.Now().Add(s.drain)
	s.drainCalls(deadline)
	s.flush(deadline.Add(overtime))
	s.sayf("ended; %s", s.policy.summary())
}

func (s *sidecar) drainCalls(deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.gateway.Shutdown(ctx) }()
	select {
	case err := <-ended:
		if errors.Is(err, context.DeadlineExceeded) {
			s.sayf("the time is up; calls that still ran were ended")
		}
	case <-time.After(time.Until(deadline) + overtime):
		s.sayf("the time is up, and calls do not end; they are left behind")
	}
}

// What waits for export may take leastFlush even when the time is up, and no more than
// mostFlush when there is plenty: a collector that is down is no reason to stay.
const (
	leastFlush = 200 * time.Millisecond
	mostFlush  = 5 * time.Second
)

// flush exports what waits for it.
func (s *sidecar) flush(deadline time.Time) {
	length := min(max(time.Until(deadline), leastFlush), mostFlush)
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	if err := s.providers.Shutdown(ctx); err != nil {
		s.sayf("telemetry that waited was not all exported: %v", err)
	}
}

func (s *sidecar) endScrape() {
	if s.scrape == nil {
		return
	}
	if err := s.scrape.Close(); err != nil {
		s.sayf("%v", err)
	}
}

// sayf writes one line, also of errors that have several.
func (s *sidecar) sayf(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	_, _ = fmt.Fprintf(s.errOut, "hauberk: %s\n", text)
}
