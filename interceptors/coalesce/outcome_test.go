package coalesce_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/coalesce"
)

// A caller with a later deadline does not get the outcome of the deadline of the first caller, also if the
// handler gives up some time before that.
func TestEndsBeforeFirstDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, coalesce.New(shared()))
		w.handle = func(ctx context.Context) (string, error) {
			deadline, ok := ctx.Deadline()
			if ok && time.Until(deadline) < 2*time.Second { // less than the call needs
				<-time.After(time.Until(deadline) - 100*time.Millisecond)
				return "", status.Error(codes.DeadlineExceeded, "too little time")
			}
			<-time.After(2 * time.Second)
			return "answer", nil
		}
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := w.call(ctx); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("the first caller: %v", err)
			}
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if text, err := w.call(ctx); text != "answer" || err != nil {
			t.Errorf("the caller with more time: %q, %v", text, err)
		}
	})
}

// Calls on a client share a flight only if they have the same options for connections and sizes: one that
// fails fast does not wait with one that waits for a connection.
func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second []grpc.CallOption
		want          int // flights
	}{
		{"none", nil, nil, 1},
		{"the same", []grpc.CallOption{grpc.WaitForReady(true)}, []grpc.CallOption{grpc.WaitForReady(true)}, 1},
		{"the same at last", sizes(1, 2), sizes(2), 1},
		{"one waits", []grpc.CallOption{grpc.WaitForReady(true)}, nil, 2},
		{"one fails fast", []grpc.CallOption{grpc.WaitForReady(false)}, nil, 2},
		{"size of the response", sizes(1), nil, 2},
		{"size of the request", nil, []grpc.CallOption{grpc.MaxCallSendMsgSize(1)}, 2},
		{"an option without influence", []grpc.CallOption{grpc.StaticMethod()}, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := coalesce.New(shared())
				intercept := hauberk.Must(hauberk.New(x)).UnaryClientInterceptor()
				invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
					<-time.After(time.Second)
					return nil
				}
				var callers sync.WaitGroup
				defer callers.Wait()
				for _, opts := range [][]grpc.CallOption{c.first, c.second} {
					callers.Go(func() {
						if err := intercept(t.Context(), testpb.TestService_Unary_FullMethodName, &testpb.Request{},
							&testpb.Response{}, nil, invoke, opts...); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				if n := number(x, "coalesce_flights"); n != float64(c.want) {
					t.Errorf("%v flights; want %d", n, c.want)
				}
			})
		})
	}
}

// sizes returns options for the greatest size of the response.
func sizes(bytes ...int) (opts []grpc.CallOption) {
	for _, n := range bytes {
		opts = append(opts, grpc.MaxCallRecvMsgSize(n))
	}
	return opts
}
