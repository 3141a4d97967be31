package attacks_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency/idempotencyredis"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// onceFleet is two nodes that share a Redis, and a client whose attempts alternate between them, keep
// their key, and are cut off while the effect runs.
type onceFleet struct {
	executed *executions
	client   testpb.TestServiceClient
	nodes    []*idempotency.Interceptor
	rejected atomic.Int64 // attempts, by nodes whose store failed
}

func serveOnce(t *testing.T, redis idempotencyredis.Config) *onceFleet {
	t.Helper()
	redis.Name = "once"
	f := &onceFleet{executed: newExecutions()}
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		times := f.executed.add(req.GetText())
		select {
		case <-time.After(time.Duration(req.GetCount()) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		return s.Send(&testpb.Response{Text: fmt.Sprint(req.GetText(), " ", times)})
	}}
	nodes := manual.NewBuilderWithScheme("once")
	var state resolver.State
	for range 2 {
		store := idempotencyredis.New(redis)
		t.Cleanup(func() { _ = store.Close() })
		x := idempotency.New(idempotency.Config{Required: true, Lease: leaseOnce, StoreTimeout: storeTimeoutOnce},
			idempotency.WithStore(store))
		f.nodes = append(f.nodes, x)
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := hauberk.Must(hauberk.New(x)).NewServer(grpc.WaitForHandlers(true))
		testpb.RegisterTestServiceServer(srv, backend)
		stop := hauberktest.Serve(t, srv, lis)
		t.Cleanup(func() {
			stop()
		})
		state.Addresses = append(state.Addresses, resolver.Address{Addr: lis.Addr().String()})
	}
	nodes.InitialState(state)
	chain := hauberk.Must(hauberk.New(
		idempotency.New(idempotency.Config{}),
		retry.New(retry.Config{
			AllMethods: true, NoBudget: true, MaxAttempts: 1000, PerAttemptTimeout: 80 * time.Millisecond,
			InitialBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond, RetryAfterHeader: true,
		}),
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			switch reason := hauberk.Reason(err); {
			case reason == idempotency.ReasonUnavailable:
				f.rejected.Add(1)
			case reason != "" || err != nil && hauberk.CodeOf(err) != codes.DeadlineExceeded && hauberk.CodeOf(err) != codes.Canceled:
				t.Errorf("an attempt ended with %v", err)
			}
			return err
		}),
	))
	conn, err := grpc.NewClient("once:///nodes", chain.DialOptions(
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithResolvers(nodes),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f.client = testpb.NewTestServiceClient(conn)
	return f
}

// A key that was given to a call which has ended would make its next attempt wait for longer than a call may take.
const (
	leaseOnce        = 2 * time.Minute
	storeTimeoutOnce = 400 * time.Millisecond
	workersOnce      = 16
)

// load makes calls until it is stopped. Each must succeed in the end, with the result of an execution of it.
func (f *onceFleet) load(t *testing.T) (made *atomic.Int64, stop func()) {
	t.Helper()
	made = new(atomic.Int64)
	var stopped atomic.Bool
	var wg sync.WaitGroup
	for worker := range workersOnce {
		wg.Go(func() {
			for i := 0; !stopped.Load(); i++ {
				text := fmt.Sprint("effect ", worker, ".", i)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				resp, err := f.client.Unary(ctx, &testpb.Request{Text: text, Count: int32(i % 5 * 40)})
				cancel()
				if err != nil {
					t.Errorf("%s: %v", text, err)
					return
				}
				if got := resp.GetText(); got != text+" 1" && got != text+" 2" {
					t.Errorf("%q; want the result of %s", got, text)
				}
				made.Add(1)
			}
		})
	}
	return made, sync.OnceFunc(func() {
		stopped.Store(true)
		wg.Wait()
	})
}

// more waits until as many further calls have ended.
func more(t *testing.T, made *atomic.Int64, n int64) {
	t.Helper()
	from := made.Load()
	redistest.Eventually(t, "calls end", func() bool { return t.Failed() || made.Load() >= from+n })
}

// TestR03RedisOutages: Redis is stopped, killed, cut off and emptied under load. Each effect is executed once, unless
// Redis has lost its key, and each call gets its result once Redis is back.
func TestR03RedisOutages(t *testing.T) {
	durable := redistest.Args("--appendonly", "yes", "--appendfsync", "always")
	while := func(d time.Duration) { <-time.After(d) }
	for _, o := range []struct {
		name   string
		opts   []redistest.Option
		outage func(s *redistest.Server)
		loses  bool // keys
	}{
		{"stopped", nil, func(s *redistest.Server) {
			s.Pause()
			while(2 * storeTimeoutOnce)
			s.Resume()
		}, false},
		{"stopped until it is disconnected", nil, func(s *redistest.Server) {
			s.Pause()
			while(4 * time.Second)
			s.Resume()
		}, false},
		{"killed", []redistest.Option{durable}, func(s *redistest.Server) {
			s.Kill()
			while(storeTimeoutOnce)
			s.Restart()
		}, false},
		{"connections cut", nil, func(s *redistest.Server) { s.Do("CLIENT", "KILL", "TYPE", "normal") }, false},
		{"scripts flushed", nil, func(s *redistest.Server) { s.Do("SCRIPT", "FLUSH") }, false},
		{"flushed", nil, func(s *redistest.Server) { s.Do("FLUSHALL") }, true},
		{"killed without its data", nil, func(s *redistest.Server) {
			s.Kill()
			s.Restart()
		}, true},
	} {
		t.Run(o.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			redis := redistest.Start(t, o.opts...)
			f := serveOnce(t, idempotencyredis.Config{Addresses: []string{redis.Addr}})
			f.survives(t, o.loses, func() { o.outage(redis) })
		})
	}
}

// outagesOnce is how many outages there are under load.
const outagesOnce = 3

// survives makes calls during outages. If those lose keys, effects that ran then may be executed again.
func (f *onceFleet) survives(t *testing.T, loses bool, outage func()) {
	t.Helper()
	made, stop := f.load(t)
	defer stop()
	for range outagesOnce {
		more(t, made, 5*workersOnce)
		outage()
	}
	more(t, made, 5*workersOnce)
	stop()
	twice := 0
	for text, times := range f.executed.times {
		switch {
		case times > 1 && !loses, times > 1+outagesOnce:
			t.Errorf("%s was executed %d times", text, times)
		case times > 1:
			twice++
		}
	}
	if n := int64(len(f.executed.times)); n != made.Load() {
		t.Errorf("%d effects for %d calls", n, made.Load())
	}
	if twice > outagesOnce*workersOnce {
		t.Errorf("%d effects were executed again; want only those that ran", twice)
	}
	redistest.Eventually(t, "all calls are settled", func() bool {
		return f.nodes[0].Measurements()[0].Value+f.nodes[1].Measurements()[0].Value == 0
	})
	t.Logf("%d calls, %d attempts rejected, %d executed again", made.Load(), f.rejected.Load(), twice)
}

// TestR03RedisFailover: the primary of a Sentinel fails over under load, back and forth. That loses keys that were not
// replicated, so that some effects are executed again.
func TestR03RedisFailover(t *testing.T) {
	hauberktest.CheckLeaks(t)
	primary := redistest.Start(t)
	redistest.Start(t, redistest.Args("--replicaof", spaced(primary.Addr)))
	sentinel := redistest.Sentinel(t, "once", primary)
	redistest.Eventually(t, "the Sentinel knows the replica", func() bool {
		return sentinel.Do("SENTINEL", "REPLICAS", "once") != ""
	})
	config := idempotencyredis.Config{Addresses: []string{sentinel.Addr}}
	config.Sentinel.MasterName = "once"
	f := serveOnce(t, config)
	f.survives(t, true, func() {
		redistest.Eventually(t, "the Sentinel begins the fail-over", func() bool {
			answer, err := redistest.Do(sentinel.Addr, "SENTINEL", "FAILOVER", "once")
			return err == nil && answer == "OK"
		})
	})
}

// spaced returns an address as the setting replicaof has it.
func spaced(addr string) string { return strings.Replace(addr, ":", " ", 1) }
