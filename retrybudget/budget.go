package retrybudget

import (
	"errors"

	"github.com/hauberk-rpc/hauberk/internal/clock"
	"github.com/hauberk-rpc/hauberk/internal/options"
)

// Budget decides whether a client may make another extra attempt. Make it with [New]. It is
// safe for concurrent use by any number of interceptors. No method allocates or blocks for
// long.
//
// A nil *Budget counts nothing and allows all extra attempts.
//
// An interceptor that repeats calls uses a Budget as follows:
//
//   - [Budget.Call] once for each call that may be repeated, before its first attempt.
//   - [Budget.Take] before each extra attempt, after all other conditions for it hold. If it
//     returns false, there is no extra attempt. [Budget.Return] if it is not made after all.
//   - [Budget.Success] or [Budget.Failure] at the end of each attempt.
type Budget struct {
	ratio  ratio
	tokens tokens
	made   bool // by New
	err    error
}

// New returns a budget. Its errors are those of [Budget.Err].
func New(config Config, opts ...Option) *Budget {
	var d dependencies
	nils := options.Apply(opts, func(o Option) { o.apply(&d) })
	config = config.withDefaults()
	b := &Budget{made: true, err: errors.Join(config.check(), d.err, nils)}
	if b.err != nil {
		return b
	}
	b.tokens.init(config)
	if !config.NoRatio {
		b.ratio.init(config, clock.Elapsed(d.now))
	}
	return b
}

// Err returns what is wrong with the configuration and the options of a budget, or nil.
// Interceptors that use the budget report it to hauberk.New. A budget with an error allows no
// extra attempts.
func (b *Budget) Err() error {
	if b != nil && !b.made {
		return errors.New("retrybudget: a zero Budget; make it with retrybudget.New")
	}
	if b == nil {
		return nil
	}
	return b.err
}

// Call counts a call that may be repeated.
func (b *Budget) Call() {
	if b != nil && b.ratio.elapsed != nil {
		b.ratio.call()
	}
}

// Take reports whether there may be another extra attempt, and counts it if so.
func (b *Budget) Take() bool {
	switch {
	case b == nil:
		return true
	case b.Err() != nil || b.tokens.exhausted():
		return false
	default:
		return b.ratio.elapsed == nil || b.ratio.take()
	}
}

// Return gives back an extra attempt that Take has allowed, and that was not made, such as after a
// wait that the caller has cancelled.
func (b *Budget) Return() {
	if b != nil && b.ratio.elapsed != nil {
		b.ratio.giveBack()
	}
}

// Success records an attempt that ended with OK. It adds TokenRatio tokens.
func (b *Budget) Success() {
	if b != nil && b.tokens.most > 0 {
		b.tokens.add()
	}
}

// Failure records an attempt that ended with a retryable status, or with a pushback that
// allows no further attempt (gRFC A6). It takes one token, and counts for Config.FailureRatio.
// Other failures are not recorded.
func (b *Budget) Failure() {
	if b == nil {
		return
	}
	if b.tokens.most > 0 {
		b.tokens.remove()
	}
	if b.ratio.most > 0 {
		b.ratio.fail()
	}
}

// Snapshot is the state of a [Budget] at one time.
type Snapshot struct {
	// Calls and Extra are the calls and the extra attempts in the window. They are 0 with
	// Config.NoRatio.
	Calls, Extra int
	// Failures are the failures of the last one to two tenths of the window. They are 0 with
	// Config.NoRatio or Config.NoFailureRatio.
	Failures int
	// Available is how many extra attempts the ratios would allow now.
	Available int
	// Tokens is how many tokens are left. It is 0 without Config.MaxTokens.
	Tokens float64
}

// Snapshot returns the state of the budget, for metrics and logs.
func (b *Budget) Snapshot() Snapshot {
	if b == nil {
		return Snapshot{}
	}
	s := Snapshot{Tokens: float64(b.tokens.left.Load()) / float64(tokenParts)}
	if b.ratio.elapsed != nil {
		b.ratio.snapshot(&s)
	}
	return s
}
