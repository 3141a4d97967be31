package idempotencyredis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency/idempotencyredis"
	"github.com/hauberk-rpc/hauberk/internal/redistest"
)

func TestMain(m *testing.M) {
	// A client that could not connect looks for the cluster once more after a second, and ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
		// It closes the connections to nodes that a cluster has lost after five seconds.
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient).redirectOrNew.func1"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// connect returns a store on a server, with a separate connection, as another node has it.
func connect(t *testing.T, config idempotencyredis.Config, opts ...idempotencyredis.Option) *idempotencyredis.Store {
	t.Helper()
	store := idempotencyredis.New(config, opts...)
	if err := store.Validate(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func at(name string, addrs ...string) idempotencyredis.Config {
	return idempotencyredis.Config{Name: name, Addresses: addrs}
}

// The store has the transitions of idempotency.Store, between two nodes, in each kind of server.
func TestStore(t *testing.T) {
	t.Run("redis", func(t *testing.T) { testStore(t, idempotency.Key{0xff, 0}, redistest.Start(t).Addr) })
	t.Run("valkey", func(t *testing.T) {
		s := redistest.Start(t, redistest.Program(redistest.Valkey(t, "../../..")))
		testStore(t, idempotency.Key{0xff, 0}, s.Addr)
	})
	t.Run("cluster", func(t *testing.T) {
		nodes := redistest.Cluster(t)
		for i := range byte(10) { // in slots of all nodes
			testStore(t, idempotency.Key{i}, nodes[0].Addr)
		}
		for _, s := range nodes {
			if s.Do("DBSIZE") == "0" {
				t.Errorf("%s has no key", s.Addr)
			}
		}
	})
}

func testStore(t *testing.T, k idempotency.Key, addr string) {
	t.Helper()
	a, b, other := connect(t, at("shop", addr)), connect(t, at("shop", addr)), connect(t, at("other", addr))
	ctx, of := t.Context(), idempotency.Fingerprint{0xfe, '\r', '\n'}
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

// node returns the server chain of a node with a store, as a function that makes a call with a key.
func node(t *testing.T, handled *atomic.Int64, store idempotency.Store, config idempotency.Config) func(key string) (string, error) {
	t.Helper()
	x := idempotency.New(config, idempotency.WithStore(store))
	t.Cleanup(func() { // before the store is closed
		redistest.Eventually(t, "all calls are settled", func() bool { return x.Measurements()[0].Value == 0 })
	})
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

// Without a server at the start, calls end as configured, and are protected once there is one.
func TestStartsWithoutServer(t *testing.T) {
	srv := redistest.Start(t)
	srv.Kill()
	var closed, open atomic.Int64
	store := connect(t, at("shop", srv.Addr))
	rejects := node(t, &closed, store, idempotency.Config{})
	passes := node(t, &open, store, idempotency.Config{FailOpen: true})
	for range 2 {
		if _, err := rejects("k"); hauberk.Reason(err) != idempotency.ReasonUnavailable || !strings.Contains(fmt.Sprint(err), "not available") {
			t.Errorf("%v; want that the store fails", err)
		}
		if _, err := passes("k"); err != nil {
			t.Error(err)
		}
	}
	if closed.Load() != 0 || open.Load() != 2 {
		t.Errorf("handled %d and with FailOpen %d calls; want 0 and 2", closed.Load(), open.Load())
	}
	srv.Restart()
	redistest.Eventually(t, "the node finds the server", func() bool {
		_, err := rejects("k")
		return err == nil
	})
	for range 3 {
		if _, err := rejects("k"); err != nil {
			t.Error(err)
		}
	}
	if closed.Load() != 1 {
		t.Errorf("%d calls were handled; want 1", closed.Load())
	}
}

// A store that is closed, or was not made by New, returns errors.
func TestClosed(t *testing.T) {
	store := connect(t, at("shop", redistest.Start(t).Addr))
	for range 2 {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	err := store.Release(t.Context(), idempotency.Key{}, "a")
	if !errors.Is(err, idempotencyredis.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := new(idempotencyredis.Store).Release(t.Context(), idempotency.Key{}, "a"); err == nil {
		t.Error("a zero Store works")
	}
}

// A large outcome is kept: the bound of a connection is above that of outcomes.
func TestLargeOutcome(t *testing.T) {
	store := connect(t, at("shop", redistest.Start(t).Addr))
	ctx, of, text := t.Context(), idempotency.Fingerprint{1}, bytes.Repeat([]byte("x"), 17<<20)
	if held, err := store.Finish(ctx, idempotency.Key{}, "a", of, text, time.Minute); err != nil || !held {
		t.Fatalf("held %t, %v", held, err)
	}
	r, err := store.Begin(ctx, idempotency.Key{}, "b", of, time.Minute)
	if err != nil || r.State != idempotency.Finished || !bytes.Equal(r.Outcome, text) {
		t.Errorf("state %d, %d bytes, %v", r.State, len(r.Outcome), err)
	}
}

// The permissions in the documentation are enough.
func TestPermissions(t *testing.T) {
	commands := redistest.Permissions(t, "these commands:\n")
	for name, start := range map[string]func() []*redistest.Server{
		"server":  func() []*redistest.Server { return []*redistest.Server{redistest.Start(t)} },
		"cluster": func() []*redistest.Server { return redistest.Cluster(t) },
	} {
		t.Run(name, func(t *testing.T) {
			nodes := start()
			for _, s := range nodes {
				s.Do(append([]string{"ACL", "SETUSER", "keys", "reset", "on", ">secret", "resetchannels", "-@all", "~hauberk:*"}, commands...)...)
				s.Do("ACL", "SETUSER", "default", "off") // which may do everything
			}
			config := at("shop", nodes[0].Addr)
			config.Username, config.Password = "keys", "secret"
			store := connect(t, config)
			ctx, of := t.Context(), idempotency.Fingerprint{1}
			for i := range byte(10) {
				k := idempotency.Key{i}
				_, begin := store.Begin(ctx, k, "a", of, time.Minute)
				_, renew := store.Renew(ctx, k, "a", time.Minute)
				release := store.Release(ctx, k, "a")
				_, finish := store.Finish(ctx, k, "a", of, []byte("x"), time.Minute)
				if err := errors.Join(begin, renew, release, finish); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Keys are in the database DB, and Cluster rejects a server that is not a cluster.
func TestDBAndCluster(t *testing.T) {
	s := redistest.Start(t)
	config := at("shop", s.Addr)
	config.DB = 3
	begin := func() error {
		_, err := connect(t, config).Begin(t.Context(), idempotency.Key{1}, "a", idempotency.Fingerprint{1}, time.Minute)
		return err
	}
	if err := begin(); err != nil {
		t.Error(err)
	}
	if got := s.Do("INFO", "keyspace"); !strings.Contains(got, "db3:keys=1,") || strings.Contains(got, "db0:") {
		t.Errorf("%q; want a key in database 3", got)
	}
	config.DB, config.Cluster = 0, true
	if err := begin(); err == nil || !strings.Contains(err.Error(), "cluster") {
		t.Errorf("%v; want that the server is no cluster", err)
	}
}

// Two nodes execute a key once, also if the server is lost and its scripts with it; while it is down, calls
// end as configured.
func TestNodes(t *testing.T) {
	srv := redistest.Start(t)
	var handled atomic.Int64
	patient := idempotency.Config{StoreTimeout: 10 * time.Second}
	nodes := []func(key string) (string, error){
		node(t, &handled, connect(t, at("shop", srv.Addr)), patient),
		node(t, &handled, connect(t, at("shop", srv.Addr)), patient),
	}
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
	for want, store := range map[string]*idempotencyredis.Store{
		"Addresses is empty":    idempotencyredis.New(idempotencyredis.Config{Name: "x"}),
		"Name is empty":         idempotencyredis.New(at("", "127.0.0.1:1")),
		"is not an address":     idempotencyredis.New(at("x", "redis://user:secret@host:1")),
		"nil Config":            idempotencyredis.New(at("x", "127.0.0.1:1"), idempotencyredis.WithTLS(nil)),
		"nil function":          idempotencyredis.New(at("x", "127.0.0.1:1"), idempotencyredis.WithCredentials(nil)),
		"option 1 of New":       idempotencyredis.New(at("x", "127.0.0.1:1"), nil),
		"want one of them":      idempotencyredis.New(idempotencyredis.Config{Name: "x", Addresses: []string{"a:1"}, Password: "p"}, idempotencyredis.WithCredentials(none)),
		"idempotencyredis.New":  new(idempotencyredis.Store),
		"make one with idempot": nil,
	} {
		_, err := hauberk.New(idempotency.New(idempotency.Config{}, idempotency.WithStore(store)))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func none() (username, password string, err error) { return "", "", nil }
