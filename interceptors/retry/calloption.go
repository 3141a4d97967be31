package retry

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// CallConfig is what a call option of [With] changes for one call. A zero field leaves what the
// [Config] of the interceptor has.
type CallConfig struct {
	// MaxAttempts is as in Config: 1 turns retries off.
	MaxAttempts int
	// RetryableStatusCodes is as in Config: an empty slice is none.
	RetryableStatusCodes []codes.Code
	// PerAttemptTimeout is as in Config.
	PerAttemptTimeout time.Duration
}

// With returns a call option that changes the settings of retries for the call. It has no effect
// on methods that are not retried. If several options set a field, the last one counts. A call
// with an illegal setting fails with INTERNAL, without an attempt.
func With(config CallConfig) grpc.CallOption {
	config.RetryableStatusCodes = slices.Clone(config.RetryableStatusCodes)
	return callOption{CallConfig: config, err: config.check()}
}

// Disable returns a call option that turns retries off for the call.
func Disable() grpc.CallOption { return With(CallConfig{MaxAttempts: 1}) }

type callOption struct {
	grpc.EmptyCallOption
	CallConfig

	err error
}

func (c CallConfig) check() error {
	var errs []error
	if c.MaxAttempts < 0 {
		errs = append(errs, fmt.Errorf("MaxAttempts is %d; want at least 1", c.MaxAttempts))
	}
	if c.PerAttemptTimeout < 0 {
		errs = append(errs, fmt.Errorf("PerAttemptTimeout is %v; want more than 0", c.PerAttemptTimeout))
	}
	return errors.Join(append(errs, checkCodes(c.RetryableStatusCodes)...)...)
}

// rules are the settings of one call.
type rules struct {
	attempts int
	codes    []codes.Code
	timeout  time.Duration
}

// of returns the rules with the options of a call.
//
//go:noinline // see goesOn
func (r *rules) of(call *hauberk.Call) (*rules, error) {
	var changed *rules
	for _, o := range call.Options() {
		o, ok := o.(callOption)
		if !ok {
			continue
		}
		if o.err != nil {
			return nil, status.Errorf(codes.Internal, "retry.With: %v", o.err)
		}
		if changed == nil {
			copied := *r
			changed = &copied
		}
		changed.set(o.CallConfig)
	}
	if changed == nil {
		return r, nil
	}
	return changed, nil
}

func (r *rules) set(c CallConfig) {
	if c.MaxAttempts > 0 {
		r.attempts = c.MaxAttempts
	}
	if c.RetryableStatusCodes != nil {
		r.codes = c.RetryableStatusCodes
	}
	if c.PerAttemptTimeout > 0 {
		r.timeout = c.PerAttemptTimeout
	}
}

func (r *rules) retryable(err error) bool { return slices.Contains(r.codes, hauberk.CodeOf(err)) }
