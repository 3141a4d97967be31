package attacks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/idempotency"
)

// TestR03EachKeyOnce: 10,000 calls with retries, hedges, servers that fail before their effect, and
// servers that are stopped and started again, execute each key exactly once, and each call gets the
// result of that execution.
func TestR03EachKeyOnce(t *testing.T) { eachKeyOnce(t, 10_000) }

// TestSoakR03EachKeyOnce is TestR03EachKeyOnce with 100,000 calls.
func TestSoakR03EachKeyOnce(t *testing.T) {
	if os.Getenv("HAUBERK_SOAK") == "" {
		t.Skip("HAUBERK_SOAK is not set")
	}
	eachKeyOnce(t, 100_000)
}

const (
	callersOnce  = 32
	restartsOnce = 20
)

// keyLedger notes which effects were executed, by the text of the request, which is different for each
// call.
type keyLedger struct {
	mu       sync.Mutex
	executed map[string]int
	random   *rand.Rand
}

// execute fails some calls before their effect, executes the others, and fails some of these with an error
// that is a result.
func (l *keyLedger) execute(_ context.Context, s hauberktest.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.random.IntN(10) == 0 {
		return status.Error(codes.Unavailable, "before the effect")
	}
	l.executed[req.GetText()]++
	if req.GetCount() == 0 {
		return status.Error(codes.NotFound, "result of "+req.GetText())
	}
	return s.Send(&testpb.Response{Text: "result of " + req.GetText()})
}

// restarted is a server that is stopped and started again on one address, with one store.
type restarted struct {
	t       *testing.T
	addr    string
	backend *hauberktest.Backend
	store   idempotency.Store
	srv     *hauberk.Server
	end     func()
}

func (r *restarted) start() {
	lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", r.addr)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.addr = lis.Addr().String()
	x := idempotency.New(idempotency.Config{Required: true}, idempotency.WithStore(r.store))
	r.srv = hauberk.Must(hauberk.New(x)).NewServer(grpc.WaitForHandlers(true))
	testpb.RegisterTestServiceServer(r.srv, r.backend)
	r.end = hauberktest.Serve(r.t, r.srv, lis)
}

func (r *restarted) stop() {
	if r.srv == nil {
		return
	}
	r.end()
}

// retryUnavailable makes attempts until one ends with another status than UNAVAILABLE.
func retryUnavailable(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	for {
		err := next(ctx, call)
		if hauberk.CodeOf(err) != codes.Unavailable || ctx.Err() != nil {
			return err
		}
	}
}

// hedgeSome makes two attempts at once for every fourth call, and cancels one when the other has a
// result.
func hedgeSome(n *atomic.Int64) hauberk.Func {
	return func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if n.Add(1)%4 != 0 {
			return next(ctx, call)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type ended struct {
			call *hauberk.Call
			err  error
		}
		ends := make(chan ended, 2)
		for range 2 {
			attempt := call.Attempt()
			go func() { ends <- ended{attempt, next(ctx, attempt)} }()
		}
		first := <-ends
		if hauberk.CodeOf(first.err) == codes.Unavailable {
			first = <-ends
		} else {
			cancel()
			<-ends
		}
		call.Adopt(first.call)
		return first.err
	}
}

func eachKeyOnce(t *testing.T, calls int) {
	t.Helper()
	hauberktest.CheckLeaks(t)
	ledger := &keyLedger{executed: make(map[string]int), random: rand.New(rand.NewPCG(1, 2))}
	server := &restarted{
		t: t, addr: "127.0.0.1:0", backend: &hauberktest.Backend{Handle: ledger.execute},
		store: idempotency.NewMemory(idempotency.MemoryConfig{}),
	}
	server.start()
	defer func() { server.stop() }()
	var hedged, done atomic.Int64
	chain := hauberk.Must(hauberk.New(
		idempotency.New(idempotency.Config{}), hauberk.Func(retryUnavailable), hedgeSome(&hedged),
	))
	conn, err := grpc.NewClient(server.addr, chain.DialOptions(
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := testpb.NewTestServiceClient(conn)
	restart := make(chan struct{}, 1)
	var workers, restarting sync.WaitGroup
	restarting.Go(func() {
		for range restart {
			server.stop()
			server.start()
		}
	})
	numbers := make(chan int)
	for range callersOnce {
		workers.Go(func() {
			for n := range numbers {
				callOnce(t, client, n)
				if done.Add(1)%int64(calls/restartsOnce) == 0 {
					restart <- struct{}{}
				}
			}
		})
	}
	for n := range calls {
		numbers <- n
	}
	close(numbers)
	workers.Wait()
	close(restart)
	restarting.Wait()
	if len(ledger.executed) != calls {
		t.Errorf("%d keys were executed; want %d", len(ledger.executed), calls)
	}
	for text, times := range ledger.executed {
		if times != 1 {
			t.Errorf("%s was executed %d times", text, times)
		}
	}
}

// callOnce makes a call, and checks that it gets the result of its execution.
func callOnce(t *testing.T, client testpb.TestServiceClient, n int) {
	t.Helper()
	req := &testpb.Request{Text: fmt.Sprint("effect ", n), Count: int32(n % 3)}
	resp, err := client.Unary(t.Context(), req)
	got := resp.GetText()
	if req.GetCount() == 0 && status.Code(err) == codes.NotFound {
		got = status.Convert(err).Message()
	} else if err != nil {
		t.Errorf("%s: %v", req.GetText(), err)
	}
	if want := "result of " + req.GetText(); got != want {
		t.Errorf("%q; want %q", got, want)
	}
}
