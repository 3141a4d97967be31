package authn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

func client(kind hauberk.Kind) hauberktest.Case {
	return hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
}

// numbered gives the tokens t1, t2 and so on.
func numbered() authn.TokenSource {
	var n atomic.Int64
	return authn.TokenFunc(func(context.Context) (string, error) { return fmt.Sprintf("t%d", n.Add(1)), nil })
}

// arrivals keeps the authorization of each call that arrives, and fails the first
// few of them.
type arrivals struct {
	fail int
	got  [][]string
}

func (a *arrivals) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		a.got = append(a.got, metadata.ValueFromIncomingContext(ctx, "authorization"))
		if len(a.got) <= a.fail {
			return status.Error(codes.Unavailable, "not yet")
		}
		return hauberktest.Echo(ctx, s)
	}}
}

func (a *arrivals) want(t *testing.T, want ...[]string) {
	t.Helper()
	if !slices.EqualFunc(a.got, want, slices.Equal) {
		t.Errorf("calls arrived with %q; want %q", a.got, want)
	}
}

func TestSends(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		env := client(kind).StartWith(t, a.backend(), authn.NewClient(numbered(), authn.ClientConfig{AllowClearText: true}))
		for range 2 {
			if out := env.Call(metadata.AppendToOutgoingContext(t.Context(), "other", "kept")); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
		a.want(t, []string{"Bearer t1"}, []string{"Bearer t2"})
	})
}

// What the caller has set under the key is sent, and nothing else.
func TestCallersOwn(t *testing.T) {
	for _, own := range [][]string{{"Bearer mine"}, {"Basic bWluZQ=="}, {"a", "b"}} {
		eachKind(t, func(t *testing.T, kind hauberk.Kind) {
			var a arrivals
			source := func(context.Context) (string, error) { return "", errors.New("asked") }
			env := client(kind).StartWith(t, a.backend(), authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true}))
			ctx := t.Context()
			for _, v := range own {
				ctx = metadata.AppendToOutgoingContext(ctx, "Authorization", v)
			}
			if out := env.Call(ctx); out.Err != nil {
				t.Fatal(out.Err)
			}
			a.want(t, own)
		})
	}
}

// Inside a retry each attempt has its own token; outside, all have the same.
func TestAttempts(t *testing.T) {
	retry := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Replayable(1 << 10)
		err := next(ctx, call)
		for i := 0; i < 2 && status.Code(err) == codes.Unavailable; i++ {
			err = next(ctx, call)
		}
		return err
	})
	for _, kind := range kinds {
		for _, inside := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/inside %t", kind, inside), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				a := arrivals{fail: 2}
				interceptors := []hauberk.Interceptor{retry, authn.NewClient(numbered(), authn.ClientConfig{AllowClearText: true})}
				want := [][]string{{"Bearer t1"}, {"Bearer t2"}, {"Bearer t3"}}
				if !inside {
					slices.Reverse(interceptors)
					want = [][]string{{"Bearer t1"}, {"Bearer t1"}, {"Bearer t1"}}
				}
				if out := client(kind).StartWith(t, a.backend(), interceptors...).Call(t.Context()); out.Err != nil {
					t.Fatal(out.Err)
				}
				a.want(t, want...)
			})
		}
	}
}

func TestSourceFails(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name    string
		token   string
		err     error
		code    codes.Code
		message string
		reason  string
		cause   error
	}{
		{"any error", "", boom, codes.Unauthenticated, "No token", authn.ReasonNoToken, boom},
		{"its sentinel", "", boom, codes.Unauthenticated, "No token", authn.ReasonNoToken, authn.ErrTokenSource},
		{"a token with the error", "t", boom, codes.Unauthenticated, "No token", authn.ReasonNoToken, boom},
		{"a status", "", status.Error(codes.Unavailable, "down"), codes.Unavailable, "down", authn.ReasonNoToken, authn.ErrTokenSource},
		{"a rejection", "", hauberk.Reject(codes.PermissionDenied, "NO", "no"), codes.PermissionDenied, "no", "NO", nil},
		{"UNKNOWN", "", status.Error(codes.Unknown, "?"), codes.Unauthenticated, "No token", authn.ReasonNoToken, authn.ErrTokenSource},
		{"its own deadline", "", context.DeadlineExceeded, codes.Unauthenticated, "No token", authn.ReasonNoToken, authn.ErrTokenSource},
		{"no token", "", nil, codes.Unauthenticated, "Malformed token", authn.ReasonNoToken, authn.ErrTokenSource},
		{"line break", "secret\n", nil, codes.Unauthenticated, "Malformed token", authn.ReasonNoToken, authn.ErrTokenSource},
		{"split header", "t\r\nx-admin: 1", nil, codes.Unauthenticated, "Malformed token", authn.ReasonNoToken, authn.ErrTokenSource},
		{"space", "a b", nil, codes.Unauthenticated, "Malformed token", authn.ReasonNoToken, authn.ErrTokenSource},
		{"scheme", "Bearer t", nil, codes.Unauthenticated, "Malformed token", authn.ReasonNoToken, authn.ErrTokenSource},
		{"not ASCII", "tökén", nil, codes.Unauthenticated, "Malformed token", authn.ReasonNoToken, authn.ErrTokenSource},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, kind hauberk.Kind) {
				var a arrivals
				source := func(context.Context) (string, error) { return test.token, test.err }
				out := client(kind).StartWith(t, a.backend(), authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true})).Call(t.Context())
				if st := hauberk.StatusOf(out.Err); st.Code() != test.code || st.Message() != test.message {
					t.Errorf("%s, %q; want %s, %q", st.Code(), st.Message(), test.code, test.message)
				}
				if test.cause != nil && test.err != nil && !strings.Contains(out.Err.Error(), test.err.Error()) {
					t.Errorf("%q; want the text of %q", out.Err, test.err)
				}
				if reason := hauberk.Reason(out.Err); reason != test.reason {
					t.Errorf("reason %q; want %q", reason, test.reason)
				}
				if test.cause != nil && !errors.Is(out.Err, test.cause) {
					t.Errorf("%v does not wrap %v", out.Err, test.cause)
				}
				a.want(t)
			})
		})
	}
}

// hauberk.New reports a token that no call could send, by what is wrong with it and without
// the token itself. The error of a call has the same cause.
func TestStaticTokens(t *testing.T) {
	for token, want := range map[string]string{
		"":                 "the token is empty",
		"Bearer s3cret":    "give the token without Bearer",
		"bearer s3cret":    "give the token without Bearer",
		"s3cret\n":         "want letters, digits",
		"Basic s3cret":     "want letters, digits",
		"Bearer":           "", // a token
		"s3cret":           "",
		"s3c.ret-_~+/9A==": "",
	} {
		_, err := hauberk.New(authn.NewClient(authn.StaticToken(token), authn.ClientConfig{AllowClearText: true}))
		if want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", token, err, want)
		}
		source := func(context.Context) (string, error) { return token, nil }
		cause := hauberktest.Direct{}.Client(hauberk.Must(hauberk.New(authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true}))))(t.Context())
		if r := hauberk.RejectionOf(cause); want != "" && (r == nil || !strings.Contains(r.Cause.Error(), want)) {
			t.Errorf("%q: the cause of %v is %v, want %q in it", token, cause, r, want)
		}
		for _, err := range []error{err, cause} {
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the token is in %v", err)
			}
		}
	}
}

// hauberk.New does not ask other sources: a token may not be there yet, and costs a call.
func TestNewDoesNotAsk(t *testing.T) {
	source := func(context.Context) (string, error) {
		t.Error("the source was asked")
		return "", nil
	}
	hauberk.Must(hauberk.New(authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true})))
}

// The context of a slow source ends with the call; nothing is sent.
func TestSlowSource(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		ctx, cancel := context.WithCancel(t.Context())
		source := func(ctx context.Context) (string, error) {
			cancel()
			<-ctx.Done()
			return "", fmt.Errorf("asked: %w", ctx.Err())
		}
		out := client(kind).StartWith(t, a.backend(), authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true})).Call(ctx)
		if got := status.Code(out.Err); got != codes.Canceled {
			t.Errorf("%s: %v; want %s", kind, out.Err, codes.Canceled)
		}
		a.want(t)
	})
}

// A token that comes too late is not sent.
func TestLateToken(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		ctx, cancel := context.WithCancel(t.Context())
		source := func(ctx context.Context) (string, error) {
			cancel()
			<-ctx.Done()
			return "t", nil
		}
		out := client(kind).StartWith(t, a.backend(), authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true})).Call(ctx)
		if got := status.Code(out.Err); got != codes.Canceled {
			t.Errorf("%s: %v; want %s", kind, out.Err, codes.Canceled)
		}
		a.want(t)
	})
}

func TestSourcePanics(t *testing.T) {
	eachKind(t, func(t *testing.T, kind hauberk.Kind) {
		var a arrivals
		source := func(context.Context) (string, error) { panic("boom") }
		env := client(kind).StartWith(t, a.backend(),
			guard(), authn.NewClient(authn.TokenFunc(source), authn.ClientConfig{AllowClearText: true}))
		wantStatus(t, env.Call(t.Context()).Err, codes.Internal, recovery.DefaultMessage)
		a.want(t)
	})
}
