package serving

import (
	"context"
	"errors"
	"fmt"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk/internal/options"
	"github.com/hauberk-rpc/hauberk/internal/running"
)

// Change is a change of the state.
type Change struct {
	From, To State
	// NotAccepted is how many calls ran at the change that To does not accept.
	NotAccepted int
}

// State returns the state. It is "" for a zero Interceptor. Safe for concurrent use.
func (x *Interceptor) State() State {
	if s := x.current.Load(); s != nil {
		return s.name
	}
	return ""
}

// Ready reports whether the state is ready: see [Rule].Ready. Safe for concurrent use.
func (x *Interceptor) Ready() bool {
	s := x.current.Load()
	return s != nil && s.Ready
}

// Set switches the state. No call is accepted after Set has returned that the new state does not accept, and
// streams that run and that it does not accept end after its [Rule].Grace. If they have a grace time from an
// earlier change, the shorter rest counts. Set does not wait for them: see [Interceptor.Idle]. A state that is
// the current one changes nothing.
//
// The health status changes before calls are rejected, and after they are accepted. The error is that of an
// unknown state, with [ErrUnknownState] and the names of those that exist, or of a bad configuration; the state
// is unchanged then. Safe for concurrent use.
func (x *Interceptor) Set(name State) error {
	if err := x.check(); err != nil {
		return fmt.Errorf("serving: Set(%q): %w", name, err)
	}
	to := x.find(name)
	if to == nil {
		return fmt.Errorf("serving: Set(%q): %w; want %s", name, ErrUnknownState, list(x.states))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	from := x.current.Load()
	if from == to {
		return nil
	}
	if !to.Ready {
		x.report(to)
	}
	x.current.Store(to) // before it reads the streams: see package running
	for _, m := range x.calls.All() {
		for _, s := range m.Streams() {
			s.judge(to)
		}
	}
	if to.Ready {
		x.report(to)
	}
	x.calls.Again() // for Idle
	to.counts.changes.Add(1)
	x.news.Add(Change{From: from.name, To: to.name, NotAccepted: x.notAccepted(to)})
	return nil
}

// report sets the health status.
func (x *Interceptor) report(s *state) {
	status := healthpb.HealthCheckResponse_NOT_SERVING
	if s.Ready {
		status = healthpb.HealthCheckResponse_SERVING
	}
	for _, h := range x.health {
		h.SetServingStatus("", status)
		for _, service := range x.config.Services {
			h.SetServingStatus(service, status)
		}
	}
}

// Idle returns nil once no call runs that the state does not accept, and the error of ctx if that ends first.
// Calls of unknown methods count as not accepted, unless the state accepts all. Safe for concurrent use.
func (x *Interceptor) Idle(ctx context.Context) error {
	if err := x.check(); err != nil {
		return fmt.Errorf("serving: Idle: %w", err)
	}
	return x.calls.Wait(ctx, func(m *running.Method[*stream]) bool { return !x.accepts(x.current.Load(), m) })
}

// accepts reports whether a state accepts the calls of a method that run.
func (x *Interceptor) accepts(s *state, m *running.Method[*stream]) bool {
	known, ok := x.kept.Load(m)
	return ok && known.(*method).accepted[s.index] || s.all()
}

// notAccepted returns how many calls run that a state does not accept.
func (x *Interceptor) notAccepted(s *state) (n int) {
	for _, m := range x.calls.All() {
		if !x.accepts(s, m) {
			n += int(m.Running())
		}
	}
	return n
}

// Stopper is a server of grpc-go.
type Stopper interface {
	GracefulStop()
	Stop()
}

// Shutdown switches to Draining and stops a server that has the interceptor in its chain: it ends the streams of
// the health service, which have no end, calls GracefulStop, and returns nil once that has returned. Streams that
// Draining does not accept end after its grace time. If ctx ends first, it calls Stop on another goroutine and
// returns the error of ctx.
//
// It is for servers with the options of [hauberk.Chain.ServerOptions]. A hauberk.Server has its own Shutdown.
func (x *Interceptor) Shutdown(ctx context.Context, srv Stopper) error {
	if ctx == nil || options.IsNil(srv) {
		return errors.New("serving: Shutdown was called with a nil context or a nil server")
	}
	if err := x.Set(Draining); err != nil {
		return err
	}
	x.closing.Store(true)
	for _, m := range x.calls.All() {
		for _, s := range m.Streams() {
			if s.method.health {
				go s.end(x.find(Draining))
			}
		}
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		srv.GracefulStop()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		go srv.Stop()
		return ctx.Err()
	}
}
