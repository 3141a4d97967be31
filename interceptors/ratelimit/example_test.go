package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// User is where identify puts who calls.
var User = hauberk.NewKey[string]("user")

// identify takes the user from the request metadata. It represents an interceptor
// that checks who calls, such as that of package authn.
type identify struct{}

func (identify) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "identify", Phase: hauberk.PhaseAuthn, Writes: []hauberk.StateKey{User}}
}

func (identify) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	if user := call.Metadata(ctx, "user"); len(user) > 0 {
		User.Set(call, user[0])
	}
	return next(ctx, call)
}

// called makes a call through a server's chain, without a network.
func called(chain *hauberk.Chain, pairs ...string) error {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(pairs...))
	info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_Unary_FullMethodName}
	_, err := chain.UnaryServerInterceptor()(ctx, &testpb.Request{}, info, func(context.Context, any) (any, error) {
		return &testpb.Response{}, nil
	})
	return err
}

// Each user has two calls a minute. Callers without a name are counted by where
// they come from.
func Example() {
	chain := hauberk.Must(hauberk.New(
		identify{},
		ratelimit.New(ratelimit.Config{Limit: 2, Per: time.Minute, By: callkey.State(User)}),
	))
	for _, user := range []string{"alice", "alice", "alice", "bob"} {
		fmt.Println(user, status.Code(called(chain, "user", user)))
	}
	fmt.Println("no one", status.Code(called(chain)))
	// Output:
	// alice OK
	// alice OK
	// alice ResourceExhausted
	// bob OK
	// no one OK
}

// A limiter by user does not work ahead of what finds out who the user is.
func Example_order() {
	_, err := hauberk.New(
		ratelimit.New(ratelimit.Config{Limit: 2, Per: time.Minute, By: callkey.State(User)}),
		identify{},
	)
	fmt.Println(err)
	// Output:
	// hauberk: interceptor 1: ratelimit(user) reads the state "user" before it is written: identify (interceptor 2), which writes it, runs inside it
}

// An outer interceptor sees which limit rejected a call.
func Example_rejections() {
	now := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	limits := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if errors.Is(err, ratelimit.ErrLimited) {
			fmt.Println(hauberk.Reason(err), "by the rule:", call.Decisions().All()[0].Rule)
		}
		return err
	})
	chain := hauberk.Must(hauberk.New(limits, ratelimit.New(
		ratelimit.Config{Limit: 100, Per: time.Minute, Burst: 1, By: callkey.Method()},
		ratelimit.WithClock(func() time.Time { return now }),
	)))
	fmt.Println(called(chain))
	fmt.Println(called(chain))
	now = now.Add(600 * time.Millisecond)
	fmt.Println(called(chain))
	// Output:
	// <nil>
	// RATE_LIMITED by the rule: 100 in 1m0s, burst 1, by method
	// rpc error: code = ResourceExhausted desc = Rate limit exceeded
	// <nil>
}

// Each user has a limit for each method.
func Example_combinedKey() {
	chain := hauberk.Must(hauberk.New(
		identify{},
		ratelimit.New(ratelimit.Config{
			Limit: 1, Per: time.Minute, By: callkey.All(callkey.State(User), callkey.Method()),
		}),
	))
	for _, user := range []string{"alice", "alice", "bob"} {
		fmt.Println(user, status.Code(called(chain, "user", user)))
	}
	// Output:
	// alice OK
	// alice ResourceExhausted
	// bob OK
}
