package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// TestNeutralOutcomes: an outcome that says nothing about the server neither opens a
// closed circuit nor resets its count. A probe gives its permit back.
func TestNeutralOutcomes(t *testing.T) {
	soon := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // less than MinTimeout
		t.Cleanup(cancel)
		return ctx
	}
	for name, c := range map[string]struct {
		ctx     func(t *testing.T) context.Context
		answer  codes.Code
		text    string
		neutral bool
		code    codes.Code
	}{
		"expired before": {ctx: func(t *testing.T) context.Context {
			ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
			t.Cleanup(cancel)
			return ctx
		}, neutral: true, code: codes.DeadlineExceeded},
		"cancelled before": {ctx: func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}, neutral: true, code: codes.Canceled},
		"not encodable":                     {text: "\xff", neutral: true, code: codes.Internal},
		"DEADLINE_EXCEEDED in a hurry":      {ctx: soon, answer: codes.DeadlineExceeded, neutral: true, code: codes.DeadlineExceeded},
		"DEADLINE_EXCEEDED without a hurry": {answer: codes.DeadlineExceeded, code: codes.DeadlineExceeded},
		"UNAVAILABLE in a hurry":            {ctx: soon, answer: codes.Unavailable, code: codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				config := config
				config.MinTimeout = 30 * time.Second
				w := start(t, kind, config)
				call := func() {
					ctx := t.Context()
					if c.ctx != nil {
						ctx = c.ctx(t)
					}
					w.answer.Store(uint32(c.answer))
					if err := w.Call(ctx, c.text).Err; status.Code(err) != c.code {
						t.Errorf("got %v, want %s", err, c.code)
					}
				}
				_ = w.call(t, codes.Unavailable)
				call()
				want := 2
				if c.neutral {
					want = 1
				}
				if got := w.breaker.Failures()[service]; got != want {
					t.Errorf("%d failures, want %d", got, want)
				}
				for range 3 {
					_ = w.call(t, codes.Unavailable)
				}
				w.clock.Advance(time.Minute)
				call() // a probe
				if c.neutral {
					w.wantState(t, breaker.HalfOpen)
					if err := w.call(t, codes.OK); err != nil {
						t.Errorf("the next probe: %v", err)
					}
				} else {
					w.wantState(t, breaker.Open)
				}
			})
		})
	}
}

// TestMessageTooLarge: a message over a size limit of either side says nothing about the server, also if
// RESOURCE_EXHAUSTED is a failure.
func TestMessageTooLarge(t *testing.T) {
	for _, limit := range []grpc.CallOption{grpc.MaxCallSendMsgSize(20), grpc.MaxCallRecvMsgSize(20)} {
		for _, counted := range []bool{true, false} {
			kinds(t, func(t *testing.T, kind hauberk.Kind) {
				config := config
				config.FailureCodes = []codes.Code{codes.Unavailable}
				if counted {
					config.FailureCodes = append(config.FailureCodes, codes.ResourceExhausted)
				}
				w := start(t, kind, config)
				_ = w.call(t, codes.Unavailable)
				w.answer.Store(uint32(codes.OK))
				out := w.Do(t.Context(), hauberktest.FullMethod(kind), []*testpb.Request{{Text: "more than twenty bytes"}}, limit)
				if !hauberk.MessageTooLarge(out.Err) {
					t.Errorf("the call ended with %v", out.Err)
				}
				if got := w.breaker.Failures()[service]; got != 1 {
					t.Errorf("%d failures after a large message, want 1", got)
				}
				_ = w.call(t, codes.ResourceExhausted)
				want := 0
				if counted {
					want = 2
				}
				if got := w.breaker.Failures()[service]; got != want {
					t.Errorf("%d failures after RESOURCE_EXHAUSTED of the server, want %d", got, want)
				}
			})
		}
	}
}

// TestInnerAnswersCount: a reply or a plain status of an inner interceptor is an outcome
// like another.
func TestInnerAnswersCount(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		var answer error
		w := start(t, kind, config, hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
			if answer != nil {
				return answer
			}
			return call.Reply(&testpb.Response{})
		}))
		for _, c := range []struct {
			answer   error
			failures int
		}{
			{status.Error(codes.Unavailable, "injected"), 1},
			{context.DeadlineExceeded, 1}, // before anything was sent
			{status.Error(codes.Internal, "injected"), 2},
			{nil, 0},
		} {
			answer = c.answer
			_ = w.Call(t.Context())
			if got := w.breaker.Failures()[service]; got != c.failures {
				t.Errorf("%d failures after %v, want %d", got, answer, c.failures)
			}
		}
	})
}

// TestTokensDown: a source of tokens or credentials that fail say nothing about the service,
// with or without a status.
func TestTokensDown(t *testing.T) {
	for _, down := range []error{status.Error(codes.Unavailable, "token endpoint"), errors.New("token endpoint")} {
		source := authn.TokenFunc(func(context.Context) (string, error) { return "", down })
		for name, inner := range map[string][]hauberk.Interceptor{
			"authn.NewClient":               {authn.NewClient(source, authn.ClientConfig{AllowClearText: true})},
			"authn.NewClient in an adapter": {passing, authn.NewClient(source, authn.ClientConfig{})},
			"credentials":                   {transform.New(transform.Config{}, transform.WithCredentials(failing{down}))},
			"credentials in authn.NewClient": {
				transform.New(transform.Config{}, transform.WithCredentials(failing{down})),
				authn.NewClient(authn.StaticToken("t"), authn.ClientConfig{}),
			},
		} {
			t.Run(name, func(t *testing.T) {
				kinds(t, func(t *testing.T, kind hauberk.Kind) {
					w := start(t, kind, config, inner...)
					for range 3 {
						if w.call(t, codes.OK) == nil {
							t.Error("a call has succeeded")
						}
					}
					w.wantState(t, breaker.Closed)
					if n := w.breaker.Failures()[service]; n != 0 || w.calls.Load() != 0 {
						t.Errorf("%d failures, %d calls at the server", n, w.calls.Load())
					}
				})
			})
		}
	}
}

// failing are credentials that fail.
type failing struct{ err error }

func (f failing) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, f.err
}
func (f failing) RequireTransportSecurity() bool { return false }

// passing is an adapter of interceptors of grpc-go that change nothing.
var passing = hauberk.FromClient(
	func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoke(ctx, method, req, reply, cc, opts...)
	},
	func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return open(ctx, desc, cc, method, opts...)
	})

// TestNoConnection: a connection that cannot be made is a failure.
func TestNoConnection(t *testing.T) {
	hauberktest.CheckLeaks(t)
	b := breaker.New(breaker.Config{FailureThreshold: 2})
	conn, err := grpc.NewClient("passthrough:///127.0.0.1:1", append(
		hauberk.Must(hauberk.New(b)).DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := testpb.NewTestServiceClient(conn)
	for range 2 {
		if _, err := client.Unary(t.Context(), &testpb.Request{}); errors.Is(err, breaker.ErrOpen) {
			t.Errorf("rejected too early: %v", err)
		}
	}
	if _, err := client.Unary(t.Context(), &testpb.Request{}); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("got %v, want a rejection", err)
	}
}

// TestBreakerKeepsCause: the last failure is the cause of a rejection, in process only.
func TestBreakerKeepsCause(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		down := status.Error(codes.Unavailable, "connection refused")
		w := start(t, kind, breaker.Config{FailureThreshold: 3}, hauberk.Func(
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				_ = next(ctx, call)
				return fmt.Errorf("attempt: %w", down)
			},
		))
		for range 3 {
			_ = w.call(t, codes.Unavailable)
		}
		err := w.call(t, codes.OK)
		if !errors.Is(err, down) || !errors.Is(err, breaker.ErrOpen) || errors.Is(err, breaker.ErrHalfOpen) {
			t.Errorf("got %v, want the last failure and ErrOpen in it", err)
		}
		cause := fmt.Sprint(errors.Unwrap(err), errors.Unwrap(errors.Unwrap(err)))
		if !strings.Contains(cause, "connection refused") || !strings.Contains(cause, service) {
			t.Errorf("the causes are %s; want the last failure and the circuit in them", cause)
		}
		if st := status.Convert(err); strings.Contains(st.Proto().String(), "connection") {
			t.Errorf("the status has the cause: %v", st)
		}
	})
}

// TestRejectionNamesTheCircuit: the ErrorInfo and the decision name the circuit.
func TestRejectionNamesTheCircuit(t *testing.T) {
	kinds(t, func(t *testing.T, kind hauberk.Kind) {
		var rules []string
		clock := hauberktest.NewClock()
		b := breaker.New(config, breaker.WithClock(clock.Now))
		look := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			for _, d := range call.Decisions().Recorded() {
				if d.Verdict == hauberk.Rejected {
					rules = append(rules, d.Rule)
				}
			}
			return err
		})
		backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
			return status.Error(codes.Unavailable, "down")
		}}
		env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, backend, look, b)
		var err error
		for range 4 {
			err = env.Call(t.Context()).Err
		}
		var name string
		for _, detail := range status.Convert(err).Details() {
			if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetReason() == breaker.ReasonOpen {
				name = info.GetMetadata()["circuit"]
			}
		}
		if name != service {
			t.Errorf("the ErrorInfo of %v names %q", err, name)
		}
		if len(rules) != 1 || rules[0] != service {
			t.Errorf("the rules of the rejections are %q", rules)
		}
	})
}
