package breaker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk"
)

// stream is a stream of responses whose first message matters. The hook runs on the goroutine of the
// application, and the rest on that of the chain.
type stream struct {
	admission

	took atomic.Int64 // the time until the first message, at least 1 ns; 0 before
}

// interceptStream is Intercept for streams that count at their first message, or whose time until it
// counts.
//
//go:noinline // its stream is on the heap
func (b *Interceptor) interceptStream(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	s := new(stream)
	if err := b.admit(ctx, call, &s.admission); err != nil {
		return b.rejected(ctx, call, s.circuit, err)
	}
	call.OnReceive(func(any) (keep bool, err error) {
		if s.took.Load() == 0 {
			b.first(s)
		}
		return true, nil
	})
	return hauberk.Observe(ctx, call, next, func(err error) {
		took := time.Duration(s.took.Load())
		if took > 0 && b.config.CountAtFirstResponse {
			return // it has counted
		}
		b.end(call, &s.admission, took, err)
	})
}

// first notes the first message of a stream.
func (b *Interceptor) first(s *stream) {
	now := b.now()
	if b.config.CountAtFirstResponse {
		s.permit.Done(now, Success)
	}
	s.took.Store(int64(max(now-s.permit.Started(), 1)))
}
