package ratelimit_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// quotaHeaders are those of a response that are about quotas.
func quotaHeaders(md metadata.MD) string {
	var lines []string
	for _, key := range []string{
		"ratelimit-policy", "ratelimit", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "grpc-retry-pushback-ms",
	} {
		for _, value := range md[key] {
			lines = append(lines, key+": "+value)
		}
	}
	return strings.Join(lines, "\n")
}

// The headers are in the header of calls that send something, and in the trailer of others, whose
// responses stay Trailers-Only.
func TestHeaders(t *testing.T) {
	const policy = `ratelimit-policy: "everything";q=4;w=1, "metadata:user";q=5;w=60` + "\n"
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			clock := hauberktest.NewClock()
			limiter := ratelimit.New(ratelimit.Config{
				Limit: 4, Per: 500 * time.Millisecond, By: callkey.Global(), Headers: ratelimit.AllHeaders,
				Also: []ratelimit.Config{{Limit: 5, Per: time.Minute, Burst: 2, By: callkey.Metadata("user")}},
			}, ratelimit.WithClock(clock.Now))
			fails := false
			env := hauberktest.Case{Kind: kind}.StartWith(t, &hauberktest.Backend{
				Handle: func(ctx context.Context, s hauberktest.Stream) error {
					if fails {
						return status.Error(codes.NotFound, "none")
					}
					return hauberktest.Echo(ctx, s)
				},
			}, limiter)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "user", "alice")
			out := env.Call(ctx)
			wantCode(t, out.Err, codes.OK)
			want := policy + `ratelimit: "metadata:user";r=1;t=12` + "\nx-ratelimit-limit: 5, 5;w=60\nx-ratelimit-remaining: 1\nx-ratelimit-reset: 12"
			if got := quotaHeaders(out.Header); got != want {
				t.Errorf("header\n%s\nwant\n%s", got, want)
			}
			if got := quotaHeaders(out.Trailer); got != "" {
				t.Errorf("trailer\n%s", got)
			}
			fails = true
			out = env.Call(ctx)
			wantCode(t, out.Err, codes.NotFound)
			want = policy + `ratelimit: "metadata:user";r=0;t=24` + "\nx-ratelimit-limit: 5, 5;w=60\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 24"
			if got := quotaHeaders(out.Trailer); got != want || len(out.Header) != 0 {
				t.Errorf("header %v, trailer\n%s\nwant\n%s", out.Header, got, want)
			}
			out = env.Call(ctx)
			wantCode(t, out.Err, codes.ResourceExhausted)
			if got := quotaHeaders(out.Trailer); got != want+"\ngrpc-retry-pushback-ms: 12000" || len(out.Header) != 0 {
				t.Errorf("header %v, trailer\n%s\nwant\n%s and a pushback", out.Header, got, want)
			}
		})
	}
}

// Without Headers, and on a client, there are none.
func TestNoHeaders(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		config := hourly(2, ratelimit.Cost{})
		if c.Side == hauberk.ClientSide {
			config.Headers = ratelimit.AllHeaders
		}
		out := c.Start(t, ratelimit.New(config)).Call(t.Context())
		wantCode(t, out.Err, codes.OK)
		if got := quotaHeaders(metadata.Join(out.Header, out.Trailer)); got != "" {
			t.Error(got)
		}
	})
}

// A call that no limit counts has no headers, and a name with any content is one string.
func TestLabels(t *testing.T) {
	name := "a\"b\\\nc"
	key := callkey.Func(name, func(_ context.Context, call *hauberk.Call) (string, bool) { return "k", true })
	config := hourly(1, ratelimit.Cost{Methods: map[string]int{"hauberk.test.v1.TestService/Bidi": 0}})
	config.By, config.Headers = key, ratelimit.RateLimit
	limiter := ratelimit.New(config)
	out := hauberktest.Case{}.Start(t, limiter).Call(t.Context())
	if got := out.Header["ratelimit"]; len(got) != 1 || got[0] != `"a_b__c";r=0;t=3600000` {
		t.Errorf("%q", got)
	}
	out = hauberktest.Case{Kind: hauberk.Bidi}.Start(t, limiter).Call(t.Context())
	if got := quotaHeaders(out.Header); got != "" || out.Err != nil {
		t.Errorf("%v, %s", out.Err, got)
	}
}

// Limiters of one chain send each header once: that of the limit of which the smallest part remains, or that rejects.
func TestHeadersOfSeveralLimiters(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		t.Run(kind.String(), func(t *testing.T) {
			limiters := []hauberk.Interceptor{
				ratelimit.New(ratelimit.Config{Limit: 1000, Per: time.Hour, By: callkey.Global(), Headers: ratelimit.XRateLimit}),
				ratelimit.New(ratelimit.Config{Limit: 2, Per: time.Hour, By: callkey.Method(), Headers: ratelimit.AllHeaders}),
				ratelimit.New(ratelimit.Config{Limit: 50, Per: time.Hour, By: callkey.Global(), Headers: ratelimit.RateLimit}),
			}
			env := hauberktest.Case{Kind: kind}.Start(t, limiters...)
			for _, remaining := range []string{"1", "0", "0"} {
				got := env.Call(t.Context())
				md := got.Header
				if got.Err != nil {
					wantCode(t, got.Err, codes.ResourceExhausted)
					md = got.Trailer
				}
				for _, key := range []string{"x-ratelimit-remaining", "x-ratelimit-limit", "x-ratelimit-reset", "ratelimit", "ratelimit-policy"} {
					if v := md.Get(key); len(v) != 1 {
						t.Errorf("%s has the values %q", key, v)
					}
				}
				if v := md.Get("x-ratelimit-remaining"); !slices.Equal(v, []string{remaining}) {
					t.Errorf("remaining %q, want %q", v, remaining)
				}
			}
		})
	}
}
