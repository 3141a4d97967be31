package hauberk_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Receiving reports whether a side waits for the other, and Sending whether it waits for its peer to read.
func TestReceivingAndSending(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		synctest.Test(t, func(t *testing.T) {
			type seen struct{ receiving, sending bool }
			var call *hauberk.Call
			look := func() seen {
				synctest.Wait()
				return seen{call.Receiving(), call.Sending()}
			}
			take := hauberk.Func(func(ctx context.Context, got *hauberk.Call, next hauberk.Next) error {
				got.CountMessages()
				call = got
				return next(ctx, got)
			})
			b := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				if _, err := s.Recv(); err != nil {
					return err
				}
				<-time.After(time.Minute)
				if c.Kind.ServerStreams() {
					for err := error(nil); err == nil; { // until the client's window is full
						err = s.Send(&testpb.Response{Payload: make([]byte, 1<<14)})
					}
				}
				return ctx.Err()
			}}
			env := c.StartWith(t, b, take)
			ctx, cancel := context.WithCancel(t.Context())
			desc := &grpc.StreamDesc{ClientStreams: c.Kind.ClientStreams(), ServerStreams: c.Kind.ServerStreams()}
			stream, err := env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(c.Kind))
			if err != nil {
				t.Fatal(err)
			}
			server := c.Side == hauberk.ServerSide
			if got := look(); got != (seen{server, false}) {
				t.Errorf("before a message: %+v", got)
			}
			if err := stream.SendMsg(&testpb.Request{}); err != nil {
				t.Fatal(err)
			}
			_ = stream.CloseSend()
			if got := look(); got != (seen{}) {
				t.Errorf("while nothing waits: %+v", got)
			}
			done := make(chan error, 1)
			go func() { done <- stream.RecvMsg(new(testpb.Response)) }()
			if got := look(); got != (seen{!server, false}) {
				t.Errorf("while the client waits: %+v", got)
			}
			<-time.After(2 * time.Minute)
			if got := look(); server && got != (seen{false, c.Kind.ServerStreams()}) {
				t.Errorf("while the client does not read: %+v", got)
			}
			cancel()
			t.Log(<-done)
			<-time.After(time.Minute)
		})
	})
}

// SetSent makes the error of an interceptor one of the server, for each code.
func TestSetSent(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		for _, sent := range []bool{false, true} {
			var unsent bool
			outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				unsent = call.Unsent()
				return err
			})
			answer := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
				if sent {
					call.SetSent()
				}
				return context.DeadlineExceeded
			})
			_ = hauberktest.Direct{Kind: kind}.Client(hauberk.Must(hauberk.New(outer, answer)))(t.Context())
			if unsent == sent {
				t.Errorf("%s: SetSent %t: Unsent is %t", kind, sent, unsent)
			}
		}
	}
}
