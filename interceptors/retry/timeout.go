package retry

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/expiry"
)

// attempt makes one attempt with a timeout, and notes whether that ended it. A
// DEADLINE_EXCEEDED that the server returns before that is an outcome like others.
//
//go:noinline // its variables would be on the stack of calls without a timeout
func (r *Interceptor) attempt(call *hauberk.Call, next hauberk.Next, s *sequence) {
	if call.Kind() == hauberk.Unary {
		bounded, cancel := context.WithTimeout(s.ctx, s.rules.timeout)
		defer cancel()
		s.err = next(bounded, call)
		s.expired = hasPassed(bounded)
	} else {
		r.attemptStream(call, next, s)
	}
	if !s.expired {
		return
	}
	if s.ctx.Err() != nil {
		s.expired = false
		return
	}
	if credentialsFailed(s.err) {
		s.err = errTimeout
	}
	s.expired = hauberk.CodeOf(s.err) == codes.DeadlineExceeded
}

// credentialsFailed reports whether err is that of call credentials which returned an error
// without a status, such as that of the attempt's context. grpc-go makes UNAUTHENTICATED of it
// for credentials of the connection, and INTERNAL for those of the call.
func credentialsFailed(err error) bool {
	switch hauberk.CodeOf(err) {
	case codes.Unauthenticated, codes.Internal:
		return strings.HasPrefix(hauberk.StatusOf(err).Message(), "transport: per-RPC creds failed")
	default:
		return false
	}
}

// hasPassed reports whether the deadline of a context has passed. The server, which
// receives the deadline, may notice it before the context does.
func hasPassed(ctx context.Context) bool {
	deadline, _ := ctx.Deadline()
	return ctx.Err() != nil || !time.Now().Before(deadline)
}

var errTimeout = status.Error(codes.DeadlineExceeded, "retry: the attempt took longer than PerAttemptTimeout")

// attemptStream makes one attempt of a stream. It ends the attempt after the timeout, unless it is
// committed by then, or what it has sent is not kept: gRFC A6 commits such an attempt, too.
func (r *Interceptor) attemptStream(call *hauberk.Call, next hauberk.Next, s *sequence) {
	kept := r.kept(call, s.rules)
	bounded, expire, cancel := expiry.With(s.ctx)
	defer cancel()
	discard, decided := call.Discardable(), make(chan struct{})
	timer := time.AfterFunc(s.rules.timeout, func() {
		defer close(decided)
		if kept() && discard() {
			expire()
		}
	})
	defer timer.Stop()
	s.err = next(bounded, call)
	if !timer.Stop() {
		<-decided // the attempt may have ended since it was discarded
	}
	s.expired = errors.Is(bounded.Err(), context.DeadlineExceeded)
	switch {
	case !s.expired || !isTimeout(s.err):
	case s.ctx.Err() == nil:
		s.err = errTimeout
	case errors.Is(s.err, hauberk.ErrDiscarded):
		s.err = s.ctx.Err()
	}
}

// isTimeout reports whether err is the end of an attempt by its timeout, and not the rejection of an
// interceptor: DEADLINE_EXCEEDED, or OK of the server, too late.
func isTimeout(err error) bool {
	_, rejected := errors.AsType[*hauberk.Rejection](err)
	return !rejected && (hauberk.CodeOf(err) == codes.DeadlineExceeded || errors.Is(err, hauberk.ErrDiscarded))
}
