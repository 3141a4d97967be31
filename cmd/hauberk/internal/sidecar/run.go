package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hauberk-rpc/hauberk/gateway"
)

// sidecar is a gateway that runs, and what it tells to whom.
type sidecar struct {
	options

	gateway *gateway.Gateway
	policy  *policy
	signals signals
	errOut  io.Writer
}

// signals are those that end the sidecar: it waits for the first one, and then lets
// them have their way, which is to end the process at once.
type signals struct {
	first   <-chan struct{}
	release func()
}

// run listens, serves until the first signal, and drains.
func (o *options) run(sig signals, address *net.TCPAddr, out, errOut io.Writer) error {
	log := newQueue(out, queueLength)
	defer log.close()
	p, err := o.newPolicy(log)
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{Upstream: o.upstream, Chain: p.chain})
	if err != nil {
		return err
	}
	lis, err := net.ListenTCP("tcp", address)
	if err != nil {
		g.Stop()
		return fmt.Errorf("cannot listen: %w", err)
	}
	s := &sidecar{options: *o, gateway: g, policy: p, signals: sig, errOut: errOut}
	return s.serve(lis)
}

func (s *sidecar) serve(lis net.Listener) error {
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

// overtime is how long the end may take after the drain time. A link that does not
// heed its context is left behind then.
const overtime = 900 * time.Millisecond

func (s *sidecar) shutdown() {
	s.sayf("ending; calls may go on for %v", s.drain)
	ctx, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.gateway.Shutdown(ctx) }()
	select {
	case err := <-ended:
		if errors.Is(err, context.DeadlineExceeded) {
			s.sayf("the time is up; calls that still ran were ended")
		}
	case <-time.After(s.drain + overtime):
		s.sayf("the time is up, and calls do not end; they are left behind")
	}
	s.sayf("ended; %s", s.policy.summary())
}

func (s *sidecar) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.errOut, "hauberk: "+format+"\n", args...)
}
