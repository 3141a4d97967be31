package hauberk_test

import (
	"context"
	"net"
	"strconv"
	"sync"
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
	retries "github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// replica is a server on a socket that counts what it did, by the text of the request.
type replica struct {
	srv  *hauberk.Server
	addr string
}

// completed counts the calls that handlers completed, by the text of their first request. Safe for concurrent use.
type completed struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *completed) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[text]++
}

// newReplica starts a server on a socket.
func newReplica(t *testing.T, d hauberk.Drain, done *completed, work func(ctx context.Context, text string) error) *replica {
	t.Helper()
	chain := hauberk.Must(hauberk.Config{Drain: d}.New())
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		if err := work(ctx, req.GetText()); err != nil {
			return err
		}
		done.add(req.GetText())
		return s.Send(&testpb.Response{Text: req.GetText()})
	}})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := hauberktest.Serve(t, srv, lis)
	t.Cleanup(func() {
		stop()
	})
	return &replica{srv, lis.Addr().String()}
}

// endpoints are those of replicas.
func endpoints(replicas ...*replica) (state resolver.State) {
	for _, one := range replicas {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: one.addr}}})
	}
	return state
}

// balanced connects to several replicas in turn, with retries.
func balanced(t *testing.T, replicas ...*replica) (grpc.ClientConnInterface, *manual.Resolver) {
	t.Helper()
	r := manual.NewBuilderWithScheme("replicas")
	r.InitialState(endpoints(replicas...))
	conn, err := grpc.NewClient("replicas:///", grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return hauberk.Must(hauberk.New(retries.New(retries.Config{
		AllMethods: true, MaxAttempts: 5, InitialBackoff: 10 * time.Millisecond, MaxBackoff: time.Second,
		NoBudget: true, NoCallerPushback: true, MaxReplayBytes: 1 << 10,
	}))).ClientConn(conn), r
}

// TestFailoverOfLoad: of the calls that are made while one of two servers shuts down, none is lost and none is
// done twice, on sockets, for all kinds of calls.
func TestFailoverOfLoad(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, d := range []hauberk.Drain{{}, {RejectNew: true}, {Notice: 20 * time.Millisecond, Grace: time.Minute}} {
		done := &completed{counts: map[string]int{}}
		work := func(context.Context, string) error { return nil }
		first, second := newReplica(t, d, done, work), newReplica(t, d, done, work)
		conn, _ := balanced(t, first, second)
		const callers, each = 8, 150
		var all sync.WaitGroup
		halfway := make(chan struct{}, callers)
		for caller := range callers {
			all.Go(func() {
				for i := range each {
					if i == each/3 {
						halfway <- struct{}{}
					}
					text := strconv.Itoa(caller) + "/" + strconv.Itoa(i)
					if err := callWith(patient(t), conn, allKinds[i%4], text); err != nil {
						t.Errorf("call %s is lost: %v", text, err)
					}
				}
			})
		}
		<-halfway
		if err := first.srv.Shutdown(patient(t)); err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		all.Wait()
		wantOnce(t, done, callers*each)
	}
}

// TestFailoverOfStreams: streams that a server ends after the grace time go on at another, and are done once.
func TestFailoverOfStreams(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const n = 30
	done := &completed{counts: map[string]int{}}
	entered := make(chan struct{}, 100*n)
	first := newReplica(t, hauberk.Drain{Grace: soon}, done, func(ctx context.Context, _ string) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	second := newReplica(t, hauberk.Drain{}, done, func(context.Context, string) error { return nil })
	conn, r := balanced(t, first)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			kind := []hauberk.Kind{hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}[i%3]
			if err := callWith(patient(t), conn, kind, strconv.Itoa(i)); err != nil {
				t.Errorf("%v is lost: %v", kind, err)
			}
		})
	}
	for range n {
		<-entered
	}
	r.UpdateState(endpoints(first, second))
	if err := first.srv.Shutdown(patient(t)); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	all.Wait()
	wantOnce(t, done, n)
}

func wantOnce(t *testing.T, done *completed, calls int) {
	t.Helper()
	if len(done.counts) != calls {
		t.Errorf("%d calls were done; want %d", len(done.counts), calls)
	}
	for text, n := range done.counts {
		if n != 1 {
			t.Errorf("call %s was done %d times", text, n)
		}
	}
}

// callWith makes a call with one request and wants a response.
func callWith(ctx context.Context, conn grpc.ClientConnInterface, kind hauberk.Kind, text string) error {
	stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind), grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	_ = stream.SendMsg(message(text)) // RecvMsg returns what is wrong
	_ = stream.CloseSend()
	resp := new(testpb.Response)
	if err := stream.RecvMsg(resp); err != nil {
		return err
	}
	if resp.GetText() != text {
		return hauberk.Reject(codes.DataLoss, "OTHER_TEXT", resp.GetText())
	}
	if kind.ServerStreams() {
		_ = stream.RecvMsg(resp)
	}
	return nil
}
