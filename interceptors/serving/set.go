package serving

import (
	"context"
	"errors"
	"fmt"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hauberk-rpc/hauberk"
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
// unknown state, with [ErrUnknownState] and the names of those that exist, of a bad configuration, or of a state
// other than [Draining] once [Interceptor.Shutdown] was called, with [hauberk.ErrShuttingDown]; the state is
// unchanged then. Safe for concurrent use.
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
	if x.closing.Load() && name != Draining { // such as at the end of a slow start
		return fmt.Errorf("serving: Set(%q): %w: Shutdown was called, and the state remains %q",
			name, hauberk.ErrShuttingDown, Draining)
	}
	x.change(to)
	return nil
}

// change switches the state. x.mu is held.
func (x *Interceptor) change(to *state) {
	from := x.current.Load()
	if from == to {
		return
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
// returns the error of ctx. The state remains Draining from then on: further calls of Set return an error.
//
// It is for servers with the options of [hauberk.Chain.ServerOptions]. A hauberk.Server has its own Shutdown.
func (x *Interceptor) Shutdown(ctx context.Context, srv Stopper) error {
	if ctx == nil || options.IsNil(srv) {
		return errors.New("serving: Shutdown was called with a nil context or a nil server")
	}
	if err := x.check(); err != nil {
		return fmt.Errorf("serving: Shutdown: %w", err)
	}
	x.close(x.find(Draining))
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

// close switches to the state draining, which does not change any more.
func (x *Interceptor) close(draining *state) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.change(draining)
	x.closing.Store(true)
}
