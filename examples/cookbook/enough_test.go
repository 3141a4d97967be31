package cookbook_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

const (
	greetMethod = "hauberk.examples.greeter.v1.Greeter/Greet"
	chatMethod  = "hauberk.examples.greeter.v1.Greeter/Chat"
)

// failing is a service whose first calls fail with UNAVAILABLE. It counts all of them.
type failing struct {
	greeter.Service
	first, calls atomic.Int64
}

func newFailing(first int64) *failing {
	f := &failing{}
	f.first.Store(first)
	f.Handle = func(ctx context.Context, s greeter.Stream) error {
		f.calls.Add(1)
		if f.first.Add(-1) >= 0 {
			return status.Error(codes.Unavailable, "starting up")
		}
		return greeter.Hello(ctx, s)
	}
	return f
}

// Each user has ten permits a minute, and a chat costs five of them.
func perUser() hauberk.Interceptor {
	return ratelimit.New(ratelimit.Config{
		Limit: 10, Per: time.Minute, By: callkey.User(),
		Cost: ratelimit.Cost{Methods: map[string]int{chatMethod: 5}},
	})
}

func Example_rateLimit() {
	server := greeter.Serve(&greeter.Service{}, tokens, perUser())
	client := server.Client()
	for _, user := range []string{"ada", "ada", "ada", "bob"} {
		got, err := greeter.Call(with("authorization", "Bearer token-of-"+user), client, hauberk.Bidi, user)
		fmt.Println(user, got, greeter.Outcome(err))
	}
	server.Stop()
	// Output:
	// ada [Hello, ada] OK
	// ada [Hello, ada] OK
	// ada [] ResourceExhausted "Rate limit exceeded" RATE_LIMITED
	// bob [Hello, bob] OK
}

// Each person is greeted twice a minute at most, by any caller. A chat is decided by its first message.
func perName() hauberk.Interceptor {
	return ratelimit.New(ratelimit.Config{Limit: 2, Per: time.Minute, By: field.String("name").Key()})
}

func Example_field() {
	server := greeter.Serve(&greeter.Service{}, perName())
	client := server.Client()
	for _, name := range []string{"Ada", "Ada", "Ada", "Bob"} {
		got, err := greeter.Call(context.Background(), client, hauberk.Bidi, name)
		fmt.Println(got, greeter.Outcome(err))
	}
	server.Stop()
	// Output:
	// [Hello, Ada] OK
	// [Hello, Ada] OK
	// [] ResourceExhausted "Rate limit exceeded" RATE_LIMITED
	// [Hello, Bob] OK
}

// At most one call for each tenant at a time. Others wait for up to a second, ten at most.
func perTenant() hauberk.Interceptor {
	return concurrency.New(concurrency.Config{
		Limit: 1, By: callkey.State(Tenant), MaxWaiting: 10, MaxWait: time.Second,
	})
}

func Example_concurrency() {
	var running, most atomic.Int64
	server := greeter.Serve(&greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		return greeter.Hello(ctx, s)
	}}, tenants("acme"), perTenant())
	client := server.Client()
	done := make(chan string)
	for range 5 {
		go func() { done <- greet(with("x-tenant", "acme"), client, "Ada") }()
	}
	for range 5 {
		fmt.Println(<-done)
	}
	fmt.Println("at once:", most.Load())
	server.Stop()
	// Output:
	// Hello, Ada
	// Hello, Ada
	// Hello, Ada
	// Hello, Ada
	// Hello, Ada
	// at once: 1
}

// Idempotent calls are made up to three times, and a budget bounds the load that this adds.
var retried = retry.New(retry.Config{
	MaxAttempts: 3, InitialBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
	Methods: []string{greetMethod}, // or mark them in the .proto file
})

func Example_retry() {
	service := newFailing(2)
	server := greeter.Serve(service)
	fmt.Println(greet(with(), server.Client(retried), "Ada"), "after", service.calls.Load(), "attempts")
	server.Stop()
	// Output:
	// Hello, Ada after 3 attempts
}

// A read that has no answer after 5 ms is sent once more. The first answer counts.
var hedged = hedge.New(hedge.Config{Methods: []string{greetMethod}, Delay: 5 * time.Millisecond})

func Example_hedge() {
	var calls atomic.Int64
	server := greeter.Serve(&greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		if calls.Add(1) == 1 {
			<-ctx.Done() // the slow one; it is canceled when the other has answered
			return ctx.Err()
		}
		return greeter.Hello(ctx, s)
	}})
	fmt.Println(greet(with(), server.Client(hedged), "Ada"))
	server.Stop()
	// Output:
	// Hello, Ada
}

// While the service is down, callers get a greeting that was made in advance.
var guarded = breaker.New(breaker.Config{FailureThreshold: 2, OpenFor: time.Minute},
	breaker.WithFallback(func(_ context.Context, call *hauberk.Call, rejection error) error {
		if call.Method().FullName() != "/"+greetMethod {
			return rejection
		}
		return call.Reply(&greeterpb.HelloReply{Text: "Hello, everyone"})
	}))

func Example_breaker() {
	service := newFailing(1000)
	server := greeter.Serve(service)
	client := server.Client(guarded)
	for range 4 {
		fmt.Println(greet(with(), client, "Ada"))
	}
	fmt.Println("calls of the server:", service.calls.Load())
	server.Stop()
	// Output:
	// Unavailable "starting up"
	// Unavailable "starting up"
	// Hello, everyone
	// Hello, everyone
	// calls of the server: 2
}

// Calls without a deadline get one, and no call has longer than a minute.
var bounded = deadline.New(deadline.Config{Default: 20 * time.Millisecond, Max: time.Minute})

func Example_deadline() {
	server := greeter.Serve(&greeter.Service{Handle: func(ctx context.Context, _ greeter.Stream) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	fmt.Println(greet(with(), server.Client(bounded), "Ada"))
	server.Stop()
	// Output:
	// DeadlineExceeded "context deadline exceeded"
}

// A chat in which no one says anything for a while ends.
var idle = deadline.New(deadline.Config{Rules: []deadline.Rule{
	{Methods: []string{chatMethod}, IdleTimeout: 20 * time.Millisecond},
}})

func Example_idle() {
	server := greeter.Serve(&greeter.Service{}, idle)
	stream, err := server.Client().Chat(context.Background())
	greeter.Check(err)
	_, err = stream.Recv() // no request is sent
	fmt.Println(greeter.Outcome(err))
	server.Stop()
	// Output:
	// DeadlineExceeded "No message in time" IDLE_TIMEOUT
}

// Answers are kept for a minute, by request.
func cached() hauberk.Interceptor {
	return cache.New(cache.Config{TTL: time.Minute, Methods: []string{greetMethod}})
}

func Example_cache() {
	service := newFailing(0)
	server := greeter.Serve(service)
	client := server.Client(cached())
	for _, name := range []string{"Ada", "Ada", "Bob"} {
		fmt.Println(greet(with(), client, name))
	}
	fmt.Println("calls of the server:", service.calls.Load())
	server.Stop()
	// Output:
	// Hello, Ada
	// Hello, Ada
	// Hello, Bob
	// calls of the server: 2
}

// The same interceptor on both ends: the client sends a key with each call, and keeps it when
// the call is repeated; the server executes each key once.
func once() hauberk.Interceptor {
	return idempotency.New(idempotency.Config{Methods: []string{greetMethod}})
}

func Example_idempotency() {
	service := newFailing(0)
	lost := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := next(ctx, call); err != nil {
			return err
		}
		if service.first.CompareAndSwap(-1, -2) { // the response of the first call is lost
			return errors.Join(errors.New("connection reset"), status.Error(codes.Unavailable, "connection reset"))
		}
		return nil
	})
	server := greeter.Serve(service, lost, once())
	again := retry.New(retry.Config{AllMethods: true, InitialBackoff: time.Millisecond})
	fmt.Println(greet(with(), server.Client(once(), again), "Ada"), "- executed:", service.calls.Load())
	server.Stop()
	// Output:
	// Hello, Ada - executed: 1
}
