package field_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// login gives all calls an identity, or none if it is nil.
func login(id *hauberk.Identity) hauberk.Interceptor {
	return hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if id != nil {
			hauberk.IdentityKey.Set(call, id)
		}
		return next(ctx, call)
	}), hauberk.Declaration{
		Name: "login", Phase: hauberk.PhaseAuthn, Writes: []hauberk.StateKey{hauberk.IdentityKey}, Authenticates: true,
	})
}

// TestTenant: the identity of the call gets the tenant of the request, unless it has another one.
func TestTenant(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Side == hauberk.ClientSide {
			return // identities are those of callers
		}
		for _, test := range []struct {
			own, asked, want string
			code             codes.Code
			reason           string
		}{
			{"", "shop", "shop", codes.OK, ""},
			{"shop", "shop", "shop", codes.OK, ""},
			{"bank", "shop", "", codes.PermissionDenied, field.ReasonMismatch},
			{"bank", "", "", codes.InvalidArgument, field.ReasonMissing},
		} {
			shared, got := &hauberk.Identity{Subject: "alice", Tenant: test.own}, ""
			out := c.Start(t, login(shared), field.Tenant(field.String("text")), see(func(call *hauberk.Call) {
				id, _ := hauberk.IdentityKey.Get(call)
				got = id.Tenant
			})).Call(t.Context(), test.asked)
			wantOutcome(t, out, test.code, test.reason)
			if got != test.want || shared.Tenant != test.own {
				t.Errorf("%+v: the tenant is %q, and the shared identity has %q", test, got, shared.Tenant)
			}
		}
		wantOutcome(t, c.Start(t, login(nil), field.Tenant(field.String("text"))).Call(t.Context(), ""), codes.OK, "")
	})
}

// TestTenantOfStream: no request for another tenant reaches the handler of a stream, wherever it is in the stream, and
// requests after the first need no value.
func TestTenantOfStream(t *testing.T) {
	other := []string{"shop", "", "bank", "shop"}
	for _, kind := range []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi} {
		for name, test := range map[string]struct {
			own      string // the tenant of the identity
			optional bool
			texts    []string
			want     []string // what the handler receives
			code     codes.Code
		}{
			"that of the caller":         {"shop", false, other, other[:2], codes.PermissionDenied},
			"chosen by the first":        {"", false, other, other[:2], codes.PermissionDenied},
			"optional, first without":    {"shop", true, []string{"", "bank"}, []string{""}, codes.PermissionDenied},
			"optional, none at all":      {"", true, []string{"", "bank"}, []string{"", "bank"}, codes.OK},
			"the same in each":           {"shop", false, []string{"shop", "shop"}, []string{"shop", "shop"}, codes.OK},
			"only in the first":          {"shop", false, []string{"shop", ""}, []string{"shop", ""}, codes.OK},
			"of another one in the last": {"shop", false, []string{"shop", "shop2"}, []string{"shop"}, codes.PermissionDenied},
		} {
			t.Run(kind.String()+"/"+name, func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				f := field.String("text")
				if test.optional {
					f = f.Optional()
				}
				got := make(chan []string, 1)
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					texts, err := received(s)
					got <- texts
					if err != nil {
						return err
					}
					return s.Send(&testpb.Response{})
				}}
				c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
				env := c.StartWith(t, backend, login(&hauberk.Identity{Subject: "alice", Tenant: test.own}), field.Tenant(f))
				out := env.Call(t.Context(), test.texts...)
				reason := ""
				if test.code != codes.OK {
					reason = field.ReasonMismatch
				}
				wantOutcome(t, out, test.code, reason)
				if texts := <-got; !slices.Equal(texts, test.want) {
					t.Errorf("the handler receives %q; want %q", texts, test.want)
				}
			})
		}
	}
}

// received returns the texts of a stream.
func received(s hauberktest.Stream) (texts []string, err error) {
	for {
		req, err := s.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return texts, nil
		case err != nil:
			return texts, err
		}
		texts = append(texts, req.GetText())
	}
}

// TestTenantLimits: limits by tenant count by the tenant of the request.
func TestTenantLimits(t *testing.T) {
	hauberktest.CheckLeaks(t)
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
	env := c.Start(t, login(&hauberk.Identity{Subject: "alice"}), field.Tenant(field.String("text")),
		ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.Tenant()}))
	wantOutcome(t, env.Call(t.Context(), "shop"), codes.OK, "")
	wantOutcome(t, env.Call(t.Context(), "bank"), codes.OK, "")
	wantOutcome(t, env.Call(t.Context(), "shop"), codes.ResourceExhausted, ratelimit.ReasonLimited)
}

// TestObservation: the value that Set keeps is an attribute of records of an outer interceptor, and a label of
// the metrics of an inner one.
func TestObservation(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var log bytes.Buffer
		handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})
		calls := metrics.New(metrics.Config{}, metrics.WithLabel("project", field.Label(projectKey)))
		env := c.Start(t,
			logging.New(logging.Config{}, logging.State("project", projectKey), logging.WithLogger(slog.New(handler))),
			field.Set(projectKey, field.String("text")), calls)
		wantOutcome(t, env.Call(t.Context(), "shop"), codes.OK, "")
		env.Server.GracefulStop() // the record of a server is written when its call has ended
		if !strings.Contains(log.String(), "project=shop") {
			t.Errorf("the log is %q", log.String())
		}
		if all := calls.Series(); len(all) != 1 || !slices.Equal(all[0].Labels, []string{"shop"}) {
			t.Errorf("the series are %+v; want one with the label shop", all)
		}
	})
}

// TestWait: a stream whose client sends nothing ends with its context, and nothing is left of it.
func TestWait(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		if !c.Kind.ClientStreams() {
			return
		}
		for name, x := range map[string]hauberk.Interceptor{
			"set": field.Set(projectKey, field.String("text")),
			"key": ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: field.String("text").Key()}),
		} {
			waits := make(chan struct{})
			first := see(func(*hauberk.Call) { close(waits) })
			env := c.Start(t, first, x)
			ctx, cancel := context.WithCancel(t.Context())
			client := testpb.NewTestServiceClient(env.Conn)
			ended := make(chan error, 1)
			go func() {
				stream, err := client.Bidi(ctx)
				if err == nil {
					_, err = stream.Recv()
				}
				ended <- err
			}()
			<-waits
			cancel()
			if err := <-ended; status.Code(err) != codes.Canceled {
				t.Errorf("%s: the stream ends with %v; want CANCELLED", name, err)
			}
		}
	})
}

// TestDeadline: a deadline of the server, and a timeout of receives, end the wait for a client that sends nothing.
func TestDeadline(t *testing.T) {
	for name, config := range map[string]deadline.Config{
		"default": {Default: time.Millisecond}, "max": {Max: time.Millisecond}, "receive": {ReceiveTimeout: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Bidi}
			env := c.Start(t, deadline.New(config), field.Set(projectKey, field.String("text")))
			stream, err := testpb.NewTestServiceClient(env.Conn).Bidi(t.Context())
			if err == nil {
				_, err = stream.Recv()
			}
			if status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("the stream ends with %v; want DEADLINE_EXCEEDED", err)
			}
		})
	}
}

// TestWithoutMessage: a stream that ends without a message has no value.
func TestWithoutMessage(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Kind != hauberk.Bidi {
			return
		}
		env := c.Start(t, field.Set(projectKey, field.String("text")))
		stream, err := testpb.NewTestServiceClient(env.Conn).Bidi(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
		_, err = stream.Recv()
		wantOutcome(t, hauberktest.Outcome{Err: err}, codes.InvalidArgument, field.ReasonMissing)
	})
}

// TestOf: the value is read again each time, and a message of another kind has none.
func TestOf(t *testing.T) {
	hauberktest.CheckLeaks(t)
	f := field.String("text")
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.ClientStream}
	wantOutcome(t, c.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		for range 2 {
			if got, ok := f.Of(ctx, call); got != "a" || !ok {
				t.Errorf("the value is %q, %t", got, ok)
			}
		}
		return next(ctx, call)
	})).Call(t.Context(), "a", "b"), codes.OK, "")
	for _, msg := range []any{nil, "text", []byte("text"), &testpb.Response{Text: "a"}, &testpb.Request{}} {
		want := ""
		if _, ok := msg.(*testpb.Response); ok {
			want = "a" // it has the path
		}
		if got, ok := f.OfMessage(msg); got != want || ok != (want != "") {
			t.Errorf("the value of a %T is %q, %t", msg, got, ok)
		}
	}
	if _, ok := (field.Field{}).OfMessage(&testpb.Request{Text: "a"}); ok {
		t.Error("a zero Field has a value")
	}
}
