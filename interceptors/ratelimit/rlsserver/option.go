package rlsserver

import (
	"errors"
	"log/slog"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// Option sets a dependency of a [Server].
type Option interface{ apply(s *Server) }

type option func(s *Server)

func (f option) apply(s *Server) { f(s) }

// WithClock uses now as the clock, in place of the monotonic clock. now must be safe for concurrent
// use.
func WithClock(now func() time.Time) Option {
	return option(func(s *Server) {
		if now == nil {
			s.err = errors.Join(s.err, errors.New("WithClock was given a nil function"))
			return
		}
		s.clock = quota.Clock(now)
	})
}

// WithStore keeps the quotas in a store that several servers share, in place of the memory of this
// process. Config.Shared has the settings.
func WithStore(store ratelimit.Store) Option {
	return option(func(s *Server) {
		if s.store = store; store == nil {
			s.err = errors.Join(s.err, errors.New("WithStore was given a nil Store"))
		}
	})
}

// WithLogger logs when the store fails and when it answers again. The default is slog.Default().
func WithLogger(log *slog.Logger) Option {
	return option(func(s *Server) {
		if s.log = log; log == nil {
			s.err = errors.Join(s.err, errors.New("WithLogger was given a nil Logger"))
		}
	})
}
