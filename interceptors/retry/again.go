package retry

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/pushback"
)

// goesOn waits until the next attempt, and reports whether there is one. If there is none, s.err is
// the outcome of the call.
//
//go:noinline // its variables would be on the stack of Intercept as long as the call runs
func (r *Interceptor) goesOn(call *hauberk.Call, s *sequence) bool {
	committed := r.committed(call)
	if s.ctx.Err() != nil || committed && !s.resume.can(call) {
		return false
	}
	asked := pushback.Read(call.Trailer(), hauberk.StatusOf(s.err))
	progress, free := s.resume.progress(committed, r.config.MaxBackoff)
	if !r.retryable(s, asked.Final, free) || s.rules.attempts == 1 {
		return false
	}
	s.failed++
	if progress {
		s.failed = 1
	}
	if free { // as if the application had made another call
		s.waits = 0
		r.budget.Call()
	}
	switch {
	case call.TransportRetries():
		s.err = &nestedError{call.Method().FullName(), s.err}
	case asked.Final || asked.Longest() > r.config.MaxServerDelay || s.failed >= s.rules.attempts:
	case free || r.budget.Take():
		return r.used(r.wait(s, asked) && r.begin(call, s, committed), free)
	}
	r.endRetries(s)
	return false
}

// retryable reports whether the last attempt has failed in a way that is retried, and records what
// gRFC A6 counts as a failure: not the end of a stream that has served for long.
func (r *Interceptor) retryable(s *sequence, final, served bool) bool {
	retryable := s.expired || s.rules.retryable(s.err)
	if (retryable || final) && !served {
		r.budget.Failure()
	}
	return retryable
}

// used reports whether an attempt is made. One that is not made returns to the budget, unless it was free.
func (r *Interceptor) used(begun, free bool) bool {
	if !begun && !free {
		r.budget.Return()
	}
	return begun
}

// wait waits until the next attempt, and reports whether there is one.
func (r *Interceptor) wait(s *sequence, asked pushback.Asked) bool {
	s.waits = count(asked, s.waits)
	err := r.sleep(s.ctx, r.delay(asked, s.waits))
	if err == nil {
		return true
	}
	if errors.Is(err, context.Canceled) {
		s.err = err
	}
	return false
}

// begin prepares the next attempt, of a stream that is resumed if the last one is committed.
func (r *Interceptor) begin(call *hauberk.Call, s *sequence, committed bool) bool {
	if committed {
		if err := s.resume.with(call, r.resume); err != nil {
			s.err = fmt.Errorf("%w; retry.WithResume: %w", s.err, err)
			return false
		}
	}
	s.resume.begin(committed)
	Attempt.Set(call, s.failed+1)
	s.ctx = pushback.WithPrevious(s.ctx, r, s.failed)
	return true
}

// committed reports whether no attempt can follow the last one: its response header has
// arrived (gRFC A6), or next would not make another.
func (r *Interceptor) committed(call *hauberk.Call) bool {
	return !r.config.RetryAfterHeader && call.Header() != nil || !call.CanAttempt()
}

// endRetries asks the client of the incoming call, if the call is of a handler, not to retry the
// failure: it was retried here, or must not be retried.
func (r *Interceptor) endRetries(s *sequence) {
	if !r.config.NoCallerPushback {
		r.caller.End(s.ctx, hauberk.StatusOf(s.err))
	}
}

// PreviousAttempts returns how many attempts of an incoming call its client has made before this
// one, by the metadata grpc-previous-rpc-attempts. ctx is that of a handler or of a server chain.
// It is 0 for the first attempt, and if the client does not send it or sends something else than
// a number. Clients that are not trusted can send any number.
func PreviousAttempts(ctx context.Context) int {
	values := metadata.ValueFromIncomingContext(ctx, pushback.PreviousKey)
	if len(values) != 1 {
		return 0
	}
	n, err := strconv.ParseUint(values[0], 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// ErrTransportRetries is found by errors.Is in the error of a call that this interceptor does not
// retry, since grpc-go retries calls of its method too: the service config of the connection has
// a retryPolicy for it. Attempts of both would multiply. Remove the retryPolicy, or create the
// connection with grpc.WithDisableRetry. Transparent retries of grpc-go are not concerned.
var ErrTransportRetries = errors.New("retry: the service config of the connection has a retryPolicy")

// nestedError is a failure that is not retried, since grpc-go retries too. Its status is that of
// the failure.
type nestedError struct {
	method string
	cause  error
}

func (e *nestedError) Error() string {
	return fmt.Sprintf("retry: grpc-go retries %s too, by the retryPolicy in the service config of the connection; "+
		"remove it, or use grpc.WithDisableRetry: %v", e.method, e.cause)
}

func (e *nestedError) Unwrap() []error { return []error{ErrTransportRetries, e.cause} }
