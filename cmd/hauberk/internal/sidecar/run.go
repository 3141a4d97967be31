package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/admin"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/otelenv"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/scrape"
	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/socket"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/internal/sdnotify"
)

// sidecar is a running gateway with its telemetry.
type sidecar struct {
	options

	gateway   *gateway.Gateway
	policy    *policy
	scrape    *scrape.Server // nil if metrics are not served
	admin     *admin.Server  // nil if it is not served
	rejected  *admin.Calls   // nil without admin
	providers *otelenv.Providers
	signals   signals
	errOut    io.Writer
	decoded   messages

	upstreamHas descriptors
	reloading   sync.Mutex // held while the file is read on request
}

// signals are the signals that the sidecar obeys. After the first one that stops it, release restores
// their default action, so that a second signal ends the process at once.
type signals struct {
	reload  <-chan os.Signal // nil without a policy file
	first   <-chan struct{}
	release func()
}

// run listens, serves until the first signal, and drains.
func (o *options) run(ctx context.Context, sig signals, at addresses, out, errOut io.Writer) (err error) {
	s := &sidecar{options: *o, signals: sig, errOut: errOut}
	s.decoded.upstreamHas = &s.upstreamHas
	if at.admin != nil {
		s.rejected = new(admin.Calls)
	}
	log := newQueue(out, queueLength)
	defer log.close()
	if s.providers, err = otelenv.Open(ctx, otelenv.Service{Name: "hauberk", Version: o.version}, s.sayf); err != nil {
		return err
	}
	defer s.flush(time.Now()) // does nothing after shutdown
	if err := s.readDescriptors(); err != nil {
		return err
	}
	if s.config != "" {
		s.policy, err = s.openPolicy(log)
	} else {
		s.policy, err = o.newPolicy(log, s.providers, s.rejected)
	}
	if err != nil {
		return err
	}
	defer s.closePolicy()
	config := o.gatewayConfig(s.policy, s.sayf)
	config.Methods = methodsOf(s.upstreamHas.services())
	if s.policy.file != nil && s.describes() {
		config.Messages = s.decoded.of
	}
	if s.gateway, err = gateway.New(config, gateway.WithLogger(s.policy.logger)); err != nil {
		return err
	}
	if s.scrape, err = s.serveMetrics(at.telemetry); err != nil {
		s.gateway.Stop()
		return err
	}
	defer s.endScrape()
	if s.admin, err = s.serveAdmin(at.admin); err != nil {
		s.gateway.Stop()
		return err
	}
	defer s.endAdmin()
	defer s.limits.limitHeap()()
	defer s.startReflection()()
	lis, err := listen(ctx, at.calls)
	if err != nil {
		s.gateway.Stop()
		return fmt.Errorf("cannot listen: %w", err)
	}
	return s.serve(lis)
}

func listen(ctx context.Context, at net.Addr) (net.Listener, error) {
	if at.Network() == "unix" {
		return socket.Listen(ctx, at.String())
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", at.String())
}

// name returns an address as --listen has it.
func name(at net.Addr) string {
	if at.Network() == "unix" {
		return "unix:" + at.String()
	}
	return at.String()
}

func (s *sidecar) serve(lis net.Listener) error {
	if s.scrape != nil {
		s.sayf("metrics at %s", s.scrape.URL())
	}
	if s.admin != nil {
		s.sayf("admin at %s", s.admin.URL())
	}
	s.sayf("listening on %s, upstream %s", name(lis.Addr()), s.upstream)
	s.notify(sdnotify.Ready, sdnotify.Status(fmt.Sprintf("Listening on %s, upstream %s", name(lis.Addr()), s.upstream)))
	s.scrape.SetReady(s.gateway.Ready)
	served := make(chan error, 1)
	go func() { served <- s.gateway.Serve(lis) }()
	for {
		select {
		case <-s.signals.reload:
			_ = s.reload() // reported by reports
		case err := <-served:
			s.gateway.Stop()
			return fmt.Errorf("cannot serve calls: %w", err)
		case <-s.signals.first:
			s.signals.release()
			s.notify(sdnotify.Stopping)
			s.scrape.SetNotReady()
			s.shutdown()
			return nil
		}
	}
}

// closePolicy closes the interceptors of the policy.
func (s *sidecar) closePolicy() {
	if err := s.policy.close(); err != nil {
		s.sayf("%v", err)
	}
}

// notify reports the state of the sidecar to systemd.
func (s *sidecar) notify(states ...string) {
	if err := sdnotify.Send(states...); err != nil {
		s.sayf("%v", err)
	}
}

// overtime is how long shutdown may take after the drain time. Calls whose interceptors
// ignore their context are then abandoned.
const overtime = 900 * time.Millisecond

func (s *sidecar) shutdown() {
	s.sayf("shutting down; running calls have %v to finish", s.drain)
	deadline := time.Now().Add(s.drain)
	s.drainCalls(deadline)
	s.flush(deadline.Add(overtime))
	s.sayf("stopped; %s", s.policy.summary())
}

func (s *sidecar) drainCalls(deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.gateway.Shutdown(ctx) }()
	select {
	case err := <-ended:
		if errors.Is(err, context.DeadlineExceeded) {
			s.sayf("drain time exceeded; the remaining calls were cancelled")
		}
	case <-time.After(time.Until(deadline) + overtime):
		s.sayf("drain time exceeded; calls that do not end are abandoned")
	}
}

// The time for the export of pending telemetry is the rest of the drain time, but at
// least leastFlush and at most mostFlush, because the collector may be unavailable.
const (
	leastFlush = 200 * time.Millisecond
	mostFlush  = 5 * time.Second
)

// flush exports pending telemetry.
func (s *sidecar) flush(deadline time.Time) {
	length := min(max(time.Until(deadline), leastFlush), mostFlush)
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	if err := s.providers.Shutdown(ctx); err != nil {
		s.sayf("not all pending telemetry was exported: %v", err)
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

// sayf writes one line to stderr. It joins the lines of errors that have several.
func (s *sidecar) sayf(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	_, _ = fmt.Fprintf(s.errOut, "hauberk: %s\n", text)
}
