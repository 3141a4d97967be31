package retry_test

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
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
