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

// onWire is the context of a call that keeps what the server sets.
func onWire(ctx context.Context) (context.Context, *hauberktest.TransportStream) {
	wire := new(hauberktest.TransportStream)
	return grpc.NewContextWithServerTransportStream(ctx, wire), wire
}

// seen is what an interceptor sees of a call.
type seen struct {
	hauberktest.Case

	method         string
	sent, received int64
}

// A call goes through the chain once, in the context of the caller, with one message
// each way, as often as it is made.
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

// What the handler, the connection or an interceptor fails with is the call's outcome.
func TestDirectFailing(t *testing.T) {
	failed := status.Error(codes.NotFound, "none")
	failing := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { return failed }}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var asked []string
		conn := hauberktest.Conn{Outcome: func(method string) error {
			asked = append(asked, method)
			return failed
		}}
		err := direct(c, hauberktest.Direct{Service: failing, Conn: conn})(t.Context())
		if status.Code(err) != codes.NotFound {
			t.Errorf("%v, want %v", err, failed)
		}
		if c.Side == hauberk.ClientSide && !slices.Equal(asked, []string{hauberktest.FullMethod(c.Kind)}) {
			t.Errorf("the connection was asked for %q", asked)
		}
		reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.PermissionDenied, "NO", "no")
		})
		if err := direct(c, hauberktest.Direct{}, reject)(t.Context()); status.Code(err) != codes.PermissionDenied {
			t.Errorf("a call that was rejected ended with %v", err)
		}
	})
}

// Decode fills the request that the handler gets, or ends the call.
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

// Header and trailer of every kind reach the transport stream, copied.
func TestTransportStream(t *testing.T) {
	for _, kind := range []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi} {
		header, trailer := metadata.Pairs("h", "1"), metadata.Pairs("t", "2")
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
			s.SetTrailer(trailer)
			return errors.Join(s.SetHeader(metadata.Pairs("old", "0")), s.SendHeader(header), s.Send(&testpb.Response{}))
		}}
		ctx, wire := onWire(t.Context())
		if err := (hauberktest.Direct{Kind: kind, Service: backend}).Server(hauberk.Must(hauberk.New()))(ctx); err != nil {
			t.Fatal(err)
		}
		header.Set("h", "changed")
		trailer.Set("t", "changed")
		if wire.Header.Get("h")[0] != "1" || wire.Trailer.Get("t")[0] != "2" || wire.Header.Len() != 1 {
			t.Errorf("%s: header %v, trailer %v", kind, wire.Header, wire.Trailer)
		}
	}
}

// A stream that no one put a transport stream under takes metadata and drops it.
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

// Interceptors that end a call from outside write its status to the stream of its context.
func TestTransportStreamStatus(t *testing.T) {
	end := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		stream := grpc.ServerTransportStreamFromContext(ctx).(interface{ WriteStatus(st *status.Status) error })
		return errors.Join(stream.WriteStatus(status.New(codes.Aborted, "enough")), next(ctx, call))
	})
	ctx, wire := onWire(t.Context())
	if err := (hauberktest.Direct{}).Server(hauberk.Must(hauberk.New(end)))(ctx); err != nil || wire.Status.Code() != codes.Aborted {
		t.Errorf("%v, status %v", err, wire.Status)
	}
}
