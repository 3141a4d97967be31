package hedge_test

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
)

// counting is a connection that counts unary calls, which fail with a code.
type counting struct {
	grpc.ClientConnInterface

	calls atomic.Int64
	fail  codes.Code
}

func (c *counting) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	c.calls.Add(1)
	return status.Error(c.fail, "failed")
}

// site is a server on a real socket, whose attempts of a call are executed as its script says.
type site struct {
	hauberktest.Backend

	mu       sync.Mutex
	attempts map[string]int // by the text of the request
	done     atomic.Int64   // attempts whose context was cancelled
}

// serve serves calls: the first attempt of each waits until its context is done, the second answers.
// stop waits for all handlers.
func serve(t *testing.T, interceptors ...hauberk.Interceptor) (s *site, client testpb.TestServiceClient, stop func()) {
	t.Helper()
	s = &site{attempts: make(map[string]int)}
	s.Handle = func(ctx context.Context, stream hauberktest.Stream) error {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.attempts[req.GetText()]++
		first := s.attempts[req.GetText()] == 1
		s.mu.Unlock()
		if first {
			<-ctx.Done()
			s.done.Add(1)
			return ctx.Err()
		}
		return stream.Send(response("answer to " + req.GetText()))
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.WaitForHandlers(true))
	testpb.RegisterTestServiceServer(srv, &s.Backend)
	stopServer := hauberktest.Serve(t, srv, lis)
	chain := hauberk.Must(hauberk.New(interceptors...))
	conn, err := grpc.NewClient(lis.Addr().String(),
		chain.DialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	return s, testpb.NewTestServiceClient(conn), func() {
		_ = conn.Close()
		stopServer()
	}
}

// TestLosersEnd: on real connections each caller gets the response to its own request, the handlers
// of the attempts that have lost see their context done, slots are given back, and no goroutine is
// left.
func TestLosersEnd(t *testing.T) {
	hauberktest.CheckLeaks(t)
	const callers, each = 16, 25
	limit := concurrency.New(concurrency.Config{Limit: 2 * callers})
	s, client, stop := serve(t, all(hedge.Config{Delay: time.Millisecond, NoBudget: true}), limit)
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				text := strconv.Itoa(caller*each + i)
				got, err := ask(t.Context(), client, text, i%2 == 0)
				if err != nil || got != "answer to "+text {
					t.Errorf("call %s: %q, %v", text, got, err)
				}
			}
		})
	}
	all.Wait()
	stop()
	if got := s.done.Load(); got != callers*each {
		t.Errorf("%d handlers saw their context done, want %d", got, callers*each)
	}
	if running := limit.Limits()[0].Running; running != 0 {
		t.Errorf("%d slots are taken after all calls", running)
	}
}

// ask makes a unary call, or one with a stream of responses.
func ask(ctx context.Context, client testpb.TestServiceClient, text string, unary bool) (string, error) {
	if unary {
		resp, err := client.Unary(ctx, &testpb.Request{Text: text})
		return resp.GetText(), err
	}
	stream, err := client.ServerStream(ctx, &testpb.Request{Text: text})
	if err != nil {
		return "", err
	}
	resp, err := stream.Recv()
	if err != nil {
		return "", err
	}
	for err == nil {
		_, err = stream.Recv()
	}
	return resp.GetText(), nil
}
