package retry_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// resumed is a random stream that breaks and is resumed, between other retries with timeouts and slow hooks.
type resumed struct {
	mu       sync.Mutex
	random   *rand.Rand
	total    int
	timeouts int // bits: of the outer, the resuming and the inner retry
	chain    []hauberk.Interceptor
	names    []string
}

// below returns a random number.
func (r *resumed) below(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.IntN(n)
}

func (r *resumed) delay() time.Duration {
	if r.below(2) == 0 {
		return 0
	}
	return time.Duration(r.below(2000)) * time.Microsecond
}

func (r *resumed) config(timeout int) retry.Config {
	c := retry.Config{NoBudget: true, MaxAttempts: 2 + r.below(3), RetryAfterHeader: r.below(2) == 0, InitialBackoff: time.Millisecond}
	if r.below(2) == 0 {
		r.timeouts |= timeout
		c.PerAttemptTimeout = time.Millisecond + r.delay()
	}
	return c
}

func (r *resumed) add(name string, x hauberk.Interceptor) {
	r.names = append(r.names, name)
	r.chain = append(r.chain, hauberk.Named(fmt.Sprint(name, len(r.chain)), x))
}

// maybe adds something around the next interceptor.
func (r *resumed) maybe() {
	switch r.below(5) {
	case 0:
		r.add("hook", hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnReceive(func(any) (bool, error) {
				<-time.After(r.delay())
				return true, nil
			})
			return next(ctx, call)
		}))
	case 1:
		r.add("waits", hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			<-time.After(r.delay())
			return next(ctx, call)
		}))
	case 2:
		r.add("reads", hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if _, err := call.Read(ctx); err != nil {
				return err
			}
			return next(ctx, call)
		}))
	case 3:
		r.add("counts", hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
			return next(ctx, call)
		}))
	}
}

func newResumed(seed uint64) *resumed {
	r := &resumed{random: rand.New(rand.NewPCG(seed, 5)), total: 1 + int(seed%6)}
	r.maybe()
	if r.below(2) == 0 {
		r.add("outer", all(r.config(1)))
		r.maybe()
	}
	r.add("resuming", all(r.config(2), retry.WithResume(after)))
	r.maybe()
	if r.below(2) == 0 {
		r.add("inner", all(r.config(4)))
		r.maybe()
	}
	return r
}

// serve sends the numbers from that of the request on, until it breaks.
func (r *resumed) serve(ctx context.Context, s hauberktest.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return err
	}
	index, _ := strconv.Atoi(req.GetText())
	if r.below(3) == 0 {
		<-time.After(r.delay())
		_ = s.SendHeader(nil)
	}
	for i := index; i < r.total; i++ {
		<-time.After(r.delay())
		switch r.below(8) {
		case 0:
			return status.Error(codes.Unavailable, "broken")
		case 1:
			<-time.After(4 * r.delay())
		}
		if err := s.Send(&testpb.Response{Index: int32(i)}); err != nil {
			return err
		}
	}
	<-time.After(r.delay())
	if r.below(4) == 0 {
		return status.Error(codes.Unavailable, "broken")
	}
	return ctx.Err()
}

// run makes the call, and returns what is wrong with its outcome.
func (r *resumed) run(t *testing.T) string {
	b := &backend{}
	b.Handle = func(ctx context.Context, s hauberktest.Stream) error { return r.serve(ctx, s) }
	env := start(t, hauberk.ServerStream, b, r.chain...)
	stream, err := env.Conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, hauberktest.FullMethod(hauberk.ServerStream))
	if err != nil {
		return r.wrong(0, err)
	}
	_ = stream.SendMsg(&testpb.Request{Text: "0"})
	_ = stream.CloseSend()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if r.below(4) == 0 {
			<-time.After(r.delay())
			_, _ = stream.Header()
		}
	}()
	received := 0
	for {
		msg := new(testpb.Response)
		if err = stream.RecvMsg(msg); err != nil {
			break
		}
		if int(msg.GetIndex()) != received {
			return fmt.Sprintf("received %d; want %d", msg.GetIndex(), received)
		}
		received++
		<-time.After(r.delay())
	}
	<-asked
	return r.wrong(received, err)
}

// wrong returns what is wrong with the outcome.
func (r *resumed) wrong(received int, err error) string {
	code := status.Code(err)
	switch {
	case err == io.EOF && received == r.total, code == codes.Unavailable:
		return ""
	case code == codes.DeadlineExceeded && r.timeouts != 0 && (received == 0 || r.timeouts != 1):
		return ""
	default:
		return fmt.Sprintf("received %d of %d messages, and then %v", received, r.total, err)
	}
}

// TestResumeRandom: the application receives each message once, in order, however its attempts end. A timeout of an
// outer retry ends no stream of which it has messages.
func TestResumeRandom(t *testing.T) {
	first := testseed.Rand(t, 1).Uint64() >> 1
	for seed := first; seed < first+300; seed++ {
		synctest.Test(t, func(t *testing.T) {
			r := newResumed(seed)
			wrong := r.run(t)
			<-time.After(time.Second) // until the handlers have returned
			if wrong != "" {
				t.Errorf("%d, %v, timeouts %b: %s", seed, r.names, r.timeouts, wrong)
			}
		})
	}
}
