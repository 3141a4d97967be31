//go:build !race

package hauberk_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestLeftHandlerChangesNothing: an interceptor returns while its next, or a handler,
// runs on another goroutine; what that answers later is not sent. Returning early is a
// fault of the interceptor, and a race: hence without the detector.
func TestLeftHandlerChangesNothing(t *testing.T) {
	slow := status.Error(codes.DeadlineExceeded, "the handler is too slow")
	for name, leaves := range map[string]hauberk.Interceptor{
		"adapter": hauberk.FromServer(
			func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
				go func() { _, _ = h(ctx, req) }()
				sleep(time.Second)
				return nil, slow
			}, func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
				go func() { _ = h(srv, stream) }()
				sleep(time.Second)
				return slow
			}),
		"interceptor": hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			go func() { _ = next(ctx, call) }()
			sleep(time.Second)
			return slow
		}),
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
				replied := make(chan struct{})
				fallback := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					wantCode(t, next(ctx, call), codes.DeadlineExceeded)
					err := call.Reply(response("fallback"))
					close(replied)
					synctest.Wait() // for the handler
					return err
				})
				b := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					<-replied
					return s.Send(response("late"))
				}}
				conn := hauberktest.Start(t, hauberktest.Setup{Backend: b, Server: hauberk.Must(hauberk.New(fallback, leaves))}).Conn
				stream := start(patient(t), t, conn, kind)
				_ = stream.SendMsg(message("a"))
				_ = stream.CloseSend()
				var got []string
				var err error
				for resp := new(testpb.Response); err == nil; {
					if err = stream.RecvMsg(resp); err == nil {
						got = append(got, resp.GetText())
					}
				}
				if err != io.EOF || !slices.Equal(got, []string{"fallback"}) {
					t.Errorf("received %q, then %v", got, err)
				}
			})
		})
	}
}
