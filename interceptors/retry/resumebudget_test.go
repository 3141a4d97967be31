package retry_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// A stream that is not resumed, since there is no request to go on with, uses nothing of the budget.
func TestResumeWithoutRequestReturnsBudget(t *testing.T) {
	budget := retrybudget.New(retrybudget.Config{})
	b := numbers(10, func(int) int { return 3 })
	fails := func(*hauberk.Method, proto.Message, proto.Message) (proto.Message, error) {
		return nil, errors.New("no token")
	}
	r := all(retry.Config{}, retry.WithSleep((&waits{}).sleep), retry.WithBudget(budget), retry.WithResume(fails))
	out := start(t, hauberk.ServerStream, b, r).Call(t.Context(), "0")
	wantCode(t, out.Err, codes.Unavailable)
	if s := budget.Snapshot(); s.Extra != 0 || b.calls.Load() != 1 {
		t.Errorf("%d attempts, %d of them extra by the budget; want 1 and 0", b.calls.Load(), s.Extra)
	}
}

// TestResumedStreamsAreNoFailures: streams that break after they have run for long do not use up the budget, however
// many they are: all go on.
func TestResumedStreamsAreNoFailures(t *testing.T) {
	hauberktest.CheckLeaks(t)
	synctest.Test(t, func(t *testing.T) {
		const streams = 100
		budget := retrybudget.New(retrybudget.Config{MaxTokens: 10})
		b := numbers(2, func(attempt int) int {
			<-time.After(retry.DefaultMaxBackoff)
			return map[bool]int{true: 1, false: -1}[attempt <= streams]
		})
		r := all(retry.Config{}, retry.WithBudget(budget), retry.WithResume(after))
		env := start(t, hauberk.ServerStream, b, r)
		var all sync.WaitGroup
		for range streams {
			all.Go(func() {
				out := env.Call(t.Context(), "0")
				wantCode(t, out.Err, codes.OK)
				wantNumbers(t, out, 0, 2)
			})
		}
		all.Wait()
		if s := budget.Snapshot(); s.Failures != 0 || s.Tokens != 10 {
			t.Errorf("%+v, want no failures", s)
		}
	})
}
