package hauberk_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// This file has what the tests of stream*_test.go share. Most of those tests run in a
// bubble of testing/synctest: an operation that has not returned when nothing moves
// any more is blocked, and the deadline of a hanging call passes at once.

// uploadKinds are the kinds whose requests are streamed.
var uploadKinds = []hauberk.Kind{hauberk.ClientStream, hauberk.Bidi}

// bubbles runs a test in a bubble for each kind.
func bubbles(t *testing.T, kinds []hauberk.Kind, test func(t *testing.T, kind hauberk.Kind)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, kind) })
		})
	}
}

// settles runs f in a bubble and reports whether f has returned when nothing moves
// any more.
func settles(f func()) bool { return finished(starts(f)) }

// starts runs f in a bubble and waits until nothing moves any more.
func starts(f func()) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	synctest.Wait()
	return done
}

func finished(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// within runs f outside of bubbles, where a goroutine may be blocked by a mutex, and
// reports whether f has returned in a generous time.
func within(t *testing.T, what string, f func()) bool {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-time.After(10 * time.Second):
		buf := make([]byte, 1<<20)
		var own []string
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "hauberk.") {
				own = append(own, g)
			}
		}
		t.Errorf("%s hangs:\n%s", what, strings.Join(own, "\n\n"))
		return false
	}
}

// bare serves a backend with grpc-go alone and returns a connection of grpc-go alone.
func bare(t testing.TB, b *hauberktest.Backend, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return bareServer(t, b, nil, opts...)
}

func bareServer(t testing.TB, b *hauberktest.Backend, srvOpts []grpc.ServerOption, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	lis, srv := bufconn.Listen(1<<20), grpc.NewServer(srvOpts...)
	testpb.RegisterTestServiceServer(srv, b)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///bare", append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		srv.Stop()
		<-served //nolint:errcheck // that of Stop
	})
	return conn
}

// nativeRetry is a service config with grpc-go's own retries of UNAVAILABLE.
const nativeRetry = `{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":4,"initialBackoff":"0.001s",` +
	`"maxBackoff":"0.001s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`

// behind returns a connection to a backend through a chain on the client.
func behind(t testing.TB, b *hauberktest.Backend, interceptors ...hauberk.Interceptor) grpc.ClientConnInterface {
	t.Helper()
	return hauberktest.Start(t, hauberktest.Setup{Backend: b, Client: hauberk.Must(hauberk.New(interceptors...))}).Conn
}

// world is a connection that an application should not be able to distinguish from bare
// grpc-go.
type world struct {
	name string
	conn grpc.ClientConnInterface
}

// adapted is an adapter around interceptors of grpc-go that do nothing.
func adapted() hauberk.Interceptor {
	return fromStream(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return open(ctx, desc, cc, method, opts...)
	})
}

// worlds returns connections to a backend through chains that change nothing, the
// first of them bare.
func worlds(t testing.TB, b *hauberktest.Backend, opts ...grpc.DialOption) []world {
	t.Helper()
	start := func(setup hauberktest.Setup) grpc.ClientConnInterface {
		setup.Backend, setup.DialOptions = b, append(setup.DialOptions, opts...)
		return hauberktest.Start(t, setup).Conn
	}
	client := func(interceptors ...hauberk.Interceptor) grpc.ClientConnInterface {
		return start(hauberktest.Setup{Client: hauberk.Must(hauberk.New(interceptors...))})
	}
	return []world{
		{"bare grpc-go", bare(t, b, opts...)},
		{"empty chain", client()},
		{"interceptors", client(hauberk.Func(idle), hauberk.Func(idle), hauberk.Func(idle))},
		{"hooks", client(passThrough(), passThrough())},
		{"guarded hooks", client(recoverer{}, passThrough())},
		{"retry", client(retry(3))},
		{"retry inside hooks", client(passThrough(), retry(3), passThrough())},
		{"adapter", client(adapted())},
		{"hooks around an adapter", client(passThrough(), adapted(), passThrough())},
		{"DialOptions", start(hauberktest.Setup{DialOptions: idleChain(1).DialOptions()})},
		{"on the server", start(hauberktest.Setup{Server: hauberk.Must(hauberk.New(passThrough()))})},
	}
}

// uploads is a backend for any kind that keeps what each call of it receives. It
// answers "<number of requests> stored".
type uploads struct {
	// fail, if set, is called after the nth request of a call, both from 1, and with
	// end true after the last one; an error ends the call.
	fail func(call, n int, end bool) error

	mu  sync.Mutex
	got [][]string
}

func (u *uploads) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		u.mu.Lock()
		u.got = append(u.got, nil)
		call := len(u.got)
		u.mu.Unlock()
		for n := 1; ; n++ {
			req, err := s.Recv()
			end := err == io.EOF
			if err != nil && !end {
				return err
			}
			if !end {
				u.mu.Lock()
				u.got[call-1] = append(u.got[call-1], req.GetText())
				u.mu.Unlock()
			}
			if u.fail != nil {
				if err := u.fail(call, n, end); err != nil {
					return err
				}
			}
			if end {
				return s.Send(&testpb.Response{Text: strconv.Itoa(n-1) + " stored"})
			}
		}
	}}
}

// calls returns how many calls the backend had.
func (u *uploads) calls() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.got)
}

// of returns what a call received, from 1.
func (u *uploads) of(call int) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if call > len(u.got) {
		return nil
	}
	return append([]string(nil), u.got[call-1]...)
}

// failsOnce is a fail of uploads: the first call ends with UNAVAILABLE after its nth
// request.
func failsOnce(n int) func(call, n int, end bool) error {
	return func(call, got int, _ bool) error {
		if call == 1 && got == n {
			return status.Error(codes.Unavailable, "restarting")
		}
		return nil
	}
}

// retrying attempts a call again while it fails with UNAVAILABLE. It keeps limit
// bytes for that, and waits with pause before each new attempt.
func retrying(limit, attempts int, pause func(ctx context.Context) error) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Replayable(limit)
		for n := 1; ; n++ {
			err := next(ctx, call)
			if n == attempts || status.Code(err) != codes.Unavailable || !call.CanAttempt() {
				return err
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
	})
}

// upon returns a pause that waits for a channel, and an error if the context ends first.
func upon(signal <-chan struct{}) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-signal:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// scripts is a connection whose streams are made by a test.
type scripts struct {
	stubConn

	// open opens the nth stream, from 1.
	open     func(ctx context.Context, n int) (*script, error)
	attempts atomic.Int64
}

func (c *scripts) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := c.open(ctx, int(c.attempts.Add(1)))
	if err != nil {
		return nil, err
	}
	s.ctx = ctx
	return s, nil
}

// script is a transport stream of a test. The zero value takes every message and
// answers nothing until its context ends.
type script struct {
	send    func(ctx context.Context, msg any) error
	receive func(ctx context.Context, msg any) error
	header  func(ctx context.Context) (metadata.MD, error)

	ctx context.Context
}

func (s *script) Context() context.Context { return s.ctx }
func (*script) Trailer() metadata.MD       { return nil }
func (*script) CloseSend() error           { return nil }

func (s *script) Header() (metadata.MD, error) {
	if s.header != nil {
		return s.header(s.ctx)
	}
	return nil, untilDone(s.ctx)
}

func (s *script) SendMsg(msg any) error {
	if s.send != nil {
		return s.send(s.ctx, msg)
	}
	return nil
}

func (s *script) RecvMsg(msg any) error {
	if s.receive != nil {
		return s.receive(s.ctx, msg)
	}
	return untilDone(s.ctx)
}

// untilDone blocks until a context is done, and returns its status.
func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

// alike opens the same script each time.
func alike(s script) func(context.Context, int) (*script, error) {
	return func(context.Context, int) (*script, error) { return &s, nil }
}

// message is a request with a text.
func message(text string) *testpb.Request { return &testpb.Request{Text: text} }

// start opens a stream of a kind without sending.
func start(ctx context.Context, t *testing.T, conn grpc.ClientConnInterface, k hauberk.Kind, opts ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(ctx, descOf(k), hauberktest.FullMethod(k), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// receiving receives one message in the background.
func receiving(stream grpc.ClientStream) <-chan received {
	got := make(chan received, 1)
	go func() {
		resp := new(testpb.Response)
		err := stream.RecvMsg(resp)
		got <- received{resp.GetText(), err}
	}()
	return got
}

type received struct {
	text string
	err  error
}

// operations are what an application may do with a stream except closing it.
var operations = []string{"SendMsg", "CloseSend", "RecvMsg", "Header", "Trailer", "Context"}

// operate does one of operations.
func operate(stream grpc.ClientStream, op string) (err error) {
	switch op {
	case "SendMsg":
		err = stream.SendMsg(message("x"))
	case "CloseSend":
		err = stream.CloseSend()
	case "RecvMsg":
		err = stream.RecvMsg(new(testpb.Response))
	case "Header":
		_, err = stream.Header()
	case "Trailer":
		stream.Trailer()
	case "Context":
		stream.Context()
	default:
		err = fmt.Errorf("no such operation: %s", op)
	}
	return err
}

// dice is a source of random numbers with a fixed seed, for any number of goroutines.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{r: rand.New(rand.NewPCG(9, seed))} }

// below returns a number from 0 up to n.
func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}
