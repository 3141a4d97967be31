package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// pumping returns the number of goroutines that forward requests.
func pumping() int {
	stacks := make([]byte, 1<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("gateway.(*call).pumpRequests("))
}

// A call has no goroutine for its requests before there is one to forward.
func TestIdleCallsHaveOneGoroutine(t *testing.T) {
	var observed *hauberk.Call
	observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.CountMessages()
		observed = call
		err := next(ctx, call)
		if call.Receiving() {
			t.Error("a call that has ended waits for a request")
		}
		return err
	})
	b := bubble{transport: TransportFrames, interceptors: []hauberk.Interceptor{observe}}
	b.runOnce(t, func(t *testing.T, b *bubble) {
		stream, err := b.client().Bidi(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := pumping(); n != 0 {
			t.Errorf("%d goroutines forward the requests of an idle call", n)
		}
		if !observed.Receiving() {
			t.Error("an idle call does not wait for a request")
		}
		for range 3 {
			if err := stream.Send(&testpb.Request{Text: "x"}); err != nil {
				t.Fatal(err)
			}
			if resp, err := stream.Recv(); err != nil || resp.GetText() != "echo:x" {
				t.Errorf("%v, %v", resp, err)
			}
		}
		synctest.Wait()
		if n := pumping(); n != 1 {
			t.Errorf("%d goroutines forward the requests of a call, want 1", n)
		}
		if !observed.Receiving() {
			t.Error("a call does not wait for the next request")
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("the end is %v", err)
		}
	})
}

// A call that its client ends before it has sent a request ends on both sides.
func TestIdleCallsEnd(t *testing.T) {
	for name, end := range map[string]func(f *http2.Framer) error{
		"reset": func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeCancel) },
		"a broken rule": func(f *http2.Framer) error {
			return f.WriteRawFrame(http2.FrameWindowUpdate, 0, 1, make([]byte, 4)) // an increment of 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			outcome := make(chan error, 1)
			observe := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				err := next(ctx, call)
				outcome <- err
				return err
			})
			b := bubble{transport: TransportFrames, interceptors: []hauberk.Interceptor{observe}}
			b.runOnce(t, func(t *testing.T, b *bubble) {
				cancelled := make(chan struct{})
				b.backend.Handle = func(ctx context.Context, _ hauberktest.Stream) error {
					<-ctx.Done()
					close(cancelled)
					return ctx.Err()
				}
				conn, err := b.front.Load().DialContext(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				f := idleCall(conn)
				synctest.Wait()
				if err := end(f); err != nil {
					t.Fatal(err)
				}
				if err := <-outcome; status.Code(err) != codes.Canceled {
					t.Errorf("%v, want %v", err, codes.Canceled)
				}
				<-cancelled
			})
		})
	}
}

// idleCall begins a call on a connection, and sends no request.
func idleCall(conn io.Writer) *http2.Framer {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: testpb.TestService_Bidi_FullMethodName},
		{Name: ":authority", Value: "shop"},
		{Name: "content-type", Value: "application/grpc"},
	} {
		_ = enc.WriteField(f)
	}
	_, _ = io.WriteString(conn, http2.ClientPreface)
	f := http2.NewFramer(conn, nil)
	_ = f.WriteSettings()
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	return f
}
