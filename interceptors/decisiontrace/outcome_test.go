package decisiontrace_test

import (
	"cmp"
	"context"
	"runtime"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The caller receives the trace for any outcome of an authenticated call.
func TestOutcomes(t *testing.T) {
	quiet := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })
	answer := func(err error) *hauberktest.Backend {
		return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if err == nil {
				return hauberktest.Echo(ctx, s)
			}
			return err
		}}
	}
	for name, test := range map[string]struct {
		inner   hauberk.Interceptor
		backend *hauberktest.Backend
		method  string // "" for that of the kind
		code    codes.Code
		want    []hauberk.Decision
	}{
		"OK": {inner: quiet, want: []hauberk.Decision{authnAllowed, limitAllowed, shadowRejected}},
		"rejected": {
			inner: rejecter{errRejected}, code: codes.PermissionDenied,
			want: []hauberk.Decision{authnAllowed, limitAllowed, shadowRejected, rejecterRejected},
		},
		"rejected without a record": {
			inner: hauberk.Named("rules", hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return errRejected })),
			code:  codes.PermissionDenied,
			want: []hauberk.Decision{
				authnAllowed, limitAllowed, shadowRejected,
				{Interceptor: "rules", Verdict: hauberk.Rejected, Reason: "NOT_ALLOWED"},
			},
		},
		"failed": {
			inner: quiet, backend: answer(status.Error(codes.NotFound, "none")), code: codes.NotFound,
			want: []hauberk.Decision{authnAllowed, limitAllowed, shadowRejected},
		},
		"header first": {
			inner: quiet, code: codes.Aborted,
			backend: &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
				return cmp.Or(s.SendHeader(metadata.Pairs("first", "yes")), status.Error(codes.Aborted, "late"))
			}},
			want: []hauberk.Decision{authnAllowed, limitAllowed, shadowRejected},
		},
		"panic in the handler": {
			inner: quiet, code: codes.Internal,
			backend: &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { panic("bomb") }},
			want:    []hauberk.Decision{authnAllowed, limitAllowed, shadowRejected},
		},
		"panic in an interceptor": {
			inner: hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("bomb") }),
			code:  codes.Internal,
			want:  []hauberk.Decision{authnAllowed, limitAllowed, shadowRejected},
		},
		"Goexit": {
			inner: quiet, code: codes.Internal,
			backend: &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
				runtime.Goexit()
				return nil
			}},
			want: []hauberk.Decision{authnAllowed, limitAllowed, shadowRejected},
		},
		"unknown method": { // the limiter does not decide on it
			inner: quiet, method: unknownMethod, code: codes.Unimplemented,
			want: []hauberk.Decision{authnAllowed, shadowRejected},
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, c hauberktest.Case) {
				env := c.StartWith(t, test.backend, traces(), guard(), bearer(), limit(), shadowed, test.inner)
				method := test.method
				if method == "" {
					method = hauberktest.FullMethod(c.Kind)
				}
				out := env.Do(as(patient(t), "ops"), method, []*testpb.Request{{Text: "hello"}})
				if got := status.Code(out.Err); got != test.code {
					t.Errorf("code %s (%v), want %s", got, out.Err, test.code)
				}
				wantTrace(t, out.Trailer, test.want)
			})
		})
	}
}
