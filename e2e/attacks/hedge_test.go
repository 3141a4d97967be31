package attacks_test

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// slowLedger is a backend that never answers. It records each execution of a call.
type slowLedger struct {
	hauberktest.Backend

	mu      sync.Mutex
	entries map[string][]execution // by the text of the request
}

// execution is one execution of a call.
type execution struct {
	at   time.Time
	left time.Duration // until the deadline, as the server received it
	end  error         // of the context
}

func newSlowLedger() *slowLedger {
	l := &slowLedger{entries: make(map[string][]execution)}
	l.Handle = func(ctx context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		e := execution{at: time.Now()}
		if deadline, ok := ctx.Deadline(); ok {
			e.left = time.Until(deadline)
		}
		<-ctx.Done()
		e.end = ctx.Err()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.entries[req.GetText()] = append(l.entries[req.GetText()], e)
		return e.end
	}
	return l
}

// of returns the executions of a call in their order.
func (l *slowLedger) of(text string) []execution {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(slices.Values(l.entries[text]), func(a, b execution) int { return a.at.Compare(b.at) })
}

// hedgedChains are the chains with hedges of the row R05, and at most how often each executes a call.
func hedgedChains(delay time.Duration) map[string]struct {
	chain []hauberk.Interceptor
	most  int
} {
	hedges := func(attempts int) hauberk.Interceptor {
		return hedge.New(hedge.Config{AllMethods: true, MaxAttempts: attempts, Delay: delay, NoBudget: true})
	}
	retries := func(config retry.Config) hauberk.Interceptor {
		config.AllMethods, config.InitialBackoff = true, time.Millisecond
		return retry.New(config)
	}
	type entry = struct {
		chain []hauberk.Interceptor
		most  int
	}
	return map[string]entry{
		"hedge":              {[]hauberk.Interceptor{hedges(5)}, 5},
		"retry outside":      {[]hauberk.Interceptor{retries(retry.Config{}), hedges(3)}, 3},
		"retry inside":       {[]hauberk.Interceptor{hedges(3), retries(retry.Config{PerAttemptTimeout: 2 * delay})}, 9},
		"hedge inside hedge": {[]hauberk.Interceptor{hedges(2), hedges(2)}, 4},
	}
}

// TestR05HedgedDeadlines makes hedged calls with a deadline to a backend that never answers, in
// simulated time: they end exactly at the deadline, each execution is sent less time than the one
// before, and none begins at the deadline or later.
func TestR05HedgedDeadlines(t *testing.T) {
	const delay, deadline = 100 * time.Millisecond, 300 * time.Millisecond
	for name, c := range hedgedChains(delay) {
		for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ServerStream} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				synctest.Test(t, func(t *testing.T) {
					l := newSlowLedger()
					env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, &l.Backend, c.chain...)
					ctx, cancel := context.WithTimeout(t.Context(), deadline)
					defer cancel()
					began := time.Now()
					err := env.Call(ctx, "x").Err
					if took := time.Since(began); status.Code(err) != codes.DeadlineExceeded || took != deadline {
						t.Errorf("the call ended after %v with %v; want %v and DEADLINE_EXCEEDED", took, err, deadline)
					}
					synctest.Wait()
					executed := l.of("x")
					if len(executed) < 2 || len(executed) > c.most {
						t.Fatalf("%d executions; want 2 to %d", len(executed), c.most)
					}
					for i, e := range executed {
						if at := e.at.Sub(began); at >= deadline || e.left <= 0 || e.left > deadline-at {
							t.Errorf("execution %d began after %v with %v left", i+1, at, e.left)
						}
						if i > 0 && e.at.After(executed[i-1].at) && e.left > executed[0].left {
							t.Errorf("execution %d was sent %v, the first %v", i+1, e.left, executed[0].left)
						}
					}
				})
			})
		}
	}
}

// TestR05HedgedDeadlinesOnSockets makes many such calls on real sockets: all end with
// DEADLINE_EXCEEDED, none is executed more often than its chain allows, the context of each handler
// ends, and no goroutine is left.
func TestR05HedgedDeadlinesOnSockets(t *testing.T) {
	const delay, deadline, calls = 5 * time.Millisecond, 40 * time.Millisecond, 100
	for name, c := range hedgedChains(delay) {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			l := newSlowLedger()
			client, stop := l.listen(t, c.chain...)
			var all sync.WaitGroup
			for i := range calls {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), deadline)
					defer cancel()
					if err := hedgedCall(ctx, client, i); status.Code(err) != codes.DeadlineExceeded {
						t.Errorf("call %d ended with %v", i, err)
					}
				})
			}
			all.Wait()
			stop()
			for i := range calls {
				executed := l.of(strconv.Itoa(i))
				if len(executed) > c.most {
					t.Errorf("call %d was executed %d times; want at most %d", i, len(executed), c.most)
				}
				for _, e := range executed {
					if e.left > deadline || e.end == nil {
						t.Errorf("call %d had %v left, and its context ended with %v", i, e.left, e.end)
					}
				}
			}
		})
	}
}

// listen serves the backend on 127.0.0.1 and returns a client with a chain. stop waits for all
// handlers.
func (l *slowLedger) listen(
	t *testing.T, interceptors ...hauberk.Interceptor,
) (client testpb.TestServiceClient, stop func()) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.WaitForHandlers(true))
	testpb.RegisterTestServiceServer(srv, &l.Backend)
	stopServer := hauberktest.Serve(t, srv, lis)
	chain := hauberk.Must(hauberk.New(interceptors...))
	conn, err := grpc.NewClient(lis.Addr().String(),
		chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	return testpb.NewTestServiceClient(conn), func() {
		_ = conn.Close()
		stopServer()
	}
}

// hedgedCall makes a unary call, or one with a stream of responses, with the text of its number.
func hedgedCall(ctx context.Context, client testpb.TestServiceClient, number int) error {
	req := &testpb.Request{Text: strconv.Itoa(number)}
	if number%2 == 0 {
		_, err := client.Unary(ctx, req)
		return err
	}
	stream, err := client.ServerStream(ctx, req)
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}
