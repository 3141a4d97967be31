package authnintrospect

import (
	"context"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// streams are the open streams of a token. A goroutine asks for the token again until they have
// ended. The mutex of the method guards number and expires.
type streams struct {
	number  int
	expires time.Time     // of the token, by the answer that says the latest time; zero: never
	revoked chan struct{} // closed when the token is not active any more
	stop    context.CancelFunc
}

// unexpired reports whether the token would still be active if it had not been revoked. The streams of
// an expired one end by themselves.
func (s *streams) unexpired() bool { return s.expires.IsZero() || time.Now().Before(s.expires) }

// extend takes the expiry of another answer for the token into account. A server may extend it with each
// use: the token then outlives what the first stream knows of it.
func (s *streams) extend(expires time.Time) {
	if expires.IsZero() || !s.expires.IsZero() && expires.After(s.expires) {
		s.expires = expires
	}
}

// follow returns the identity of a stream, which ends with ctx. It is revoked when the token is.
func (m *Method) follow(ctx context.Context, key hash, token string, id *authn.Identity) *authn.Identity {
	m.mu.Lock()
	s := m.streams[key]
	if s == nil {
		own, stop := context.WithCancel(context.Background())
		s = &streams{expires: id.Expires, revoked: make(chan struct{}), stop: stop}
		m.streams[key] = s
		go m.recheck(own, key, token, s)
	}
	s.extend(id.Expires)
	s.number++
	m.mu.Unlock()
	context.AfterFunc(ctx, func() { m.release(key, s) })
	revocable := *id
	revocable.Revoked = s.revoked
	return &revocable
}

// recheck asks for a token until ctx is done, except while it is expired.
func (m *Method) recheck(ctx context.Context, key hash, token string, s *streams) {
	ticker := time.NewTicker(m.config.Recheck)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		m.mu.Lock()
		unexpired := s.unexpired()
		m.mu.Unlock()
		if unexpired {
			_, _ = m.ask(ctx, key, token, false) // land reads the answer
		}
	}
}

// release ends a stream.
func (m *Method) release(key hash, s *streams) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.number--
	if s.number == 0 {
		m.forget(key, s)
	}
}

// forget ends the goroutine of streams. The mutex is locked.
func (m *Method) forget(key hash, s *streams) {
	s.stop()
	if m.streams[key] == s {
		delete(m.streams, key)
	}
}
