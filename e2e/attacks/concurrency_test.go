package attacks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// slotEnds are the ways in which an interceptor inside of the limit ends a call.
var slotEnds = []func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error{
	func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) },
	func(context.Context, *hauberk.Call, hauberk.Next) error { return status.Error(codes.NotFound, "no") },
	func(context.Context, *hauberk.Call, hauberk.Next) error { return errors.New("no") },
	func(context.Context, *hauberk.Call, hauberk.Next) error { panic("on purpose") },
	func(context.Context, *hauberk.Call, hauberk.Next) error { runtime.Goexit(); return nil },
	func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = next(ctx, call)
		panic("on purpose")
	},
	func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(any, func(any) error) error { return status.Error(codes.DataLoss, "no") })
		return next(ctx, call)
	},
	func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = next(ctx, call)
		return hauberk.Reject(codes.Aborted, "LATER", "no")
	},
}

// slotSite is a server with limits, and interceptors inside that end calls in all ways.
type slotSite struct {
	*target

	limits []*concurrency.Interceptor // of the server
	client *concurrency.Interceptor
	calls  atomic.Int64
}

func serveSlots(t *testing.T) *slotSite {
	t.Helper()
	site := &slotSite{limits: []*concurrency.Interceptor{
		concurrency.New(concurrency.Config{Limit: 60, MaxWaiting: 20, MaxWait: 5 * time.Millisecond}),
		concurrency.New(concurrency.Config{
			Adaptive: &concurrency.Adaptive{}, By: callkey.Method(), Tenant: callkey.Metadata("tenant"),
			Streams: concurrency.ForMessages, MaxWaiting: 5, MaxWait: 5 * time.Millisecond,
		}),
	}}
	quiet := recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler)))
	ending := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return slotEnds[int(site.calls.Add(1))%len(slotEnds)](ctx, call, next)
	})
	site.target = serve(t, hauberk.Config{}, nil, quiet, site.limits[0], site.limits[1], ending)
	site.client = concurrency.New(concurrency.Config{Limit: 40, MaxWaiting: 40, MaxWait: 10 * time.Millisecond})
	return site
}

// dial returns a new connection with the limit of the client.
func (site *slotSite) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	chain := hauberk.Must(hauberk.New(site.client))
	options := chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(site.addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// call makes one call of a random kind, and leaves it in a random way: at its end, by cancelling, at a deadline,
// or with messages that are abandoned.
func (site *slotSite) call(conn *grpc.ClientConn, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "tenant", fmt.Sprint(random.IntN(5)))
	leave := random.IntN(6)
	switch leave {
	case 0:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(2000))*time.Microsecond)
		defer cancel()
	case 1:
		stop := time.AfterFunc(time.Duration(random.IntN(2000))*time.Microsecond, cancel)
		defer stop.Stop()
	}
	kind := kinds[random.IntN(len(kinds))]
	if kind == hauberk.Unary {
		_ = conn.Invoke(ctx, hauberktest.FullMethod(kind), &testpb.Request{Text: "a"}, &testpb.Response{})
		return
	}
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		return
	}
	for range 1 + random.IntN(3) {
		if err := stream.SendMsg(&testpb.Request{Text: "a"}); err != nil || !kind.ClientStreams() {
			break
		}
	}
	if leave == 2 { // abandoned: the deferred cancel ends it
		return
	}
	if leave == 3 && kind.ServerStreams() {
		_ = stream.RecvMsg(&testpb.Response{})
		return
	}
	_ = stream.CloseSend()
	for err = stream.RecvMsg(&testpb.Response{}); err == nil && kind.ServerStreams(); {
		err = stream.RecvMsg(&testpb.Response{})
	}
}

// flood makes calls on connections of which some vanish, and wants nothing in flight in the end.
func (site *slotSite) flood(t *testing.T, calls int) {
	t.Helper()
	const callers = 50
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(caller), 1))
			conn := site.dial(t)
			for i := range calls / callers {
				site.call(conn, random)
				if i%50 == 49 { // the client vanishes with its connection
					go func(conn *grpc.ClientConn) { site.call(conn, rand.New(rand.NewPCG(uint64(i), 2))) }(conn)
					_ = conn.Close()
					conn = site.dial(t)
				}
			}
			_ = conn.Close()
		})
	}
	group.Wait()
	all := append([]*concurrency.Interceptor{site.client}, site.limits...)
	for _, x := range all {
		deadline := time.Now().Add(time.Minute)
		for s := x.Snapshot(); s.Running != 0 || s.Waiting != 0; s = x.Snapshot() {
			if time.Now().After(deadline) {
				t.Fatalf("in the end %+v; want nothing in flight", s)
			}
			runtime.Gosched()
		}
	}
	s := all[1].Snapshot()
	t.Logf("%d calls reached the ends; client %+v, server %+v", site.calls.Load(), site.client.Snapshot(), s)
	if site.calls.Load() < int64(calls)/10 || s.Admitted == 0 {
		t.Errorf("only %d of %d calls reached the inside", site.calls.Load(), calls)
	}
}

// TestB06SlotsReturn makes mixed calls of all kinds that end in all ways, on both sides, with limits for
// life and for messages: nothing is in flight in the end. TestSoakB06SlotsReturn makes 100,000 calls.
func TestB06SlotsReturn(t *testing.T) {
	hauberktest.CheckLeaks(t)
	serveSlots(t).flood(t, 5000)
}

// TestSoakB06SlotsReturn floods with 100,000 calls at a time, for the duration in HAUBERK_SOAK.
func TestSoakB06SlotsReturn(t *testing.T) {
	length := soakTime(t)
	hauberktest.CheckLeaks(t)
	site := serveSlots(t)
	for start := time.Now(); ; {
		site.flood(t, 100_000)
		if time.Since(start) > length {
			return
		}
	}
}
