package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
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

// uploading is a stream that opens another when one ends UNAVAILABLE, as [reopening] does, and sends
// that all messages which it was given.
type uploading struct {
	grpc.ClientStream

	open   func() (grpc.ClientStream, error)
	mu     sync.Mutex
	sent   []proto.Message
	closed bool
}

// reopensUploads is an interceptor of grpc-go.
func reopensUploads(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (_ grpc.ClientStream, err error) {
	u := &uploading{open: func() (grpc.ClientStream, error) { return open(ctx, desc, cc, method, opts...) }}
	u.ClientStream, err = u.open()
	return u, err
}

// given notes what the stream is given, and returns the stream that takes it.
func (u *uploading) given(msg any) grpc.ClientStream {
	u.mu.Lock()
	defer u.mu.Unlock()
	if msg == nil {
		u.closed = true
	} else {
		u.sent = append(u.sent, proto.Clone(msg.(proto.Message)))
	}
	return u.ClientStream
}

func (u *uploading) current() grpc.ClientStream {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ClientStream
}

func (u *uploading) SendMsg(msg any) error        { return u.given(msg).SendMsg(msg) }
func (u *uploading) CloseSend() error             { return u.given(nil).CloseSend() }
func (u *uploading) Header() (metadata.MD, error) { return u.current().Header() }
func (u *uploading) Trailer() metadata.MD         { return u.current().Trailer() }
func (u *uploading) Context() context.Context     { return u.current().Context() }

func (u *uploading) RecvMsg(msg any) error {
	for {
		err := u.current().RecvMsg(msg)
		if status.Code(err) != codes.Unavailable {
			return err
		}
		stream, err := u.open()
		if err != nil {
			return err
		}
		u.mu.Lock()
		sent, closed := slices.Clone(u.sent), u.closed
		u.mu.Unlock()
		for _, m := range sent {
			if stream.SendMsg(m) != nil {
				break // RecvMsg returns the reason
			}
		}
		if closed {
			_ = stream.CloseSend()
		}
		u.mu.Lock()
		u.ClientStream = stream
		u.mu.Unlock()
	}
}

// slowOpening delays each attempt, such as for a token.
func slowOpening() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		sleep(10 * time.Millisecond)
		return next(ctx, call)
	})
}

// reopeningChains are chains in which an adapter opens uploads again, behind retries.
func reopeningChains() map[string][]hauberk.Interceptor {
	reopen := fromStream(reopensUploads)
	return map[string][]hauberk.Interceptor{
		"reopens":                               {reopen},
		"adapted, reopens":                      {adapted(), reopen},
		"retry, reopens":                        {again(2), reopen},
		"retry, reopens, slow":                  {again(2), reopen, slowOpening()},
		"retry, reopens, adapted":               {again(2), reopen, adapted()},
		"retry, adapted, reopens":               {again(2), adapted(), reopen},
		"retry, two adapted, reopens":           {again(2), adapted(), adapted(), reopen},
		"retry, adapted, retry, reopens":        {again(2), adapted(), again(2), reopen},
		"two retries, reopens":                  {again(2), again(2), reopen},
		"two retries, reopens, slow":            {again(2), again(2), reopen, slowOpening()},
		"two retries, adapted, reopens, slow":   {again(2), again(2), adapted(), reopen, slowOpening()},
		"two retries, reopens, adapted, slow":   {again(2), again(2), reopen, adapted(), slowOpening()},
		"retry, reopens, adapted, retry, slow":  {again(2), reopen, adapted(), again(2), slowOpening()},
		"retry, reopens, slow, retry, slow":     {again(2), reopen, slowOpening(), again(2), slowOpening()},
		"retry, slow, reopens twice, slow":      {again(2), slowOpening(), reopen, reopen, slowOpening()},
		"retry, hooks, adapted, hooks, reopens": {again(2), passThrough(), adapted(), passThrough(), reopen},
	}
}

// TestSendIntoAReopenedUpload: a message meets the end of a stream that an adapter opens again, at once or
// after a while, whether the application receives or not. SendMsg does not wait for the stream that goes on, and
// nothing is received ahead from that.
func TestSendIntoAReopenedUpload(t *testing.T) {
	for _, failing := range []int64{1, 2, 3} {
		for _, receives := range []bool{false, true} {
			for name, interceptors := range reopeningChains() {
				t.Run(fmt.Sprintf("%d fail, receives %t/%s", failing, receives, name), func(t *testing.T) {
					bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
						testSendIntoAReopenedUpload(t, kind, failing, receives, interceptors)
					})
				})
			}
		}
	}
}

func testSendIntoAReopenedUpload(
	t *testing.T, kind hauberk.Kind, failing int64, receives bool, interceptors []hauberk.Interceptor,
) {
	var calls, sent atomic.Int64
	conn := behind(t, &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		if calls.Add(1) <= failing {
			return status.Error(codes.Unavailable, "shedding load")
		}
		for range 1000 {
			if !kind.ServerStreams() {
				break
			}
			if err := s.Send(&testpb.Response{Payload: make([]byte, 10_000)}); err != nil {
				return err
			}
			sent.Add(1)
		}
		for {
			if _, err := s.Recv(); err == io.EOF {
				return s.Send(response("ok"))
			} else if err != nil {
				return err
			}
		}
	}}, interceptors...)
	stream := start(patient(t), t, conn, kind)
	synctest.Wait() // the first call has ended
	var end <-chan received
	if receives {
		end = receiving(stream)
	}
	began := time.Now()
	for _, m := range []string{"a", "b"} {
		if err := stream.SendMsg(message(m)); err != nil && !errors.Is(err, io.EOF) && status.Code(err) != codes.Unavailable {
			t.Errorf("SendMsg: %v", err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("SendMsg was blocked for %v", took)
	}
	sleep(time.Second)
	if ahead := sent.Load(); ahead > 50 {
		t.Errorf("the server has sent %d messages, and the application has received one", ahead)
	}
	_ = stream.CloseSend()
	if !receives {
		end = receiving(stream)
	}
	<-end
}

// TestReplayMeetsAReopenedUpload: a replay meets the end of a stream that an interceptor of grpc-go opens again, in
// a chain or on the connection. The attempt ends with the status and the trailer of the stream that has ended, and the
// retry decides. The final attempt has all messages for which SendMsg returned nil, whenever the application closes
// its side.
func TestReplayMeetsAReopenedUpload(t *testing.T) {
	slowSends := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnSend(func(msg any, emit func(any) error) error {
			sleep(time.Millisecond)
			return emit(msg)
		})
		return next(ctx, call)
	})
	delayed := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		sleep(10 * time.Millisecond)
		return open(ctx, desc, cc, method, opts...)
	}
	onConnection := []grpc.DialOption{grpc.WithChainStreamInterceptor(reopensUploads, delayed)}
	for name, w := range map[string]struct {
		inside []hauberk.Interceptor
		opts   []grpc.DialOption
	}{
		"connection":              {nil, onConnection},
		"connection, adapted":     {[]hauberk.Interceptor{adapted()}, onConnection},
		"adapter":                 {[]hauberk.Interceptor{fromStream(reopensUploads), slowOpening()}, nil},
		"inner adapter":           {[]hauberk.Interceptor{adapted(), fromStream(reopensUploads), slowOpening()}, nil},
		"adapter and connection":  {[]hauberk.Interceptor{fromStream(reopensUploads), slowOpening()}, onConnection},
		"adapter around adapter":  {[]hauberk.Interceptor{fromStream(reopensUploads), adapted(), slowOpening()}, nil},
		"adapters around retries": {[]hauberk.Interceptor{fromStream(reopensUploads), again(1), slowOpening()}, nil},
	} {
		for _, attempts := range []int{2, 3} {
			for _, early := range []error{status.Error(codes.Unavailable, "shedding load"), nil} {
				for _, late := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%d attempts, ends %v, closes late %t", name, attempts, status.Code(early), late), func(t *testing.T) {
						bubbles(t, uploadKinds, func(t *testing.T, kind hauberk.Kind) {
							u := &upload{kind: kind, attempts: attempts, early: early, late: late}
							interceptors := append([]hauberk.Interceptor{u, slowSends}, w.inside...)
							u.test(t, hauberk.Must(hauberk.New(interceptors...)).ClientConn(bare(t, u.backend(), w.opts...)))
						})
					})
				}
			}
		}
	}
}

// upload is a call whose first stream fails after three messages, and whose second ends early.
type upload struct {
	kind     hauberk.Kind
	attempts int
	early    error // of the second stream; nil for a response
	late     bool  // the application closes its side after the retries
	calls    atomic.Int64
	ends     []string // of the attempts
}

// Intercept makes attempts until one ends well.
func (u *upload) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	call.Replayable(1 << 16)
	call.CaptureMetadata()
	for {
		err := next(ctx, call)
		u.ends = append(u.ends, fmt.Sprintf("%v%v", status.Code(err), call.Trailer()["stream"]))
		if err == nil || len(u.ends) == u.attempts || !call.CanAttempt() {
			return err
		}
	}
}

// backend answers an upload with all its messages.
func (u *upload) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		n := u.calls.Add(1)
		s.SetTrailer(metadata.Pairs("stream", strconv.FormatInt(n, 10)))
		var all []string
		for {
			switch {
			case n == 1 && len(all) == 3:
				return status.Error(codes.Aborted, "try again")
			case n == 2 && u.early != nil:
				return u.early
			case n == 2:
				return s.Send(response("early"))
			}
			m, err := s.Recv()
			if err == io.EOF {
				return s.Send(response(strings.Join(all, ",")))
			} else if err != nil {
				return err
			}
			all = append(all, m.GetText())
		}
	}}
}

func (u *upload) test(t *testing.T, conn grpc.ClientConnInterface) {
	t.Helper()
	stream := start(patient(t), t, conn, u.kind)
	for _, m := range []string{"a", "b", "c"} {
		if err := stream.SendMsg(message(m)); err != nil {
			t.Fatalf("SendMsg: %v", err)
		}
	}
	end := receiving(stream)
	if u.late {
		sleep(100 * time.Millisecond)
	}
	_ = stream.CloseSend()
	got := <-end
	switch {
	case u.early == nil:
		if got.err != nil || got.text != "early" {
			t.Errorf("received %q, %v", got.text, got.err)
		}
		_ = stream.RecvMsg(new(testpb.Response))
	case u.attempts == 2:
		wantCode(t, got.err, codes.Unavailable)
	case got.err != nil || got.text != "a,b,c":
		t.Errorf("received %q, %v", got.text, got.err)
	default:
		_ = stream.RecvMsg(new(testpb.Response))
	}
	want := []string{"Aborted[1]", "Unavailable[2]", "OK[3]"}[:u.attempts]
	if u.early == nil {
		want = []string{"Aborted[1]", "OK[2]"}
	}
	if !slices.Equal(u.ends, want) {
		t.Errorf("the attempts ended with %v; want %v", u.ends, want)
	}
}
