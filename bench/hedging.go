package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk/bench/internal/curve"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

const (
	hedgeFixed = "Hauberk, hedge after a fixed delay"
	hedgeLive  = "Hauberk, hedge after the 95th percentile"
	hedgeRival = "grpc-go, failsafe-go's hedge policy"
)

// hedgeContest compares calls that end before a hedge would start. Each attempt runs on its own
// goroutine and has its own response.
func hedgeContest() contest {
	return contest{
		name: "hedge that does not start, unary call on a client",
		variants: []variant{
			{oneIdle, calling(idleInterceptors(1)...)},
			{hedgeFixed, calling(hedge.New(hedge.Config{AllMethods: true}))},
			{hedgeLive, calling(hedge.New(hedge.Config{AllMethods: true, DelayQuantile: 0.95}))},
			{grpcIdle, through(idleClient)},
			{hedgeRival, through(failsafeHedge(100 * time.Millisecond))},
		},
		bases: map[string]string{grpcIdle: grpcIdle, hedgeRival: grpcIdle},
	}
}

// failsafeHedge hedges with a response for each attempt: failsafe-go leaves that to its user.
func failsafeHedge(delay time.Duration) grpc.UnaryClientInterceptor {
	executor := failsafe.With(hedgepolicy.NewWithDelay[proto.Message](delay))
	return func(
		ctx context.Context, method string, req, reply any,
		cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		own := reply.(proto.Message)
		answer, err := executor.WithContext(ctx).GetWithExecution(
			func(e failsafe.Execution[proto.Message]) (proto.Message, error) {
				answer := own.ProtoReflect().New().Interface()
				return answer, invoker(e.Context(), method, req, answer, cc, opts...)
			})
		if err == nil {
			proto.Merge(own, answer)
		}
		return err
	}
}

// The backend of the tail: usual latency and that of its slow calls.
const (
	tailUsual = time.Millisecond
	tailSlow  = 50 * time.Millisecond
	tailDelay = 5 * time.Millisecond // of hedges with a fixed delay
)

// slowService takes long for a share of its calls, chosen by a generator with a fixed seed.
type slowService struct {
	fixedService

	share float64
	calls atomic.Int64

	mu     sync.Mutex
	random *rand.Rand
}

func (s *slowService) Unary(ctx context.Context, req *testpb.Request) (*testpb.Response, error) {
	s.calls.Add(1)
	s.mu.Lock()
	slow := s.random.Float64() < s.share
	s.mu.Unlock()
	d := tailUsual
	if slow {
		d = tailSlow
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return s.fixedService.Unary(ctx, req)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tailClients are the clients of the tail, each with the options of its connection.
func tailClients() []struct {
	name    string
	options []grpc.DialOption
} {
	hedging := func(config hedge.Config) []grpc.DialOption {
		config.AllMethods = true
		return chainOf(hedge.New(config)).DialOptions()
	}
	return []struct {
		name    string
		options []grpc.DialOption
	}{
		{"bare grpc-go", nil},
		{hedgeFixed, hedging(hedge.Config{Delay: tailDelay})},
		{hedgeLive, hedging(hedge.Config{DelayQuantile: 0.95, Delay: tailDelay, Window: time.Second})},
		{hedgeRival, []grpc.DialOption{grpc.WithUnaryInterceptor(failsafeHedge(tailDelay))}},
	}
}

// measureHedging measures the latency of calls to a backend with 1 % slow calls, and how many calls
// the backend gets, against the share of slow calls.
func measureHedging(size sizes) ([]*curve.Curve, error) {
	tail := &curve.Curve{
		Name: "hedging-tail", Title: "Latency with 1 % slow calls", X: "calls of which one is slower",
		Y: "latency in ms", Unit: "ms", Shape: curve.Flat, LogX: true, LogY: true,
	}
	cost := &curve.Curve{
		Name: "hedging-cost", Title: "Calls that hedging adds", X: "slow calls in percent",
		Y: "further calls in percent", Unit: "%", Shape: curve.Linear,
	}
	for _, client := range tailClients() {
		var extra []curve.Point
		for _, percent := range []float64{0, 1, 2, 5, 10} {
			latencies, calls, err := runTail(size, percent/100, client.options)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", client.name, err)
			}
			made := float64(len(latencies))
			extra = append(extra, curve.Point{X: percent, Y: 100 * (float64(calls) - made) / made})
			if percent == 1 {
				tail.Series = append(tail.Series, curve.Series{Name: client.name, Points: percentiles(latencies)})
			}
		}
		cost.Series = append(cost.Series, curve.Series{Name: client.name, Points: extra})
	}
	return []*curve.Curve{tail, cost}, nil
}

// percentiles returns the latency that one of x calls exceeds, in ms.
func percentiles(latencies []time.Duration) []curve.Point {
	slices.Sort(latencies)
	xs := []int{2, 5, 10, 20, 50, 100, 200, 500, 1000}
	points := make([]curve.Point, 0, len(xs))
	for _, x := range xs {
		at := len(latencies) - 1 - len(latencies)/x
		points = append(points, curve.Point{X: float64(x), Y: float64(latencies[max(at, 0)].Microseconds()) / 1000})
	}
	return points
}

// runTail makes calls over a pipe in memory, from a few goroutines, and returns their latencies and
// how many calls the backend got. The first calls, which teach a live quantile, do not count.
func runTail(size sizes, share float64, options []grpc.DialOption) ([]time.Duration, int, error) {
	lis := bufconn.Listen(1 << 20)
	service := &slowService{share: share, random: rand.New(rand.NewPCG(1, 2))}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, service)
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }
	conn, err := grpc.NewClient("passthrough:bufconn", append(options,
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = conn.Close() }()
	client := testpb.NewTestServiceClient(conn)
	if _, err := timed(client, size.Calls/10); err != nil {
		return nil, 0, err
	}
	service.calls.Store(0)
	latencies, err := timed(client, size.Calls)
	return latencies, int(service.calls.Load()), err
}

// timed makes n calls and returns how long each took.
func timed(client testpb.TestServiceClient, n int) ([]time.Duration, error) {
	parts, errs := make([][]time.Duration, callers), make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for range n / callers {
				began := time.Now()
				if _, errs[i] = client.Unary(context.Background(), &testpb.Request{}); errs[i] != nil {
					return
				}
				parts[i] = append(parts[i], time.Since(began))
			}
		})
	}
	all.Wait()
	return slices.Concat(parts...), firstError(errs)
}
