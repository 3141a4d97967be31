package rlsserver_test

import (
	"context"
	"testing"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/rlsserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ok   = rlsv3.RateLimitResponse_OK
	over = rlsv3.RateLimitResponse_OVER_LIMIT
)

// limiter is a server with a clock.
type limiter struct {
	*rlsserver.Server
	*hauberktest.Clock
}

func newLimiter(t testing.TB, config rlsserver.Config, opts ...rlsserver.Option) *limiter {
	t.Helper()
	clock := hauberktest.NewClock()
	s, err := rlsserver.New(config, append([]rlsserver.Option{rlsserver.WithClock(clock.Now)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return &limiter{s, clock}
}

// shop returns a configuration with one domain.
func shop(descriptors ...rlsserver.Descriptor) rlsserver.Config {
	return rlsserver.Config{Domains: []rlsserver.Domain{{Name: "shop", Descriptors: descriptors}}}
}

// by is a descriptor with a limit per minute.
func by(key, value string, permits int, children ...rlsserver.Descriptor) rlsserver.Descriptor {
	d := rlsserver.Descriptor{Key: key, Value: value, Descriptors: children}
	if permits > 0 {
		d.Limit = &rlsserver.Limit{Permits: permits, Per: time.Minute}
	}
	return d
}

// with changes the limit of a descriptor.
func with(d rlsserver.Descriptor, change func(l *rlsserver.Limit)) rlsserver.Descriptor {
	change(d.Limit)
	return d
}

// of is a descriptor of a request, from keys and values.
func of(pairs ...string) *ratelimitv3.RateLimitDescriptor {
	d := new(ratelimitv3.RateLimitDescriptor)
	for i := 0; i < len(pairs); i += 2 {
		d.Entries = append(d.Entries, &ratelimitv3.RateLimitDescriptor_Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return d
}

func hits(d *ratelimitv3.RateLimitDescriptor, n int) *ratelimitv3.RateLimitDescriptor {
	d.IsNegativeHits = n < 0
	d.HitsAddend = wrapperspb.UInt64(uint64(max(n, -n)))
	return d
}

func carrying(d *ratelimitv3.RateLimitDescriptor, permits uint32, unit typev3.RateLimitUnit) *ratelimitv3.RateLimitDescriptor {
	d.Limit = &ratelimitv3.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: permits, Unit: unit}
	return d
}

func request(descriptors ...*ratelimitv3.RateLimitDescriptor) *rlsv3.RateLimitRequest {
	return &rlsv3.RateLimitRequest{Domain: "shop", Descriptors: descriptors}
}

// ask makes a request that must be answered.
func (l *limiter) ask(t testing.TB, req *rlsv3.RateLimitRequest) *rlsv3.RateLimitResponse {
	t.Helper()
	resp, err := l.ShouldRateLimit(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.GetStatuses()) != len(req.GetDescriptors()) {
		t.Fatalf("%d statuses for %d descriptors", len(resp.GetStatuses()), len(req.GetDescriptors()))
	}
	return resp
}

// admits returns how often in a row a request is OK, up to 1000 times.
func (l *limiter) admits(t testing.TB, req *rlsv3.RateLimitRequest) int {
	t.Helper()
	for n := range 1000 {
		if l.ask(t, req).GetOverallCode() != ok {
			return n
		}
	}
	return 1000
}

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v; want %v", err, want)
	}
}
