package hauberk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// limits is a unary interceptor of grpc-go that returns after a time, even if its handler has not.
func limits(timeout time.Duration) grpc.UnaryServerInterceptor {
	type outcome struct {
		resp any
		err  error
	}
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		done := make(chan outcome, 1)
		go func() {
			resp, err := handler(ctx, req)
			done <- outcome{resp, err}
		}()
		select {
		case o := <-done:
			return o.resp, o.err
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// limitsStreams is limits for streams.
func limitsStreams(timeout time.Duration) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, cancel := context.WithTimeout(stream.Context(), timeout)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- handler(srv, stream) }()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// fallback answers calls that took too long.
func fallback() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := next(ctx, call); status.Code(err) != codes.DeadlineExceeded {
			return err
		}
		return call.Reply(response("fallback"))
	})
}

// TestLateHandlerOfAnAdapter: a unary interceptor of grpc-go returns while its handler runs on another goroutine. The
// inner interceptors end as usual, and nothing of them counts for the call.
func TestLateHandlerOfAnAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		replied, ended := make(chan struct{}), make(chan error, 1)
		late := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if err := next(ctx, call); err != nil {
				t.Errorf("the handler's next: %v", err)
			}
			ended <- call.Reply(response("late reply"))
			return nil
		})
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			close(replied)
			synctest.Wait() // for the handler
			if status.Code(err) != codes.DeadlineExceeded || call.Response() != nil || call.Received() != 1 {
				t.Errorf("next returned %v, with the response %v and %d requests", err, call.Response(), call.Received())
			}
			return call.Reply(response("fallback"))
		})
		b := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			<-replied
			return s.Send(response("late"))
		}}
		chain := hauberk.Must(hauberk.New(outer, passThrough(), hauberk.FromServer(limits(time.Second), hauberk.PassStreamServer), late, passThrough()))
		conn := hauberktest.Start(t, hauberktest.Setup{Backend: b, Server: chain}).Conn
		text, err := exchange(t, conn, hauberk.Unary)
		if err != nil || text != "fallback" {
			t.Errorf("received %q, %v", text, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the inner interceptor: %v", err)
		}
	})
}

// TestTimeLimitsOfGrpc: an interceptor of grpc-go that limits the time of calls works in an adapter for unary methods, and
// with the options of grpc-go for all: the client gets the response, or what is made of DEADLINE_EXCEEDED.
func TestTimeLimitsOfGrpc(t *testing.T) {
	const timeout = 2 * time.Millisecond
	adapter := hauberk.FromServer(limits(timeout), hauberk.PassStreamServer)
	options := []grpc.ServerOption{grpc.ChainUnaryInterceptor(limits(timeout)), grpc.ChainStreamInterceptor(limitsStreams(timeout))}
	unary := []hauberk.Kind{hauberk.Unary}
	for name, c := range map[string]struct {
		opts  []grpc.ServerOption
		chain []hauberk.Interceptor
		kinds []hauberk.Kind
	}{
		"options of grpc-go": {options, []hauberk.Interceptor{passThrough()}, allKinds},
		"alone":              {nil, []hauberk.Interceptor{adapter}, unary},
		"two":                {nil, []hauberk.Interceptor{adapter, passThrough(), hauberk.Named("inner", adapter)}, unary},
		"hooks":              {nil, []hauberk.Interceptor{passThrough(), adapter, passThrough()}, unary},
		"fallback":           {nil, []hauberk.Interceptor{fallback(), passThrough(), adapter, passThrough()}, unary},
	} {
		for _, kind := range c.kinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				b := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					if _, err := s.Recv(); err != nil {
						return err
					}
					sleep(timeout - time.Duration(rand.IntN(600))*time.Microsecond) // about as long
					return s.Send(response("own"))
				}}
				conn := hauberktest.Start(t, hauberktest.Setup{Backend: b, Server: hauberk.Must(hauberk.New(c.chain...)), ServerOptions: c.opts}).Conn
				var callers sync.WaitGroup
				for range 4 {
					callers.Go(func() {
						for range 50 {
							text, err := exchange(t, conn, kind)
							got := fmt.Sprint(text, status.Code(err))
							if got != "ownOK" && got != "DeadlineExceeded" && (name != "fallback" || got != "fallbackOK") {
								t.Errorf("received %q, %v", text, err)
							}
						}
					})
				}
				callers.Wait()
			})
		}
	}
}
