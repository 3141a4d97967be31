package composition_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

const (
	ms      = time.Millisecond
	service = "hauberk.test.v1.TestService"
	backoff = 100 * ms
)

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// usual is the order of a client, outermost first. Of retry and hedge a chain has one.
var usual = []string{
	"requestid", "tracing", "metrics", "deadline", "cache", "coalesce", "idempotency", "retry", "hedge",
	"tracing of attempts", "metrics of attempts", "breaker", "authn", "ratelimit", "concurrency",
}

// without returns the usual order without some interceptors.
func without(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(usual), func(name string) bool { return slices.Contains(names, name) })
}

// arrival is an attempt as the server has seen it.
type arrival struct{ token, id, key, previous string }

// client is a client with a chain, and its server.
type client struct {
	*hauberktest.Env

	parts map[string]hauberk.Interceptor
	chain *hauberk.Chain

	breaker         *breaker.Interceptor
	calls, attempts *metrics.Interceptor
	limit           *concurrency.Interceptor
	rates           *ratelimit.Interceptor
	spans           *tracetest.SpanRecorder

	mu       sync.Mutex
	steps    []step // of the next attempts; those after them succeed
	arrivals []arrival
	tokens   int // that were asked for
	most     int // of attempts at a time
	running  int
}

// step is what the server does in an attempt: it answers with a code, or never.
type step struct {
	code  codes.Code
	never bool
}

var (
	down  = step{code: codes.Unavailable}
	never = step{never: true}
)

// newClient makes the parts of a client. Permits of its rate limit do not come back.
func newClient(t *testing.T) *client {
	t.Helper()
	c := &client{spans: tracetest.NewSpanRecorder()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(c.spans))
	spans := tracing.New(tracing.Config{}, tracing.WithTracerProvider(provider))
	c.breaker = breaker.New(breaker.Config{FailureThreshold: 6, OpenFor: time.Hour})
	c.calls, c.attempts = metrics.New(metrics.Config{}), metrics.New(metrics.Config{})
	c.limit = concurrency.New(concurrency.Config{Limit: 10, By: callkey.Global()})
	c.rates = ratelimit.New(ratelimit.Config{Limit: 100, Per: 1000 * time.Hour, By: callkey.Global()})
	all := []string{"*"}
	c.parts = map[string]hauberk.Interceptor{
		"requestid":   requestid.New(requestid.Config{}),
		"tracing":     spans,
		"metrics":     c.calls,
		"deadline":    deadline.New(deadline.Config{Max: time.Second}),
		"cache":       cache.New(cache.Config{TTL: time.Minute, Methods: all, AcrossIdentities: true}),
		"coalesce":    coalesce.New(coalesce.Config{Methods: all, AcrossIdentities: true}),
		"idempotency": idempotency.New(idempotency.Config{Methods: all}),
		"retry": retry.New(retry.Config{
			AllMethods: true, MaxAttempts: 4, InitialBackoff: backoff, NoJitter: true, BackoffMultiplier: 1,
			RetryableStatusCodes: []codes.Code{codes.Unavailable, codes.DeadlineExceeded}, MaxReplayBytes: 1 << 10,
			NoBudget: true, NoCallerPushback: true,
		}),
		"hedge": hedge.New(hedge.Config{
			AllMethods: true, MaxAttempts: 4, Delay: backoff, NoBudget: true, NoCallerPushback: true,
		}),
		"tracing of attempts": spans.Attempts(),
		"metrics of attempts": hauberk.Named("attempts", c.attempts),
		"breaker":             c.breaker,
		"authn": authn.NewClient(authn.TokenFunc(func(context.Context) (string, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.tokens++
			return fmt.Sprintf("token-%d", c.tokens), nil
		}), authn.ClientConfig{AllowClearText: true}),
		"ratelimit":   c.rates,
		"concurrency": c.limit,
	}
	return c
}

// list returns parts by their names.
func (c *client) list(t *testing.T, names []string) (list []hauberk.Interceptor) {
	t.Helper()
	for _, name := range names {
		if c.parts[name] == nil {
			t.Fatalf("there is no %s", name)
		}
		list = append(list, c.parts[name])
	}
	return list
}

// start starts a client with a chain of its parts, by their names, and a server.
func start(t *testing.T, kind hauberk.Kind, names []string, steps ...step) *client {
	t.Helper()
	c := newClient(t)
	c.steps = steps
	var err error
	if c.chain, err = hauberk.New(c.list(t, names)...); err != nil {
		t.Fatal(err)
	}
	c.Env = hauberktest.Start(t, hauberktest.Setup{
		Kind: kind, Client: c.chain, Backend: &hauberktest.Backend{Handle: c.handle},
	})
	return c
}

// handle serves an attempt.
func (c *client) handle(ctx context.Context, s hauberktest.Stream) error {
	first := func(key string) string { return append(metadata.ValueFromIncomingContext(ctx, key), "")[0] }
	c.mu.Lock()
	c.arrivals = append(c.arrivals, arrival{
		token: first("authorization"), id: first("x-request-id"), key: first("idempotency-key"),
		previous: first("grpc-previous-rpc-attempts"),
	})
	var do step
	if len(c.steps) > 0 {
		do, c.steps = c.steps[0], c.steps[1:]
	}
	c.running++
	c.most = max(c.most, c.running)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
	}()
	switch {
	case do.never:
		<-ctx.Done()
		return ctx.Err()
	case do.code != codes.OK:
		return status.Error(do.code, "down")
	default:
		return hauberktest.Echo(ctx, s)
	}
}

// seen returns the attempts that the server has seen.
func (c *client) seen() []arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.arrivals)
}

// of returns one value of each attempt, sorted and without repeats.
func (c *client) of(value func(a arrival) string) (values []string) {
	for _, a := range c.seen() {
		values = append(values, value(a))
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// permits returns how many permits of the rate limit were taken.
func (c *client) permits(t *testing.T) int {
	t.Helper()
	taken := 0
	for c.call(t, "ratelimit") == nil {
		taken++
	}
	return 100 - taken
}

// call makes a call with a chain of one part.
func (c *client) call(t *testing.T, name string) error {
	t.Helper()
	conn := hauberk.Must(hauberk.New(c.parts[name])).ClientConn(hauberktest.Conn{})
	return conn.Invoke(t.Context(), hauberktest.FullMethod(hauberk.Unary), &testpb.Request{}, new(testpb.Response))
}

// codesOf returns how many calls of a kind have ended with each code, by metrics.
func codesOf(x *metrics.Interceptor, kind hauberk.Kind) map[string]uint64 {
	counts := make(map[string]uint64)
	m := x.Snapshot().Client.Methods[hauberktest.FullMethod(kind)]
	for code, n := range m.Codes {
		if n > 0 {
			counts[code.String()] = n
		}
	}
	return counts
}

// bubbles runs a test in a bubble for each of some kinds.
func bubbles(t *testing.T, kinds []hauberk.Kind, test func(t *testing.T, kind hauberk.Kind)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, kind) })
		})
	}
}
