package hauberk_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
)

// The tests of this file hold rules d and g of client streams for a SendMsg that waits
// while another goroutine commits the call.

// takingOnly is a transport stream that takes n messages. It rejects the others once met
// has returned.
func takingOnly(n int, met func(), receive func(ctx context.Context, msg any) error) *script {
	return &script{
		send: func(context.Context, any) error {
			if n > 0 {
				n--
				return nil
			}
			met()
			return io.EOF
		},
		receive: receive,
	}
}

// TestSendEndsWithACommit: a message meets the end of an attempt, also of a second one
// that replays it. The receiver then gets a message or the header instead of the end,
// so that no attempt follows, and SendMsg returns io.EOF without a further RecvMsg.
func TestSendEndsWithACommit(t *testing.T) {
	again := func(context.Context) error { return nil }
	chains := map[string][]hauberk.Interceptor{
		"retry":                {retrying(1<<20, 3, again)},
		"two retries":          {retrying(1<<20, 3, again), retrying(1<<20, 3, again)},
		"retry inside adapter": {adapted(), retrying(1<<20, 3, again)},
		"adapter inside retry": {retrying(1<<20, 3, again), adapted()},
	}
	for name, interceptors := range chains {
		for _, retried := range []bool{false, true} {
			for _, op := range []string{"RecvMsg", "Header"} {
				t.Run(name+map[bool]string{false: ", one attempt, ", true: ", two attempts, "}[retried]+op, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { testSendEndsWithACommit(t, retried, op, interceptors) })
				})
			}
		}
	}
}

func testSendEndsWithACommit(t *testing.T, retried bool, op string, interceptors []hauberk.Interceptor) {
	deliver, first := make(chan struct{}), 1
	if retried {
		first = 2
	}
	conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
		if n < first {
			failed := make(chan struct{})
			return takingOnly(1, func() { close(failed) }, func(context.Context, any) error {
				<-failed
				return status.Error(codes.Unavailable, "restarting")
			}), nil
		}
		receives := make(chan struct{}) // the application's receiver, before a sender does in its place
		began := sync.OnceFunc(func() { close(receives) })
		s := takingOnly(1, func() { <-receives }, func(ctx context.Context, _ any) error {
			began()
			if op == "RecvMsg" {
				<-deliver
				return nil
			}
			return untilDone(ctx)
		})
		s.header = func(context.Context) (metadata.MD, error) { return metadata.Pairs("k", "v"), nil }
		return s, nil
	}}
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	stream := start(ctx, t, hauberk.Must(hauberk.New(interceptors...)).ClientConn(conn), hauberk.Bidi)
	if err := stream.SendMsg(message("a")); err != nil {
		t.Fatal(err)
	}
	receiver := receiving(stream)
	synctest.Wait()
	var sent error
	sender := starts(func() { sent = stream.SendMsg(message("b")) })
	if op == "RecvMsg" {
		close(deliver)
		if got := <-receiver; got.err != nil {
			t.Fatalf("RecvMsg: %v", got.err)
		}
	} else if _, err := stream.Header(); err != nil {
		t.Fatalf("Header: %v", err)
	}
	synctest.Wait()
	if !finished(sender) {
		t.Errorf("SendMsg is blocked after %s has committed the call", op)
		cancel()
	}
	<-sender
	if !errors.Is(sent, io.EOF) {
		t.Errorf("SendMsg: %v; want io.EOF", sent)
	}
	if got := int(conn.attempts.Load()); got != first {
		t.Errorf("%d attempts; want %d", got, first)
	}
}

// TestSendEndsWithACommittedReplay: the application receives a message and the end while
// the second attempt replays. SendMsg does not wait for an interceptor that returns late.
func TestSendEndsWithACommittedReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		met, replayed, late := make(chan struct{}), make(chan struct{}), make(chan struct{})
		conn := &scripts{open: func(_ context.Context, n int) (*script, error) {
			if n == 1 {
				return takingOnly(0, func() { close(met) }, func(context.Context, any) error { <-met; return status.Error(codes.Unavailable, "restarting") }), nil
			}
			count := 0
			return &script{
				send: func(context.Context, any) error { <-replayed; return io.EOF },
				receive: func(context.Context, any) error {
					count++
					if count == 1 {
						return nil
					}
					return status.Error(codes.ResourceExhausted, "enough")
				},
			}, nil
		}}
		lingering := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := next(ctx, call)
			if status.Code(err) == codes.ResourceExhausted {
				<-late
			}
			return err
		})
		chain := hauberk.Must(hauberk.New(retrying(1<<20, 2, func(context.Context) error { return nil }), lingering))
		stream := start(patient(t), t, chain.ClientConn(conn), hauberk.Bidi)
		var sent error
		sender := starts(func() { sent = stream.SendMsg(message("a")) })
		if got := <-receiving(stream); got.err != nil {
			t.Fatalf("RecvMsg: %v", got.err)
		}
		end := receiving(stream)
		synctest.Wait()
		close(replayed)
		synctest.Wait()
		if !finished(sender) {
			t.Error("SendMsg is blocked after the end of the committed attempt")
		}
		close(late)
		<-sender
		if !errors.Is(sent, io.EOF) {
			t.Errorf("SendMsg: %v; want io.EOF", sent)
		}
		if got := <-end; status.Code(got.err) != codes.ResourceExhausted {
			t.Errorf("RecvMsg: %v", got.err)
		}
	})
}
