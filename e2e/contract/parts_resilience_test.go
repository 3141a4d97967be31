package contract_test

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// never is longer than each scenario.
const never time.Duration = math.MaxInt64

type retryConfig struct {
	head

	MaxRetries          int         `json:"max_retries"`
	BackoffMS           *float64    `json:"backoff_ms"`
	Codes               []codeNamed `json:"codes"`
	PerAttemptTimeoutMS float64     `json:"per_attempt_timeout_ms"`
}

// newRetry creates retry with the settings of grpcio's scenarios: without jitter, and with
// DEADLINE_EXCEEDED among the default codes.
func newRetry(w *world, c retryConfig) (part, error) {
	config := retry.Config{
		AllMethods: true, RetryAfterHeader: true, NoBudget: true, NoCallerPushback: true, // as grpcio's
		MaxAttempts: c.MaxRetries + 1, NoJitter: true,
		InitialBackoff: retry.DefaultInitialBackoff, MaxBackoff: never, BackoffMultiplier: 2,
		PerAttemptTimeout:    millis(c.PerAttemptTimeoutMS),
		RetryableStatusCodes: []codes.Code{codes.Unavailable, codes.DeadlineExceeded},
	}
	if c.BackoffMS != nil {
		config.InitialBackoff = max(millis(*c.BackoffMS), 1) // 0 is the default
	}
	if c.Codes != nil {
		config.RetryableStatusCodes = codesOf(c.Codes)
	}
	var attempts atomic.Int64
	p := stateless(retry.New(config, retry.WithSleep(w.clock.sleep)), counting(&attempts))
	p.snapshot = func() any {
		return map[string]any{"attempts": attempts.Load(), "backoffs_ms": w.clock.slept()}
	}
	return p, nil
}

// counting counts attempts of the kinds that grpcio's retry supports.
func counting(attempts *atomic.Int64) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if !call.Kind().ClientStreams() {
			attempts.Add(1)
		}
		return next(ctx, call)
	})
}

type breakerConfig struct {
	head

	FailureThreshold int         `json:"failure_threshold"`
	TimeoutMS        float64     `json:"timeout_ms"`
	HalfOpenMaxCalls int         `json:"half_open_max_calls"`
	Codes            []codeNamed `json:"codes"`
}

// newBreaker creates breaker with the defaults of the scenarios. Probes have no time limit.
func newBreaker(w *world, c breakerConfig) (part, error) {
	config := breaker.Config{
		FailureThreshold: c.FailureThreshold, OpenFor: millis(c.TimeoutMS),
		HalfOpenMaxCalls: c.HalfOpenMaxCalls, ProbeTimeout: never,
	}
	if c.Codes != nil {
		config.FailureCodes = codesOf(c.Codes)
	}
	b := breaker.New(config, breaker.WithClock(w.clock.now))
	p := stateless(b)
	p.snapshot = func() any { return circuitsOf(b) }
	return p, nil
}

// circuit is the state of a breaker's circuit in outcomes.
type circuit struct {
	State    string `json:"state"`
	Failures int    `json:"failures"`
}

func circuitsOf(b *breaker.Interceptor) map[string]circuit {
	all := make(map[string]circuit)
	failures := b.Failures()
	for service, state := range b.States() {
		all[service] = circuit{state.String(), failures[service]}
	}
	return all
}

func codesOf(named []codeNamed) []codes.Code {
	all := make([]codes.Code, 0, len(named))
	for _, c := range named {
		all = append(all, c.code())
	}
	return all
}
