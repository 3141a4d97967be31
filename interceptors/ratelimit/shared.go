package ratelimit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/guard"
	"github.com/hauberk-rpc/hauberk/internal/quota"
)

// The defaults of [Shared].
const (
	DefaultTimeout    = 20 * time.Millisecond
	DefaultRetryStore = 500 * time.Millisecond
)

// FailureMode is what happens to calls while the store of shared quotas does not answer.
type FailureMode uint8

// The failure modes.
const (
	// FailLocal counts calls in this process, with its part of each limit: see Shared.Nodes.
	FailLocal FailureMode = iota
	// FailOpen admits all calls.
	FailOpen
	// FailClosed rejects all calls, with UNAVAILABLE and the reason RATE_LIMIT_UNAVAILABLE.
	FailClosed
)

// String returns the name of the mode: "local".
func (m FailureMode) String() string {
	switch m {
	case FailLocal:
		return "local"
	case FailOpen:
		return "open"
	case FailClosed:
		return "closed"
	default:
		return fmt.Sprintf("FailureMode(%d)", uint8(m))
	}
}

// Shared holds the settings for quotas in a [Store].
type Shared struct {
	// Fail is what happens to calls while the store does not answer. The default is FailLocal.
	Fail FailureMode
	// Nodes is the number of processes that share the quotas. With FailLocal each of them admits
	// this part of a limit by itself, at least 1 permit, and rejects what costs more than its part with
	// RetryStore as the time to retry after. The default is 1, the whole limit: the service then admits
	// as many times the limit as there are nodes.
	Nodes int
	// Timeout is how long a call waits for the store at most. The default is DefaultTimeout.
	Timeout time.Duration
	// RetryStore is how long calls do without the store after it has failed three times in a row.
	// One call then asks it again. The default is DefaultRetryStore.
	RetryStore time.Duration
}

func (s Shared) withDefaults() Shared {
	s.Nodes = cmp.Or(s.Nodes, 1)
	s.Timeout = cmp.Or(s.Timeout, DefaultTimeout)
	s.RetryStore = cmp.Or(s.RetryStore, DefaultRetryStore)
	return s
}

// Validate returns everything that is wrong with the settings.
func (s Shared) Validate() error {
	var errs []error
	s = s.withDefaults()
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Fail > FailClosed {
		fail("Shared.Fail is %d; want FailLocal, FailOpen or FailClosed", s.Fail)
	}
	if s.Nodes < 1 {
		fail("Shared.Nodes is %d; want at least 1", s.Nodes)
	}
	if s.Timeout < 0 {
		fail("Shared.Timeout is %v; want more than 0, or 0 for %v", s.Timeout, DefaultTimeout)
	}
	if s.RetryStore < 0 {
		fail("Shared.RetryStore is %v; want more than 0, or 0 for %v", s.RetryStore, DefaultRetryStore)
	}
	return errors.Join(errs...)
}

// shared is quotas in a store:
//
//	call ──▶ circuit ──closed──▶ store ──answer──▶ decision
//	            │                  │
//	           open          error or timeout
//	            ▼                  ▼
//	          failure mode: local quotas, admit or reject
type shared struct {
	x       *Interceptor
	config  Shared
	quotas  Quotas
	indexes map[*limit]int
	guard   *guard.Guard
}

// share uses the quotas of the interceptor's store, if it has one.
func (x *Interceptor) share() (err error) {
	switch {
	case x.store != nil:
		x.shared, err = newShared(x)
	case x.config.Shared != (Shared{}):
		err = errors.New("Shared has no effect without WithStore")
	}
	return err
}

func newShared(x *Interceptor) (*shared, error) {
	s := &shared{x: x, config: x.config.Shared.withDefaults(), indexes: make(map[*limit]int)}
	limits := make([]Limit, len(x.limits))
	for i := range x.limits {
		c := &x.limits[i].config
		limits[i] = Limit{
			Name: c.By.Name(), ID: x.id, Permits: c.Limit, Per: c.Per, Burst: c.Burst, Algorithm: c.Algorithm,
		}
		s.indexes[&x.limits[i]] = i
	}
	var err error
	if s.quotas, err = x.store.Open(limits); err != nil {
		return nil, err
	}
	if s.quotas == nil {
		return nil, errors.New("the store given to WithStore returned no quotas")
	}
	s.guard = guard.New(guard.Config{
		Name: name, Mode: s.config.Fail.String(), Timeout: s.config.Timeout, RetryStore: s.config.RetryStore,
		Clock: x.clock, Log: x.log,
	})
	return s, nil
}

// take takes the permits of all demands, or none. v is the rejection if there are none, or if the quotas are
// not known and the mode is FailClosed. err is the end of ctx.
func (s *shared) take(ctx context.Context, demands []demand) (st outcome, v *verdict, err error) {
	asked, answers := s.demands(demands), make([]Decision, len(demands))
	failure := s.guard.Do(ctx, func() error { return s.quotas.Take(ctx, s.config.Timeout, asked, answers) })
	switch {
	case failure == nil:
		for i := range demands {
			st.consider(&demands[i], demands[i].timed(answers[i]))
		}
		v = s.x.limited(&st)
		return st, v, nil
	case ctx.Err() != nil:
		s.check(ctx, asked)
		return st, nil, status.FromContextError(ctx.Err()).Err()
	}
	switch s.config.Fail {
	case FailOpen:
		return st, nil, nil
	case FailClosed:
		return st, s.unavailable(&demands[0], failure), nil
	default:
		st = s.x.take(demands)
		v = s.x.limited(&st)
		return st, v, nil
	}
}

// timed returns the decision of a store. A rejection without a time, which stores must not return, gets that of one
// permit: a message would wait for a time that is not known.
func (d *demand) timed(answer Decision) Decision {
	if c := &d.limit.config; !answer.OK && answer.RetryAfter <= 0 {
		answer.RetryAfter = max(c.Per/time.Duration(c.Limit), time.Millisecond)
	}
	return answer
}

// check finds out whether the store answers, after a call that ended before it did.
func (s *shared) check(ctx context.Context, asked []Demand) {
	ctx = context.WithoutCancel(ctx)
	asked = slices.Clone(asked)
	for i := range asked {
		asked[i].Key, asked[i].Permits = bytes.Clone(asked[i].Key), 0
	}
	s.guard.Check(func() error {
		return s.quotas.Take(ctx, s.config.Timeout, asked, make([]Decision, len(asked)))
	})
}

// unavailable returns the verdict on a call whose quotas are not known.
func (s *shared) unavailable(d *demand, failure error) *verdict {
	wait := s.config.RetryStore
	return &verdict{
		x: s.x, wait: wait, answer: unavailable(wait, failure),
		decided: hauberk.Decision{
			Rule: d.limit.own.decision.Rule, Verdict: hauberk.Rejected, Reason: ReasonUnavailable,
		},
	}
}

// charge takes permits even if there are none. The work has been done, also if its call has ended
// meanwhile.
func (s *shared) charge(ctx context.Context, demands []demand) error {
	asked, ctx := s.demands(demands), context.WithoutCancel(ctx)
	failure := s.guard.Do(ctx, func() error { return s.quotas.Charge(ctx, s.config.Timeout, asked) })
	switch {
	case failure == nil || s.config.Fail == FailOpen:
		return nil
	case s.config.Fail == FailLocal:
		s.x.charge(demands)
		return nil
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, failure)
	}
}

// demands returns demands as a store gets them.
func (s *shared) demands(all []demand) []Demand {
	asked := make([]Demand, len(all))
	for i, d := range all {
		asked[i] = Demand{Limit: s.indexes[d.limit], Key: d.key, Peer: d.at == quota.OfPeers, Permits: d.permits}
	}
	return asked
}

// StoreFailures returns how often the store of shared quotas did not answer, and whether calls do
// without it now. Safe for concurrent use.
func (x *Interceptor) StoreFailures() (failures uint64, failing bool) {
	if x.shared == nil {
		return 0, false
	}
	return x.shared.guard.Failures()
}
