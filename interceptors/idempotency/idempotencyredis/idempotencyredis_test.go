package idempotencyredis_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency/idempotencyredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

// connect returns a store on a server, with a separate connection, as another node has it.
func connect(t *testing.T, addr, name string) *idempotencyredis.Store {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return idempotencyredis.New(client, idempotencyredis.Config{Name: name})
}

// The store has the transitions of idempotency.Store, between two nodes.
func TestStore(t *testing.T) {
	srv := redistest.Start(t)
	a, b, other := connect(t, srv.Addr, "shop"), connect(t, srv.Addr, "shop"), connect(t, srv.Addr, "other")
	ctx, k, of := t.Context(), idempotency.Key{0xff, 0}, idempotency.Fingerprint{0xfe, '\r', '\n'}
	begin := func(s *idempotencyredis.Store, owner string, lease time.Duration, want idempotency.State) idempotency.Record {
		t.Helper()
		r, err := s.Begin(ctx, k, owner, of, lease)
		if err != nil || r.State != want || r.Fingerprint != of {
			t.Errorf("Begin of %s: %+v, %v; want state %d", owner, r, err, want)
		}
		return r
	}
	held := func(want bool) func(bool, error) {
		t.Helper()
		return func(got bool, err error) {
			t.Helper()
			if err != nil || got != want {
				t.Errorf("held %t, %v; want %t", got, err, want)
			}
		}
	}
	begin(a, "a", time.Minute, idempotency.Owned)
	begin(a, "a", time.Minute, idempotency.Owned)
	begin(b, "b", time.Minute, idempotency.Running)
	begin(other, "b", time.Minute, idempotency.Owned)
	held(false)(b.Renew(ctx, k, "b", time.Minute))
	held(true)(a.Renew(ctx, k, "a", time.Millisecond))
	redistest.Eventually(t, "the lease expires", func() bool {
		r, err := b.Begin(ctx, k, "b", of, time.Minute)
		return err == nil && r.State == idempotency.Owned
	})
	held(false)(a.Renew(ctx, k, "a", time.Minute))
	held(false)(a.Finish(ctx, k, "a", of, []byte("late"), time.Minute))
	if err := a.Release(ctx, k, "a"); err != nil {
		t.Error(err)
	}
	begin(a, "a", time.Minute, idempotency.Running)
	if err := b.Release(ctx, k, "b"); err != nil {
		t.Error(err)
	}
	text := []byte{1, 0, 0xff, '\r', '\n'}
	held(true)(a.Finish(ctx, k, "a", of, text, time.Minute))
	held(true)(a.Finish(ctx, k, "a", of, []byte("again"), time.Minute))
	held(false)(b.Finish(ctx, k, "b", of, []byte("again"), time.Minute))
	held(false)(a.Renew(ctx, k, "a", time.Minute))
	_ = a.Release(ctx, k, "a")
	if r := begin(b, "b", time.Minute, idempotency.Finished); !bytes.Equal(r.Outcome, text) {
		t.Errorf("outcome %q; want %q", r.Outcome, text)
	}
}

// Two nodes execute a key once, also if the server is lost and its scripts with it; while it is down, calls
// end as configured.
func TestNodes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	srv := redistest.Start(t)
	var handled atomic.Int64
	node := func() func(key string) (string, error) {
		x := idempotency.New(idempotency.Config{StoreTimeout: 10 * time.Second},
			idempotency.WithStore(connect(t, srv.Addr, "shop")))
		intercept := hauberk.Must(hauberk.New(x)).UnaryServerInterceptor()
		return func(key string) (string, error) {
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(idempotency.Header, key))
			ctx = grpc.NewContextWithServerTransportStream(ctx, new(hauberktest.TransportStream))
			info := &grpc.UnaryServerInfo{FullMethod: testpb.TestService_Unary_FullMethodName}
			got, err := intercept(ctx, &testpb.Request{}, info, func(context.Context, any) (any, error) {
				handled.Add(1)
				return &testpb.Response{Text: "result"}, nil
			})
			if err != nil {
				return "", err
			}
			return got.(*testpb.Response).GetText(), nil
		}
	}
	nodes := []func(key string) (string, error){node(), node()}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if text, err := nodes[i%2]("k"); text != "result" || err != nil {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	wg.Wait()
	if handled.Load() != 1 {
		t.Errorf("%d calls were handled; want 1", handled.Load())
	}
	srv.Do("SCRIPT", "FLUSH")
	if _, err := nodes[0]("l"); err != nil {
		t.Error(err)
	}
	srv.Kill()
	if _, err := nodes[0]("m"); hauberk.Reason(err) != idempotency.ReasonUnavailable {
		t.Errorf("%v; want that the store fails", err)
	}
	srv.Restart()
	redistest.Eventually(t, "the nodes are connected again", func() bool {
		_, err := nodes[1]("n")
		return err == nil
	})
}

// New reports what is wrong.
func TestConfig(t *testing.T) {
	_, err := hauberk.New(idempotency.New(idempotency.Config{},
		idempotency.WithStore(idempotencyredis.New(nil, idempotencyredis.Config{}))))
	if err == nil || !strings.Contains(err.Error(), "nil Client") || !strings.Contains(err.Error(), "Name is empty") {
		t.Errorf("%v", err)
	}
}
