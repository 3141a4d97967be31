package hauberk_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file are about interceptors of grpc-go that are given to a connection and open
// streams again: to a chain in front of it they are the transport.

// reopenedWorlds are connections with an interceptor that opens streams again: bare, and behind chains.
func reopenedWorlds(t *testing.T, b func() *hauberktest.Backend) map[string]*connection {
	t.Helper()
	inside := grpc.WithChainStreamInterceptor(reopens)
	worlds := map[string]*connection{"bare": newConnection(bare(t, b(), inside), nil)}
	for name, interceptors := range map[string][]hauberk.Interceptor{
		"empty": nil, "hooks": {passThrough()}, "retry": {retry(2)}, "adapter": {adapted()},
	} {
		chain := hauberk.Must(hauberk.New(interceptors...))
		worlds[name+", DialOptions"] = newConnection(bare(t, b(), append(chain.DialOptions(), inside)...), nil)
		worlds[name+", ClientConn"] = newConnection(bare(t, b(), inside), chain)
	}
	return worlds
}

// connection is a connection that a chain may be in front of.
type connection struct {
	grpc.ClientConnInterface

	cc *grpc.ClientConn
}

func newConnection(cc *grpc.ClientConn, chain *hauberk.Chain) *connection {
	if chain == nil {
		return &connection{cc, cc}
	}
	return &connection{chain.ClientConn(cc), cc}
}

// failsFirst is a backend whose first call ends with UNAVAILABLE. The others send n messages of 10 kB,
// each of which is counted, and end with err.
func failsFirst(n int, sent *atomic.Int64, err error) *hauberktest.Backend {
	var calls atomic.Int64
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		if calls.Add(1) == 1 {
			return status.Error(codes.Unavailable, "shedding load")
		}
		for i := range n {
			if err := s.Send(&testpb.Response{Text: strconv.Itoa(i), Payload: make([]byte, 10_000)}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return err
	}}
}

// TestReopenedStreamIsTheApplications: if an interceptor given to the connection has opened a stream
// again, the application receives all of that stream's messages and its status, and flow control holds.
func TestReopenedStreamIsTheApplications(t *testing.T) {
	const n = 300
	for _, end := range []error{nil, status.Error(codes.Aborted, "its end")} {
		synctest.Test(t, func(t *testing.T) {
			var sent atomic.Int64
			for name, conn := range reopenedWorlds(t, func() *hauberktest.Backend { return failsFirst(n, &sent, end) }) {
				sent.Store(0)
				stream := start(patient(t), t, conn, hauberk.ServerStream)
				if err := errors.Join(stream.SendMsg(message("x")), stream.CloseSend()); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				for i := range n {
					var r testpb.Response
					if err := stream.RecvMsg(&r); err != nil || r.GetText() != strconv.Itoa(i) {
						t.Fatalf("%s: message %d is %q, %v", name, i, r.GetText(), err)
					}
					if i == 9 {
						synctest.Wait()
						if ahead := sent.Load() - 10; ahead > 50 {
							t.Errorf("%s: the server has sent %d messages that the application has not received", name, ahead)
						}
					}
				}
				if err := stream.RecvMsg(new(testpb.Response)); status.Code(err) != status.Code(end) && err != io.EOF {
					t.Errorf("%s: ended with %v, want %v", name, err, end)
				}
			}
		})
	}
}

// TestReopenedStreamEndsUnseen: the end of a stream that was opened again ends the chain, also if the
// application does not receive it: the connection is closed, or the context is done.
func TestReopenedStreamEndsUnseen(t *testing.T) {
	for name, end := range map[string]func(conn *connection, cancel context.CancelFunc){
		"closed":    func(conn *connection, _ context.CancelFunc) { _ = conn.cc.Close() },
		"cancelled": func(_ *connection, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent atomic.Int64
				for world, conn := range reopenedWorlds(t, func() *hauberktest.Backend { return failsFirst(300, &sent, nil) }) {
					if world == "bare" {
						continue
					}
					ctx, cancel := context.WithCancel(patient(t))
					ended := make(chan error, 2)
					stream := start(ctx, t, conn, hauberk.ServerStream, grpc.OnFinish(func(err error) { ended <- err }))
					if err := errors.Join(stream.SendMsg(message("x")), stream.CloseSend(), stream.RecvMsg(new(testpb.Response))); err != nil {
						t.Fatalf("%s: %v", world, err)
					}
					end(conn, cancel)
					synctest.Wait()
					select {
					case err := <-ended:
						wantCode(t, err, codes.Canceled)
					default:
						t.Errorf("%s: the chain has not ended", world)
					}
					cancel()
				}
			})
		})
	}
}

// TestHeaderOfAReopenedStream: Header finds that the first stream has ended. On bare grpc-go the application
// then receives; behind a chain Header waits for a message of the stream that was opened again.
func TestHeaderOfAReopenedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		for name, conn := range reopenedWorlds(t, func() *hauberktest.Backend { return failsFirst(1, &sent, nil) }) {
			sent.Store(0)
			stream := start(patient(t), t, conn, hauberk.ServerStream)
			if err := errors.Join(stream.SendMsg(message("x")), stream.CloseSend()); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Header(); err != nil {
				t.Errorf("%s: Header: %v", name, err)
			}
			synctest.Wait() // the backend counts a message after it has sent it
			if early := sent.Load() == 0; early != (name == "bare") {
				t.Errorf("%s: Header returned before the second stream had a message: %t", name, early)
			}
			var r testpb.Response
			if err := stream.RecvMsg(&r); err != nil || r.GetText() != "0" {
				t.Errorf("%s: received %q, %v", name, r.GetText(), err)
			}
			if err := stream.RecvMsg(&r); err != io.EOF {
				t.Errorf("%s: ended with %v", name, err)
			}
		}
	})
}
