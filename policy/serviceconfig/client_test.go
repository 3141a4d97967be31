package serviceconfig_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/policy/serviceconfig"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// chain returns the chain of a service config, with what runs for each attempt.
func chain(t testing.TB, config *serviceconfig.Config, attempts ...hauberk.Interceptor) *hauberk.Chain {
	t.Helper()
	c, err := hauberk.New(slices.Concat(config.Client().All(), attempts)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const several = `{"methodConfig": [
	{"name": [{}, {"service": "a.B", "method": "Like"}], "timeout": "7s", "retryPolicy": {"maxAttempts": 4, "initialBackoff": "1s",
		"maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}},
	{"name": [{"service": "a.B"}, {"service": "c.D", "method": "One"}, {"service": "grpc.health.v1.Health"}], "timeout": "9s",
		"waitForReady": true},
	{"name": [{"service": "a.B", "method": "Get"}], "maxRequestMessageBytes": 5, "hedgingPolicy": {"maxAttempts": 3,
		"hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]}},
	{"name": [{"service": "a.B", "method": "Put"}], "waitForReady": false, "maxResponseMessageBytes": 6}
]}`

// TestMethods: the most specific name of a method decides alone, for each of the settings.
func TestMethods(t *testing.T) {
	for method, want := range map[string]string{
		"/other.E/Any":                 "4 attempts in 7s with []",
		"/a.B/Like":                    "4 attempts in 7s with []",
		"/a.B/Other":                   "1 attempts in 9s with [wait true]",
		"/a.B/Get":                     "3 attempts in 0s with [send 5]",
		"/a.B/Put":                     "1 attempts in 0s with [wait false receive 6]",
		"/c.D/One":                     "1 attempts in 9s with [wait true]",
		"/c.D/Two":                     "4 attempts in 7s with []",
		"/grpc.health.v1.Health/Watch": "1 attempts in 9s with [wait true]",
		"/odd name/..":                 "4 attempts in 7s with []",
	} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			attempts, left := 0, time.Duration(0)
			var opts []string
			look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				mu.Lock()
				defer mu.Unlock()
				if deadline, ok := ctx.Deadline(); ok && attempts == 0 {
					left = time.Until(deadline)
				}
				attempts++
				if attempts == 1 {
					opts = described(call.Options())
				}
				return next(ctx, call)
			})
			conn := chain(t, parse(t, several), look).ClientConn(hauberktest.Conn{
				Outcome: func(string) error { return status.Error(codes.Unavailable, "down") },
			})
			err := conn.Invoke(t.Context(), method, nil, new(testpb.Response))
			if got := fmt.Sprintf("%d attempts in %v with %v", attempts, left, opts); got != want || status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %s, want %s; %v", method, got, want, err)
			}
		})
	}
}

// TestHealthWatch: a timeout of all methods bounds health watches, too, as in grpc-go. By default deadline leaves them
// alone.
func TestHealthWatch(t *testing.T) {
	const method = "/grpc.health.v1.Health/Watch"
	for config, want := range map[string]time.Duration{
		`{"methodConfig": [{"name": [{}], "timeout": "7s"}]}`:                                                                    7 * time.Second,
		`{"methodConfig": [{"name": [{}], "timeout": "7s"}, {"name": [{"service": "grpc.health.v1.Health"}], "timeout": "8s"}]}`: 8 * time.Second,
		`{"methodConfig": [{"name": [{}], "timeout": "7s"},
			{"name": [{"service": "grpc.health.v1.Health", "method": "Watch"}], "timeout": "9s"}]}`: 9 * time.Second,
		`{"methodConfig": [{"name": [{}], "timeout": "7s"}, {"name": [{"service": "grpc.health.v1.Health"}]}]}`: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			var left time.Duration
			look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				if deadline, ok := ctx.Deadline(); ok {
					left = time.Until(deadline)
				}
				return next(ctx, call)
			})
			conn := chain(t, parse(t, config), look).ClientConn(hauberktest.Conn{})
			if err := conn.Invoke(t.Context(), method, nil, new(testpb.Response)); err != nil || left != want {
				t.Errorf("%s: %v left, want %v; %v", config, left, want, err)
			}
		})
	}
}

// described returns the options that a service config can set.
func described(opts []grpc.CallOption) (texts []string) {
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.FailFastCallOption:
			texts = append(texts, fmt.Sprintf("wait %t", !o.FailFast))
		case grpc.MaxSendMsgSizeCallOption:
			texts = append(texts, fmt.Sprintf("send %d", o.MaxSendMsgSize))
		case grpc.MaxRecvMsgSizeCallOption:
			texts = append(texts, fmt.Sprintf("receive %d", o.MaxRecvMsgSize))
		}
	}
	return texts
}

// TestCallOptions: what a call or its connection says about waiting counts, and so do its limits if they are lower.
func TestCallOptions(t *testing.T) {
	config := parse(t, `{"methodConfig": [{"name": [{}], "waitForReady": true, "maxRequestMessageBytes": 10, "maxResponseMessageBytes": 10}]}`)
	for _, wrapped := range []bool{false, true} {
		for _, c := range []struct {
			defaults, opts []grpc.CallOption
			want           string
		}{
			{nil, nil, "[wait true send 10 receive 10]"},
			{nil, []grpc.CallOption{grpc.WaitForReady(false)}, "[wait false send 10 receive 10]"},
			{[]grpc.CallOption{grpc.WaitForReady(false), grpc.MaxCallSendMsgSize(5)}, nil, "[wait false send 5 receive 10]"},
			{nil, []grpc.CallOption{grpc.MaxCallSendMsgSize(5), grpc.MaxCallRecvMsgSize(10)}, "[send 5 receive 10 wait true]"},
			{
				[]grpc.CallOption{grpc.MaxCallSendMsgSize(5)},
				[]grpc.CallOption{grpc.MaxCallSendMsgSize(50)},
				"[send 5 send 50 wait true send 10 receive 10]",
			},
			{[]grpc.CallOption{grpc.MaxCallRecvMsgSize(9)}, nil, "[receive 9 wait true send 10]"},
		} {
			var got string
			look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				got = fmt.Sprint(described(call.Options()))
				return next(ctx, call)
			})
			chain := chain(t, config, look)
			dial := []grpc.DialOption{grpc.WithDefaultCallOptions(c.defaults...)}
			setup := hauberktest.Setup{Client: chain, DialOptions: dial}
			if !wrapped {
				setup = hauberktest.Setup{DialOptions: chain.DialOptions(dial...)}
			}
			env := hauberktest.Start(t, setup)
			var conn grpc.ClientConnInterface = env.Client
			if wrapped {
				conn = env.Conn
			}
			_, err := testpb.NewTestServiceClient(conn).Unary(t.Context(), &testpb.Request{Text: "x"}, c.opts...)
			if got != c.want || err != nil {
				t.Errorf("wrapped %t: options %s, want %s; %v", wrapped, got, c.want, err)
			}
		}
	}
}

// TestLimits: messages over the limits of a service config end calls of all kinds, as they do with grpc-go.
func TestLimits(t *testing.T) {
	const config = `{"methodConfig": [{"name": [{}], %s: 20}]}`
	for _, c := range []struct{ field, text, want string }{
		{`"maxRequestMessageBytes"`, "a request of more than twenty bytes", "larger than max"},
		{`"maxResponseMessageBytes"`, "sixteen in bytes", "larger than max"}, // the response has 5 more
		{`"maxRequestMessageBytes"`, "short", ""},
		{`"maxResponseMessageBytes"`, "short", ""},
	} {
		text := fmt.Sprintf(config, c.field)
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
			ours := hauberktest.Start(t, hauberktest.Setup{Kind: kind, Client: chain(t, parse(t, text))})
			theirs := hauberktest.Start(t, hauberktest.Setup{Kind: kind, DialOptions: []grpc.DialOption{grpc.WithDefaultServiceConfig(text)}})
			for _, env := range []*hauberktest.Env{ours, theirs} {
				out := env.Call(t.Context(), c.text)
				if c.want == "" && out.Err != nil || c.want != "" && (!hauberk.MessageTooLarge(out.Err) || !strings.Contains(out.Err.Error(), c.want)) {
					t.Errorf("%s, %v, ours %t: %v, want %q", c.field, kind, env == ours, out.Err, c.want)
				}
			}
		}
	}
}

// TestBudget: a budget for a service config without retryThrottling bounds retries and hedges.
func TestBudget(t *testing.T) {
	config := parse(t, several)
	for _, method := range []string{"/other.E/Any", "/a.B/Get"} {
		synctest.Test(t, func(t *testing.T) {
			budget := retrybudget.New(retrybudget.Config{Reserve: 1, Ratio: 0.001})
			var calls int
			var mu sync.Mutex
			client := config.Client(serviceconfig.WithBudget(budget), serviceconfig.WithMaxCallAttempts(2))
			conn := hauberk.Must(hauberk.New(client.All()...)).ClientConn(hauberktest.Conn{Outcome: func(string) error {
				mu.Lock()
				defer mu.Unlock()
				calls++
				return status.Error(codes.Unavailable, "down")
			}})
			for range 3 {
				_ = conn.Invoke(t.Context(), method, nil, new(testpb.Response))
			}
			if calls != 4 || client.Budget != budget {
				t.Errorf("%s: %d attempts of 3 calls, want one more", method, calls)
			}
		})
	}
}
