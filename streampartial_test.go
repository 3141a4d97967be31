package hauberk_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// guardedStream is a stream of an interceptor of the connection. Its Context blocks until asked is closed.
type guardedStream struct {
	grpc.ClientStream

	asked  chan struct{}
	closes *atomic.Int32 // calls of CloseSend
}

func (s guardedStream) Context() context.Context {
	<-s.asked
	return s.ClientStream.Context()
}

func (s guardedStream) CloseSend() error {
	s.closes.Add(1)
	return s.ClientStream.CloseSend()
}

// guarding returns an option for connections with such streams. If reopens is set, each is the second stream of its
// call: the first is cancelled, so that grpc-go reports an end.
func guarding(asked chan struct{}, closes *atomic.Int32, reopens bool) grpc.DialOption {
	return grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		if reopens {
			ctx, cancel := context.WithCancel(ctx)
			s, err := open(ctx, desc, cc, method, opts...)
			cancel()
			if err != nil {
				return nil, err
			}
			_ = s.RecvMsg(new(testpb.Response))
		}
		s, err := open(ctx, desc, cc, method, opts...)
		return guardedStream{s, asked, closes}, err
	})
}

// TestRejectedMessageIsNotFollowedByAHalfClose: a message that the chain does not pass to the transport, since the call
// is ending, is not followed by a half-close: the server would read a part of the stream as the whole.
func TestRejectedMessageIsNotFollowedByAHalfClose(t *testing.T) {
	bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
		for name, chain := range map[string]*hauberk.Chain{
			"empty": hauberk.Must(hauberk.New()), "hooks": hauberk.Must(hauberk.New(passThrough())),
			"retry": hauberk.Must(hauberk.New(retry(2))), "adapter": hauberk.Must(hauberk.New(adapted(), passThrough())),
		} {
			asked, closes := make(chan struct{}), new(atomic.Int32)
			conn := hauberktest.Start(t, hauberktest.Setup{
				Backend: &hauberktest.Backend{Handle: wait}, Client: chain,
				DialOptions: []grpc.DialOption{guarding(asked, closes, false)},
			}).Conn
			ctx, cancel := context.WithCancel(patient(t))
			stream := start(ctx, t, conn, kind)
			cancel()
			synctest.Wait() // the chain asks the transport whether its stream exists
			if err := stream.SendMsg(message("a")); err != io.EOF {
				t.Errorf("%s: SendMsg: %v", name, err)
			}
			_ = stream.CloseSend()
			if n := closes.Load(); n != 0 {
				t.Errorf("%s: the stream was half-closed without its message", name)
			}
			close(asked)
			_ = drain(stream)
		}
	})
}

// TestMessageWaitsForAQuestion: grpc-go has reported the end of a stream that an interceptor of the connection has
// replaced. A message of the application waits until the chain knows that another goes on, and reaches that.
func TestMessageWaitsForAQuestion(t *testing.T) {
	bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
		for name, chain := range map[string]*hauberk.Chain{
			"empty": hauberk.Must(hauberk.New()), "hooks": hauberk.Must(hauberk.New(passThrough())),
			"adapter": hauberk.Must(hauberk.New(adapted(), passThrough())),
		} {
			asked, closes := make(chan struct{}), new(atomic.Int32)
			conn := hauberktest.Start(t, hauberktest.Setup{
				Client: chain, DialOptions: []grpc.DialOption{guarding(asked, closes, true)},
			}).Conn
			stream := start(patient(t), t, conn, kind)
			synctest.Wait() // the chain asks
			sent := make(chan error, 1)
			go func() { sent <- stream.SendMsg(message("a")) }()
			synctest.Wait()
			select {
			case err := <-sent:
				t.Errorf("%s: SendMsg did not wait: %v", name, err)
				sent <- err
			default:
			}
			close(asked)
			if err := <-sent; err != nil {
				t.Errorf("%s: SendMsg: %v", name, err)
			}
			_ = stream.CloseSend()
			r := new(testpb.Response)
			if err := stream.RecvMsg(r); err != nil || r.GetText() != "echo:a" {
				t.Errorf("%s: received %q, %v", name, r.GetText(), err)
			}
			_ = drain(stream)
		}
	})
}
