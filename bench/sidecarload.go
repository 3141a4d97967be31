package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// sidecarCallers is the number of goroutines that make calls.
const sidecarCallers = 64

// sidecarLoad is a number of calls, made without a pause or at a rate.
type sidecarLoad struct {
	name     string
	conns    []int
	calls    int
	rate     int // calls a second; 0 is without a pause
	payload  int // bytes of a request and of each response
	messages int // responses of a server stream; 0 is a unary call
}

func sidecarLoads(size sizes) []sidecarLoad {
	calls := func(n int) int {
		if size.Short {
			return max(n/1000, 10)
		}
		return n
	}
	return []sidecarLoad{
		{name: "unary 100 B, saturated", conns: []int{1, 8}, calls: calls(20_000), payload: 100},
		{name: "unary 100 B, 10,000 calls/s", conns: []int{1, 8}, calls: calls(10_000), rate: 10_000, payload: 100},
		{name: "unary 64 KiB, saturated", conns: []int{1, 8}, calls: calls(3_000), payload: 64 << 10},
		{
			name: "stream of 1,000 messages of 100 B", conns: []int{1, 8}, calls: calls(200), payload: 100,
			messages: 1000,
		},
	}
}

// run makes the calls and returns the latency of each, in nanoseconds.
func (l sidecarLoad) run(p *measured, conns int) ([]float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	clients, err := p.clients(conns)
	if err != nil {
		return nil, err
	}
	latencies := make([]float64, l.calls)
	errs := make([]error, sidecarCallers)
	due := l.schedule()
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range errs {
		client := clients[i%len(clients)]
		all.Go(func() {
			for errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= l.calls {
					return
				}
				at := due(n)
				errs[i] = l.call(p.context(ctx), client)
				latencies[n] = float64(time.Since(at).Nanoseconds())
			}
		})
	}
	all.Wait()
	return latencies, firstError(errs)
}

// schedule returns a function that waits until call n is due and returns that time.
// Latencies include the time for which a call waits for a goroutine after it is due.
func (l sidecarLoad) schedule() func(n int) time.Time {
	if l.rate == 0 {
		return func(int) time.Time { return time.Now() }
	}
	begun := time.Now()
	return func(n int) time.Time {
		at := begun.Add(time.Second * time.Duration(n) / time.Duration(l.rate))
		time.Sleep(time.Until(at))
		return at
	}
}

func (l sidecarLoad) call(ctx context.Context, client testpb.TestServiceClient) error {
	req := &testpb.Request{Payload: make([]byte, l.payload), Count: int32(l.messages)}
	if l.messages == 0 {
		resp, err := client.Unary(ctx, req)
		if err == nil && len(resp.GetPayload()) != l.payload {
			err = fmt.Errorf("a response has %d bytes; want %d", len(resp.GetPayload()), l.payload)
		}
		return err
	}
	stream, err := client.ServerStream(ctx, req)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		_, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && n == l.messages:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("a stream has %d messages; want %d", n, l.messages)
		case err != nil:
			return err
		}
	}
}

// quantile returns a quantile of values.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(math.Ceil(q*float64(len(sorted)))), len(sorted)-1)]
}

// measureSidecarIdle opens bidi streams that nothing is sent on.
func measureSidecarIdle(size sizes, proxies []*measured) ([]sidecarRow, error) {
	streams := 10_000
	if size.Short {
		streams = 50
	}
	samples := make([][]sidecarRow, 0, len(proxies))
	for _, p := range proxies {
		if p.pid == 0 || p.variant.name == plainProxyName {
			continue // the plain proxy holds headers back until the first message
		}
		bytes, err := p.idle(streams)
		if err != nil {
			return nil, fmt.Errorf("%s, idle streams: %w", p.variant.name, err)
		}
		samples = append(samples, []sidecarRow{{
			Load: idleStreams, Conns: sidecarIdleConns, Proxy: p.variant.name, Policy: p.variant.policy,
			PerIdle: max(float64(bytes)/float64(streams), 1),
		}})
	}
	return sidecarRows(samples), nil
}

const idleStreams = "idle streams"

// sidecarIdleConns is the number of connections of idle streams: proxies permit 100 streams
// on each by default.
const sidecarIdleConns = 100

// idle returns by how many bytes the resident memory of a proxy grows with open streams.
func (p *measured) idle(streams int) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	clients, err := p.clients(sidecarIdleConns)
	if err != nil {
		return 0, err
	}
	open := func(n int) error {
		errs := make([]error, sidecarCallers)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				for k := i; k < n && errs[i] == nil; k += len(errs) {
					errs[i] = openStream(p.context(ctx), clients[k%len(clients)])
				}
			})
		}
		all.Wait()
		return firstError(errs)
	}
	if err := open(sidecarIdleConns); err != nil { // connects
		return 0, err
	}
	before, err := p.resident()
	if err != nil {
		return 0, err
	}
	if err := open(streams - streams/10); err != nil { // below the limit of each connection
		return 0, err
	}
	after, err := p.resident()
	return (after - before) * 10 / 9, err
}

// clients returns clients on a number of connections.
func (p *measured) clients(conns int) ([]testpb.TestServiceClient, error) {
	for len(p.conns) < conns {
		conn, err := grpc.NewClient(p.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		p.conns = append(p.conns, conn)
	}
	clients := make([]testpb.TestServiceClient, conns)
	for i := range clients {
		clients[i] = testpb.NewTestServiceClient(p.conns[i])
	}
	return clients, nil
}

// sidecarService returns payloads of the size of the request.
type sidecarService struct{ fixedService }

func (sidecarService) Unary(_ context.Context, req *testpb.Request) (*testpb.Response, error) {
	return &testpb.Response{Payload: req.GetPayload()}, nil
}

func (sidecarService) ServerStream(req *testpb.Request, stream testpb.TestService_ServerStreamServer) error {
	resp := &testpb.Response{Payload: req.GetPayload()}
	for range req.GetCount() {
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
	return nil
}
