//go:build !race

package metrics_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
)

// bomb makes calls with a new method, interceptor and reason each time. Tenants and user agents
// repeat at different rates, so that their combinations are new.
type bomb struct{ i int }

func (b *bomb) method() string { return "/any.Service" + strconv.Itoa(b.i) + "/Method" }

func (b *bomb) metadata() metadata.MD {
	return metadata.Pairs("tenant", strconv.Itoa(b.i%1000), "user-agent", "agent/"+strconv.Itoa(b.i/1000))
}

// Intercept rejects the call and records a decision under a new name.
func (b *bomb) Intercept(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
	interceptor, reason := "interceptor"+strconv.Itoa(b.i), "REASON_"+strconv.Itoa(b.i)
	call.Decide(hauberk.Decision{Interceptor: interceptor, Verdict: hauberk.Rejected, Reason: reason, Shadow: b.i%2 == 0})
	return hauberk.Reject(codes.Code(b.i%100), reason, "no")
}

// callers returns functions that make a call on each side. On the server the methods are known:
// unknown methods share one series.
func (b *bomb) callers(t *testing.T, m *metrics.Interceptor) map[hauberk.Side]func() {
	chain := chainOf(t, m, b)
	through := chain.ClientConn(hauberktest.Conn{})
	serve := chain.StreamServerInterceptor()
	return map[hauberk.Side]func(){
		hauberk.ClientSide: func() {
			ctx := metadata.NewOutgoingContext(context.Background(), b.metadata())
			_ = through.Invoke(ctx, b.method(), request, request)
		},
		hauberk.ServerSide: func() {
			info := &grpc.StreamServerInfo{FullMethod: b.method(), IsClientStream: true, IsServerStream: true}
			_ = serve(nil, &bombStream{md: b.metadata()}, info, func(any, grpc.ServerStream) error {
				return status.Error(codes.Unimplemented, "unknown")
			})
		},
	}
}

type bombStream struct {
	hauberktest.ServerStream

	md metadata.MD
}

func (s *bombStream) Context() context.Context {
	return metadata.NewIncomingContext(context.Background(), s.md)
}

// A million names make no more series than the bounds permit, and memory does not grow.
func TestCardinalityBomb(t *testing.T) {
	const calls, limit = 1_000_000, 100
	for _, c := range []hauberktest.Case{{Side: hauberk.ServerSide}, {Side: hauberk.ClientSide}} {
		t.Run(c.Side.String(), func(t *testing.T) {
			config := metrics.Config{
				MaxMethods: limit, MaxReasons: limit, MaxLabelSets: limit, MaxLabelSeries: 5 * limit, Decisions: true,
			}
			m := metrics.New(config, byMetadata("tenant"), metrics.WithLabel("agent",
				func(ctx context.Context, call *hauberk.Call) string { return call.Metadata(ctx, "user-agent")[0] }))
			var b bomb
			call := b.callers(t, m)[c.Side]
			for ; b.i < calls/10; b.i++ {
				call()
			}
			before := heap()
			for ; b.i < calls; b.i++ {
				call()
			}
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("the heap grew by %d bytes in the last 90 %% of the calls", grown)
			}
			checkBomb(t, m, calls, limit)
			runtime.KeepAlive(m)
		})
	}
}

func checkBomb(t *testing.T, m *metrics.Interceptor, calls uint64, limit int) {
	t.Helper()
	series := m.Series()
	if most := 5*limit + limit + 1; len(series) > most {
		t.Errorf("%d series, want %d at most", len(series), most)
	}
	var started, ended, rejected, decided uint64
	for i := range series {
		started += series[i].Started
		ended += series[i].Ended()
	}
	rejections, decisions := m.Rejections(), m.Decisions()
	for _, r := range rejections {
		rejected += r.Count
	}
	for _, d := range decisions {
		decided += d.Count
	}
	if len(rejections) > 2*(limit+1) || len(decisions) > 4*(limit+1) {
		t.Errorf("%d rejections, %d decisions", len(rejections), len(decisions))
	}
	if started != calls || ended != calls || rejected != calls*3/2 || decided != calls*3/2 {
		t.Errorf("%d started, %d ended, %d rejected, %d decided, of %d", started, ended, rejected, decided, calls)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
