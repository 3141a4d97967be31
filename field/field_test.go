package field_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// projectKey is where Set keeps the text of a request.
var projectKey = hauberk.NewKey[string]("project")

// see calls what with the call that an inner interceptor gets.
func see(what func(call *hauberk.Call)) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		what(call)
		return next(ctx, call)
	})
}

// wantOutcome checks the code and the reason of a call.
func wantOutcome(t *testing.T, out hauberktest.Outcome, code codes.Code, reason string) {
	t.Helper()
	if status.Code(out.Err) != code || hauberk.Reason(out.Err) != reason {
		t.Errorf("the call ends with %v (%s); want %v (%s)", out.Err, hauberk.Reason(out.Err), code, reason)
	}
}

// TestSet: inner interceptors find the value in the state, for every kind and side, and the call goes on with
// all its messages.
func TestSet(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for _, f := range []field.Field{field.String("text"), field.String("other.text", "text").Optional()} {
			got := ""
			x := field.Set(projectKey, f)
			if c.Side == hauberk.ServerSide && f.Name() != "text" {
				continue // Start would report the path that no request has
			}
			out := c.Start(t, x, see(func(call *hauberk.Call) { got, _ = projectKey.Get(call) })).
				Call(t.Context(), "shop", "more")
			wantOutcome(t, out, codes.OK, "")
			if text := strings.Join(out.Texts(), " "); got != "shop" || !strings.HasPrefix(text, "echo:shop") ||
				strings.Contains(text, "more") != c.Kind.ClientStreams() {
				t.Errorf("the state is %q, and the response %q", got, text)
			}
		}
	})
}

// TestKinds: numbers are in decimal.
func TestKinds(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		got := ""
		env := c.Start(t, field.Set(projectKey, field.Int("count")), see(func(call *hauberk.Call) { got, _ = projectKey.Get(call) }))
		wantOutcome(t, env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{{Count: 3}}), codes.OK, "")
		if got != "3" {
			t.Errorf("the state is %q; want 3", got)
		}
	})
}

// TestMissing: a call without a value is rejected with the name of the field, or passes if that is optional.
func TestMissing(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		required, optional := field.Set(projectKey, field.String("text")), field.Set(projectKey, field.String("text").Optional())
		out := c.Start(t, required).Call(t.Context(), "")
		wantOutcome(t, out, codes.InvalidArgument, field.ReasonMissing)
		if c.Side == hauberk.ClientSide && !errors.Is(out.Err, field.ErrMissing) {
			t.Errorf("%v is not ErrMissing", out.Err)
		}
		if got := violation(out.Err); got != "text" {
			t.Errorf("the violation is of %q; want text", got)
		}
		set := true
		wantOutcome(t, c.Start(t, optional, see(func(call *hauberk.Call) { _, set = projectKey.Get(call) })).
			Call(t.Context(), ""), codes.OK, "")
		if set {
			t.Error("a call without a value has state")
		}
		long := strings.Repeat("x", field.MaxValue)
		wantOutcome(t, c.Start(t, required).Call(t.Context(), long), codes.OK, "")
		wantOutcome(t, c.Start(t, optional).Call(t.Context(), long+"x"), codes.InvalidArgument, field.ReasonTooLong)
	})
}

// violation returns the field of the first violation of an error.
func violation(err error) string {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			return bad.GetFieldViolations()[0].GetField()
		}
	}
	return ""
}

// TestChanges: what outer interceptors change is seen, and what inner ones change is not.
func TestChanges(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		change := func(letter string) hauberk.Interceptor {
			return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnReceive(func(msg any) (bool, error) {
					if req, ok := msg.(*testpb.Request); ok {
						req.Text += letter
					}
					return true, nil
				})
				call.OnSend(func(msg any, emit func(any) error) error {
					if req, ok := msg.(*testpb.Request); ok {
						msg = &testpb.Request{Text: req.GetText() + letter}
					}
					return emit(msg)
				})
				return next(ctx, call)
			})
		}
		got := ""
		after := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			got, _ = projectKey.Get(call)
			return err
		})
		wantOutcome(t, c.Start(t, after, change("1"), field.Set(projectKey, field.String("text")), change("2")).
			Call(t.Context(), "a"), codes.OK, "")
		want := "a1"
		if c.Side == hauberk.ClientSide && c.Kind.ClientStreams() {
			want = "a" // as the application has passed it
		}
		if got != want {
			t.Errorf("the state is %q; want %q", got, want)
		}
	})
}

// TestKey: limits count calls by the field, and those without a value by their peer.
func TestKey(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		env := c.Start(t, ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: field.String("text").Key()}))
		for _, call := range []struct {
			text string
			want codes.Code
		}{
			{"a", codes.OK},
			{"b", codes.OK},
			{"a", codes.ResourceExhausted},
			{"", codes.OK},
			{"", codes.ResourceExhausted},
			{"b", codes.ResourceExhausted},
			{"c", codes.OK},
		} {
			if out := env.Call(t.Context(), call.text, "b"); status.Code(out.Err) != call.want {
				t.Errorf("%q: %v; want %v", call.text, out.Err, call.want)
			}
		}
	})
}

// TestAll: a key of several values has that of the field.
func TestAll(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		by := callkey.All(callkey.Method(), field.String("text").Key())
		env := c.Start(t, ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: by}))
		wantOutcome(t, env.Call(t.Context(), "a"), codes.OK, "")
		wantOutcome(t, env.Call(t.Context(), "b"), codes.OK, "")
		wantOutcome(t, env.Call(t.Context(), "a"), codes.ResourceExhausted, ratelimit.ReasonLimited)
	})
}

// TestPerMessage: each message takes from the quota of its own field, and a message without one from that of
// the peer.
func TestPerMessage(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for name, call := range map[string]struct {
			texts []string
			want  codes.Code
		}{
			"different": {[]string{"a", "b", "c", ""}, codes.OK},
			"the same":  {[]string{"a", "b", "a"}, codes.ResourceExhausted},
			"none":      {[]string{"", "b", ""}, codes.ResourceExhausted},
		} {
			if !c.Kind.ClientStreams() && call.want != codes.OK {
				continue // it has one message
			}
			x := ratelimit.New(ratelimit.Config{
				Limit: 1, Per: time.Hour, By: field.String("text").PerMessage().Key(), Cost: ratelimit.Cost{Message: 1},
			})
			env := c.Start(t, x)
			if out := env.Call(t.Context(), call.texts...); status.Code(out.Err) != call.want {
				t.Errorf("%s: %v; want %v", name, out.Err, call.want)
			}
			if out := env.Call(t.Context(), call.texts...); status.Code(out.Err) != codes.ResourceExhausted {
				t.Errorf("%s, again: %v; want RESOURCE_EXHAUSTED", name, out.Err)
			}
		}
	})
}

// TestConcurrency: calls in flight are counted by the field.
func TestConcurrency(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		started, goOn := make(chan struct{}), make(chan struct{})
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			req, err := s.Recv()
			if err != nil {
				return err
			}
			if req.GetCount() == 1 {
				close(started)
				<-goOn
			}
			return s.Send(&testpb.Response{})
		}}
		env := c.StartWith(t, backend, concurrency.New(concurrency.Config{Limit: 1, By: field.String("text").Key()}))
		call := func(text string, count int32) hauberktest.Outcome {
			return env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{{Text: text, Count: count}})
		}
		first := make(chan hauberktest.Outcome)
		go func() { first <- call("a", 1) }()
		<-started
		wantOutcome(t, call("a", 0), codes.ResourceExhausted, concurrency.ReasonFull)
		wantOutcome(t, call("b", 0), codes.OK, "")
		close(goOn)
		wantOutcome(t, <-first, codes.OK, "")
	})
}

// TestBreaker: circuits are by the field.
func TestBreaker(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Side == hauberk.ServerSide {
			return // breakers are for clients
		}
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			req, err := s.Recv()
			if err != nil {
				return err
			}
			if req.GetText() == "broken" {
				return status.Error(codes.Unavailable, "broken")
			}
			return s.Send(&testpb.Response{})
		}}
		env := c.StartWith(t, backend, breaker.New(breaker.Config{FailureThreshold: 1, Key: field.String("text").Key()}))
		wantOutcome(t, env.Call(t.Context(), "broken"), codes.Unavailable, "")
		wantOutcome(t, env.Call(t.Context(), "broken"), codes.Unavailable, breaker.ReasonOpen)
		wantOutcome(t, env.Call(t.Context(), "good"), codes.OK, "")
	})
}

// TestShadow: in dry run calls without a value are counted and not rejected, except that a client's stream of
// requests is not read.
func TestShadow(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		x := hauberk.Shadow(field.Set(projectKey, field.String("text")))
		env := c.Start(t, x)
		wantOutcome(t, env.Call(t.Context(), "a"), codes.OK, "")
		wantOutcome(t, env.Call(t.Context(), ""), codes.OK, "")
		want := int64(1)
		if c.Side == hauberk.ClientSide && c.Kind.ClientStreams() {
			want = 0
		}
		if x.Rejections() != want {
			t.Errorf("%d rejections; want %d", x.Rejections(), want)
		}
	})
}
