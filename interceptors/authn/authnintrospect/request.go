package authnintrospect

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/flight"
)

// ReasonBusy is the reason of the rejection of a call whose token could not be asked for, because
// Config.MaxRequests requests are in flight ([hauberk.Reason]).
const ReasonBusy = "INTROSPECTION_BUSY"

// request is a request to the endpoint.
type request struct {
	flight *flight.Flight[answer]
	counts bool // in Method.open
}

// ask returns the answer for a token. Callers share a request, which does not end with the call that
// began it, and has none of the values of its context: what one call carries must not shape the answer
// for all. bounded applies Config.MaxRequests.
//
// A request that no call waits for goes on, at most for Config.Timeout. Ending it would close its
// connection, and the endpoint would learn of that only when it answers: untrusted callers that
// cancel their calls could then open requests there without a bound.
func (m *Method) ask(ctx context.Context, key hash, token string, bounded bool) (answer, error) {
	r := m.join(key, token, bounded)
	if r == nil {
		return answer{}, m.busy()
	}
	return r.flight.Wait(ctx)
}

func (m *Method) busy() error {
	r := hauberk.Reject(codes.Unavailable, ReasonBusy, "Too many tokens are being validated")
	r.RetryAfter = time.Second
	r.Cause = fmt.Errorf("%w: %d requests are in flight", ErrBusy, m.config.MaxRequests)
	return r
}

// join returns the request for a token that is in flight, or begins one. It returns nil if there
// are too many.
func (m *Method) join(key hash, token string, bounded bool) *request {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.asking[key]; r != nil {
		return r
	}
	if bounded && m.open >= m.config.MaxRequests {
		return nil
	}
	r := &request{flight: flight.New[answer](), counts: bounded}
	m.asking[key] = r
	if bounded {
		m.open++
	}
	go r.flight.Run(func() (answer, error) { return m.introspect(token) },
		func(how string) error { return fmt.Errorf("%w: its client %s", ErrEndpoint, how) },
		func(a answer, err error) { m.land(key, r, a, err) })
	return r
}

// land ends a request.
func (m *Method) land(key hash, r *request, a answer, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.counts {
		m.open--
	}
	delete(m.asking, key)
	if err != nil {
		return
	}
	m.keep(key, a)
	s := m.streams[key]
	switch {
	case s == nil:
	case a.identity != nil:
		s.extend(a.identity.Expires)
	case s.unexpired():
		close(s.revoked)
		m.forget(key, s)
	}
}
