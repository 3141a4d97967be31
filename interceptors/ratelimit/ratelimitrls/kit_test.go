package ratelimitrls_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit/ratelimitrls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	unknown = rlsv3.RateLimitResponse_UNKNOWN
	ok      = rlsv3.RateLimitResponse_OK
	over    = rlsv3.RateLimitResponse_OVER_LIMIT
)

// service is a rate limit server that answers as a function says.
type service struct {
	rlsv3.UnimplementedRateLimitServiceServer

	answer func(ctx context.Context, req *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error)
	asked  atomic.Int64
	last   atomic.Pointer[rlsv3.RateLimitRequest]
}

func (s *service) ShouldRateLimit(ctx context.Context, req *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	s.asked.Add(1)
	s.last.Store(req)
	return s.answer(ctx, req)
}

// always returns a service with one answer.
func always(resp *rlsv3.RateLimitResponse) *service {
	return &service{answer: func(context.Context, *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) { return resp, nil }}
}

// dial serves a rate limit service on 127.0.0.1 until the test ends, and returns a connection to it.
func dial(t testing.TB, s rlsv3.RateLimitServiceServer) *grpc.ClientConn {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.WaitForHandlers(true))
	rlsv3.RegisterRateLimitServiceServer(srv, s)
	stop := hauberktest.Serve(t, srv, lis)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
	})
	return conn
}

// long is a timeout that no test waits for.
const long = time.Hour

// perMinute is a limit of 100 a minute.
func perMinute(name string) ratelimit.Limit {
	return ratelimit.Limit{Name: name, Permits: 100, Per: time.Minute, Burst: 100}
}

// open returns the quotas of limits at a service.
func open(t testing.TB, s rlsv3.RateLimitServiceServer, config ratelimitrls.Config, limits ...ratelimit.Limit) ratelimit.Quotas {
	t.Helper()
	config.Domain = "shop"
	q, err := ratelimitrls.New(dial(t, s), config).Open(limits)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// current is the limit of an answer.
func current(permits uint32, unit rlsv3.RateLimitResponse_RateLimit_Unit) *rlsv3.RateLimitResponse_RateLimit {
	return &rlsv3.RateLimitResponse_RateLimit{RequestsPerUnit: permits, Unit: unit}
}

// state is the status of a descriptor with the limit of perMinute.
func state(code rlsv3.RateLimitResponse_Code, remaining uint32, reset time.Duration) *rlsv3.RateLimitResponse_DescriptorStatus {
	return &rlsv3.RateLimitResponse_DescriptorStatus{
		Code: code, LimitRemaining: remaining, DurationUntilReset: durationpb.New(reset),
		CurrentLimit: current(100, rlsv3.RateLimitResponse_RateLimit_MINUTE),
	}
}

func answer(code rlsv3.RateLimitResponse_Code, statuses ...*rlsv3.RateLimitResponse_DescriptorStatus) *rlsv3.RateLimitResponse {
	return &rlsv3.RateLimitResponse{OverallCode: code, Statuses: statuses}
}

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("got %v; want %v", err, want)
	}
}
