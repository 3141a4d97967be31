package reports_test

import (
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

// retryAfter returns the time of the RetryInfo of an error, or 0.
func retryAfter(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// TestReportRetryAfterCountsDown: the time to retry after is that until the next permit, and calls that are rejected meanwhile
// do not extend it (go-redis/redis_rate#42, apache/openwhisk-apigateway#192, golang/go#52584).
func TestReportRetryAfterCountsDown(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, algorithm := range []ratelimit.Algorithm{ratelimit.GCRA, ratelimit.SlidingWindow} {
		for _, kind := range kinds {
			clock := hauberktest.NewClock()
			limiter := ratelimit.New(
				ratelimit.Config{Limit: 1, Per: 10 * time.Second, Algorithm: algorithm}, ratelimit.WithClock(clock.Now))
			to := setup{server: []hauberk.Interceptor{limiter}}.start(t)
			for round := range 3 {
				if err := to.call(t.Context(), kind, nil); err != nil {
					t.Errorf("%v, %v: call %d: %v", algorithm, kind, round, err)
				}
				for left := 10 * time.Second; left > 0; left -= 200 * time.Millisecond {
					err := to.call(t.Context(), kind, nil)
					if got := retryAfter(err); status.Code(err) != codes.ResourceExhausted || got != left {
						t.Errorf("%v, %v: %v, retry after %v; want %v", algorithm, kind, err, got, left)
					}
					clock.Advance(200 * time.Millisecond)
				}
			}
		}
	}
}

// TestReportPermitsReturnEvenly: permits return at the rate while calls go on, there are never more than the burst, and the end
// of a period gives no second burst (mailgun/gubernator#77, mailgun/gubernator#87, mailgun/gubernator#118).
func TestReportPermitsReturnEvenly(t *testing.T) {
	hauberktest.CheckLeaks(t)
	clock := hauberktest.NewClock()
	limiter := ratelimit.New(
		ratelimit.Config{Limit: 10, Per: 30 * time.Second, Headers: ratelimit.XRateLimit}, ratelimit.WithClock(clock.Now))
	to := setup{server: []hauberk.Interceptor{limiter}}.start(t)
	admitted := 0
	for second := range 300 {
		var header, trailer metadata.MD
		err := to.call(t.Context(), hauberk.Unary, []grpc.CallOption{grpc.Header(&header), grpc.Trailer(&trailer)})
		if err == nil {
			admitted++
		}
		// All that has returned was taken: a call asks each second, and a permit returns every three.
		if want := min(second+1, 10+second/3); admitted != want {
			t.Fatalf("%d calls were admitted in %d s; want %d", admitted, second, want)
		}
		remaining, err := strconv.Atoi(metadata.Join(header, trailer).Get("x-ratelimit-remaining")[0])
		if want := 10 + second/3 - admitted; err != nil || remaining != want {
			t.Fatalf("%d remain after %d s, %v; want %d", remaining, second, err, want)
		}
		clock.Advance(time.Second)
	}
	clock.Advance(24 * time.Hour)
	var header metadata.MD
	if err := to.call(t.Context(), hauberk.Unary, []grpc.CallOption{grpc.Header(&header)}); err != nil || header.Get("x-ratelimit-remaining")[0] != "9" {
		t.Errorf("after a day: %v, %v; want 9 that remain", err, header)
	}
}

// TestReportHosts: which addresses are one host: those of an IPv6 network of 64 bits, with or without brackets and port, but not the
// IPv4 hosts behind NAT64, and nothing that a client writes itself (didip/tollbooth#98, Flowfin/jellyfin-plugin-sso#317,
// PicPeak/picpeak#1554).
func TestReportHosts(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for name, test := range map[string]struct {
		first, second string
		one           bool
	}{
		"in a network":           {"2001:db8::1", "2001:db8::ffff:2", true},
		"in two networks":        {"2001:db8::1", "2001:db8:0:1::1", false},
		"with brackets":          {"2001:db8::1", "[2001:db8::1]", true},
		"with a port":            {"2001:db8::1", "[2001:db8::2]:443", true},
		"IPv4":                   {"192.0.2.1", "192.0.2.2", false},
		"IPv4 with a port":       {"192.0.2.1", "192.0.2.1:443", true},
		"IPv4 in IPv6":           {"192.0.2.1", "::ffff:192.0.2.1", true},
		"two behind NAT64":       {"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false},
		"one, also behind NAT64": {"64:ff9b::192.0.2.1", "192.0.2.1", true},
		"written by the client":  {"192.0.2.1", "198.51.100.7, 192.0.2.1", true},
	} {
		limiter := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.Peer()})
		config := hauberk.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
		to := setup{config: config, server: []hauberk.Interceptor{limiter}}.start(t)
		if err := to.call(t.Context(), hauberk.Unary, nil, "x-forwarded-for", test.first); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		err := to.call(t.Context(), hauberk.Unary, nil, "x-forwarded-for", test.second)
		if one := status.Code(err) == codes.ResourceExhausted; one != test.one {
			t.Errorf("%s: %v; want one host: %t", name, err, test.one)
		}
	}
}

// asking returns a client of a rate limit service on a socket.
func asking(t *testing.T, limits *rlsserver.Server) func(hits int) *rlsv3.RateLimitResponse {
	t.Helper()
	srv := grpc.NewServer()
	rlsv3.RegisterRateLimitServiceServer(srv, limits)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := hauberktest.Serve(t, srv, lis)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
	})
	return func(hits int) *rlsv3.RateLimitResponse {
		t.Helper()
		resp, err := rlsv3.NewRateLimitServiceClient(conn).ShouldRateLimit(t.Context(), &rlsv3.RateLimitRequest{
			Domain: "shop", Descriptors: []*ratelimitv3.RateLimitDescriptor{{
				Entries:    []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "user", Value: "alice"}},
				HitsAddend: wrapperspb.UInt64(uint64(max(hits, -hits))), IsNegativeHits: hits < 0,
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
}

// limitsOf are 10 a minute for each user.
func limitsOf(t *testing.T, mode rlsserver.Mode) *rlsserver.Server {
	t.Helper()
	limits, err := rlsserver.New(rlsserver.Config{Domains: []rlsserver.Domain{{Name: "shop", Descriptors: []rlsserver.Descriptor{{
		Key: "user", Limit: &rlsserver.Limit{Permits: 10, Per: time.Minute, Mode: mode},
	}}}}}, rlsserver.WithClock(hauberktest.NewClock().Now))
	if err != nil {
		t.Fatal(err)
	}
	return limits
}

// TestReportShadowCounts: in shadow mode every request over the limit is counted as such, and each is answered with OK
// (envoyproxy/ratelimit#423, envoyproxy/envoy#43146).
func TestReportShadowCounts(t *testing.T) {
	hauberktest.CheckLeaks(t)
	limits := limitsOf(t, rlsserver.Shadow)
	ask := asking(t, limits)
	for range 30 {
		if resp := ask(1); resp.GetOverallCode() != rlsv3.RateLimitResponse_OK {
			t.Errorf("%v; want OK", resp)
		}
	}
	if s := limits.Snapshot().Limits[0]; s.OK != 10 || s.ShadowOverLimit != 20 || s.OverLimit != 0 {
		t.Errorf("%+v; want 10 within the limit and 20 over it in shadow mode", s)
	}
}

// TestReportNegativeHits: hits that are given back are never over a limit, and never make more of it than there is
// (envoyproxy/ratelimit#1140).
func TestReportNegativeHits(t *testing.T) {
	hauberktest.CheckLeaks(t)
	ask := asking(t, limitsOf(t, rlsserver.Enforce))
	for step, hits := range []int{10, 1, -1, 1, 1, -3, 3, -100, 10, 1} {
		want := rlsv3.RateLimitResponse_OK
		if step == 1 || step == 4 || step == 9 {
			want = rlsv3.RateLimitResponse_OVER_LIMIT
		}
		if resp := ask(hits); resp.GetOverallCode() != want {
			t.Errorf("step %d, %d hits: %v; want %v", step, hits, resp, want)
		}
	}
}
