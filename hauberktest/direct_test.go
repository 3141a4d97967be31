package hauberktest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// direct returns a function that makes a call of a case without a network.
func direct(c hauberktest.Case, d hauberktest.Direct, interceptors ...hauberk.Interceptor) func(ctx context.Context) error {
	chain := hauberk.Must(hauberk.New(interceptors...))
	d.Kind = c.Kind
	if c.Side == hauberk.ServerSide {
		return d.Server(chain)
	}
	return d.Client(chain)
}

// withTransport returns a context whose transport stream records header and trailer.
func withTransport(ctx context.Context) (context.Context, *hauberktest.TransportStream) {
	transport := new(hauberktest.TransportStream)
	return grpc.NewContextWithServerTransportStream(ctx, transport), transport
}

// seen is the data of a call that an interceptor sees.
type seen struct {
	hauberktest.Case

	method         string
	sent, received int64
}

// Each call runs through the chain once, in the context of the caller, with one message in each
// direction.
func TestDirect(t *testing.T) {
	type key struct{}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var all []seen
		interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if ctx.Value(key{}) != t {
				t.Error("the context is not the caller's")
			}
			call.CountMessages()
			err := next(ctx, call)
			s := seen{hauberktest.Case{Side: call.Side(), Kind: call.Kind()}, call.Method().FullName(), call.Sent(), call.Received()}
			all = append(all, s)
			return err
		})
		call := direct(c, hauberktest.Direct{}, interceptor)
		for range 3 {
			if err := call(context.WithValue(t.Context(), key{}, t)); err != nil {
				t.Fatal(err)
			}
		}
		want := seen{c, hauberktest.FullMethod(c.Kind), 1, 1}
		if !slices.Equal(all, []seen{want, want, want}) {
			t.Errorf("calls %+v, want three of %+v", all, want)
		}
	})
}

func TestDirectConcurrently(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		call := direct(c, hauberktest.Direct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if err := call(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// The call ends with the error of the handler, the connection or an interceptor.
func TestDirectFailing(t *testing.T) {
	failed := status.Error(codes.NotFound, "none")
	failing := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return failed }}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var called []string
		conn := hauberktest.Conn{Outcome: func(method string) error {
			called = append(called, method)
			return failed
		}}
		err := direct(c, hauberktest.Direct{Service: failing, Conn: conn})(t.Context())
		if status.Code(err) != codes.NotFound {
			t.Errorf("%v, want %v", err, failed)
		}
		if c.Side == hauberk.ClientSide && !slices.Equal(called, []string{hauberktest.FullMethod(c.Kind)}) {
			t.Errorf("the connection received calls of %q", called)
		}
		reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.PermissionDenied, "NO", "no")
		})
		if err := direct(c, hauberktest.Direct{}, reject)(t.Context()); status.Code(err) != codes.PermissionDenied {
			t.Errorf("a call that was rejected ended with %v", err)
		}
	})
}

// Decode fills the request of the handler, or ends the call.
func TestDirectDecode(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		var got []string
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			req, err := s.Recv()
			if err != nil {
				return err
			}
			got = append(got, req.GetText())
			return s.Send(&testpb.Response{})
		}}
		c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
		fill := func(msg any) error { msg.(*testpb.Request).Text = "hello"; return nil }
		if err := direct(c, hauberktest.Direct{Service: backend, Decode: fill})(t.Context()); err != nil || !slices.Equal(got, []string{"hello"}) {
			t.Errorf("%s: %v, requests %q", kind, err, got)
		}
		fail := func(any) error { return status.Error(codes.DataLoss, "broken") }
		for _, d := range []hauberktest.Direct{{Service: backend, Decode: fail}, {Decode: fail}} {
			if err := direct(c, d)(t.Context()); status.Code(err) != codes.DataLoss {
				t.Errorf("%s: %v, want DataLoss", kind, err)
			}
		}
	}
}

// The transport stream receives copies of the header and the trailer, for every kind.
func TestTransportStream(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		header, trailer := metadata.Pairs("h", "1"), metadata.Pairs("t", "2")
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			s.SetTrailer(trailer)
			return errors.Join(s.SetHeader(metadata.Pairs("old", "0")), s.SendHeader(header), s.Send(&testpb.Response{}))
		}}
		ctx, transport := withTransport(t.Context())
		if err := (hauberktest.Direct{Kind: kind, Service: backend}).Server(hauberk.Must(hauberk.New()))(ctx); err != nil {
			t.Fatal(err)
		}
		header.Set("h", "changed")
		trailer.Set("t", "changed")
		if transport.Header.Get("h")[0] != "1" || transport.Trailer.Get("t")[0] != "2" || transport.Header.Len() != 1 {
			t.Errorf("%s: header %v, trailer %v", kind, transport.Header, transport.Trailer)
		}
	}
}

// A stream without a transport stream accepts metadata and drops it.
func TestServerStreamAlone(t *testing.T) {
	var s hauberktest.ServerStream
	s.SetTrailer(metadata.Pairs("t", "2"))
	if err := errors.Join(s.SetHeader(nil), s.SendHeader(nil), s.SendMsg(nil)); err != nil {
		t.Error(err)
	}
	if err := s.RecvMsg(nil); err == nil || s.Context() == nil {
		t.Errorf("%v read of no requests", err)
	}
}

// A status that is written to the transport stream is recorded.
func TestTransportStreamStatus(t *testing.T) {
	end := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		stream := grpc.ServerTransportStreamFromContext(ctx).(interface{ WriteStatus(st *status.Status) error })
		return errors.Join(stream.WriteStatus(status.New(codes.Aborted, "enough")), next(ctx, call))
	})
	ctx, transport := withTransport(t.Context())
	if err := (hauberktest.Direct{}).Server(hauberk.Must(hauberk.New(end)))(ctx); err != nil || transport.Status.Code() != codes.Aborted {
		t.Errorf("%v, status %v", err, transport.Status)
	}
}
