package hauberk_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The test of this file has foreign code panic, or end its goroutine, while a server
// handles a call. It runs in child processes, as that of streampanic_test.go does.

// foreignServerPlaces are where code of others runs for a call on a server.
var foreignServerPlaces = []string{
	"Unmarshal", "Marshal", "HandleRPC of a request", "HandleRPC of a response", "BeforeHeader",
	"outer's SetHeader", "outer's SendHeader", "outer's SetTrailer", "outer's RecvMsg", "outer's SendMsg",
	"adapter", "adapter's Context", "adapter's RecvMsg", "adapter's SendMsg",
}

// foreignServerStats is a stats handler of a server.
type foreignServerStats struct{ foreignStats }

func (s foreignServerStats) HandleRPC(_ context.Context, rpc stats.RPCStats) {
	switch rpc.(type) {
	case *stats.InPayload:
		s.at("HandleRPC of a request")
	case *stats.OutPayload:
		s.at("HandleRPC of a response")
	}
}

// panickingStream is a stream of an interceptor of grpc-go on a server.
type panickingStream struct {
	grpc.ServerStream
	foreignCode
	by string
}

func (s panickingStream) Context() context.Context {
	s.at(s.by + "'s Context")
	return s.ServerStream.Context()
}

func (s panickingStream) SetHeader(md metadata.MD) error {
	s.at(s.by + "'s SetHeader")
	return s.ServerStream.SetHeader(md)
}

func (s panickingStream) SendHeader(md metadata.MD) error {
	s.at(s.by + "'s SendHeader")
	return s.ServerStream.SendHeader(md)
}

func (s panickingStream) SetTrailer(md metadata.MD) {
	s.at(s.by + "'s SetTrailer")
	s.ServerStream.SetTrailer(md)
}

func (s panickingStream) RecvMsg(msg any) error {
	s.at(s.by + "'s RecvMsg")
	return s.ServerStream.RecvMsg(msg)
}

func (s panickingStream) SendMsg(msg any) error {
	s.at(s.by + "'s SendMsg")
	return s.ServerStream.SendMsg(msg)
}

// stream returns an interceptor of grpc-go.
func (f foreignCode) stream(by string) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		f.at(by)
		return handler(srv, panickingStream{stream, f, by})
	}
}

func (f foreignCode) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	f.at("adapter")
	return handler(ctx, req)
}

// recoverStream puts a recovery of grpc-go around an interceptor.
func recoverStream(next grpc.StreamServerInterceptor) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = status.Error(codes.Internal, "recovered")
			}
		}()
		return next(srv, stream, info, handler)
	}
}

// handlings are who uses the stream of a call on a server.
var handlings = []string{"the handler", "another goroutine", "an interceptor that replies"}

// serve returns a connection to a server with the foreign code.
func (f foreignCode) serve(t *testing.T, who, handling string) *grpc.ClientConn {
	t.Helper()
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) (err error) {
		use := func() {
			_ = s.SetHeader(metadata.Pairs("a", "b"))
			s.SetTrailer(metadata.Pairs("a", "b"))
			_ = s.SendHeader(metadata.Pairs("c", "d"))
			if _, err = s.Recv(); err == nil {
				_ = s.Send(response("done")) // a panic counts, even if its error is ignored
			}
		}
		if handling != "another goroutine" {
			use()
			return err
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			use()
		}()
		<-done
		return err
	}}
	opts := []grpc.ServerOption{
		grpc.ForceServerCodec(foreignCodec{f}), grpc.StatsHandler(foreignServerStats{foreignStats{f}}),
	}
	outer := f.stream("outer")
	if who != "guarded chain" {
		outer = recoverStream(outer)
	}
	opts = append(opts, grpc.StreamInterceptor(outer))
	if who == "bare" {
		opts = append(opts, grpc.ChainStreamInterceptor(f.stream("adapter")))
		srv := grpc.NewServer(opts...)
		testpb.RegisterTestServiceServer(srv, backend)
		return listenAndServe(t, srv, bufconn.Listen(1<<20))
	}
	interceptors := []hauberk.Interceptor{
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.BeforeHeader(func() { f.at("BeforeHeader") })
			return next(ctx, call)
		}),
		hauberk.FromServer(f.unary, f.stream("adapter")),
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if handling == "an interceptor that replies" {
				return call.Reply(response("done"))
			}
			return next(ctx, call)
		}),
	}
	if who == "guarded chain" {
		interceptors = append(interceptors, recoverer{})
	}
	srv := hauberk.Must(hauberk.New(interceptors...)).NewServer(opts...)
	testpb.RegisterTestServiceServer(srv, backend)
	return listenAndServe(t, srv, bufconn.Listen(1<<20))
}

// survivable reports whether a recovery can handle a case. A goroutine of the handler is
// out of reach for that of grpc-go, as is the request of a unary call. What grpc-go does with
// a unary response is out of reach for any.
func survivable(how, place, who, handling string, kind hauberk.Kind) bool {
	switch {
	case who != "guarded chain":
		return how == "panic" && kind != hauberk.Unary && handling != "another goroutine" && (who != "bare" || handling == handlings[0])
	case kind == hauberk.Unary:
		return place != "Marshal" && place != "HandleRPC of a response"
	default:
		return true
	}
}

// TestForeignCodeOfAServer: what panics while a server handles a call, or ends its
// goroutine, ends the call with INTERNAL if the chain has a Guard: before, while and after the
// chain runs, and on goroutines that use the stream. Without one, a recovery of bare grpc-go
// outside of the chain has the panic.
func TestForeignCodeOfAServer(t *testing.T) {
	const env = "HAUBERK_TEST_FOREIGN_SERVER"
	if what := os.Getenv(env); what != "" {
		how, place, _ := strings.Cut(what, " ")
		foreignServer(t, how, place)
		return
	}
	for _, how := range []string{"panic", "Goexit"} {
		for _, place := range foreignServerPlaces {
			t.Run(how+"/"+place, func(t *testing.T) {
				got, output := foreignChild(t, "TestForeignCodeOfAServer", env+"="+how+" "+place)
				reached := false
				for name, result := range got {
					reached = reached || strings.HasPrefix(result, "reached")
					if result != "not reached: OK" && result != "reached: Internal" {
						t.Errorf("%s: %s", name, result)
					}
				}
				if _, ended := got["end"]; !ended || !reached {
					t.Fatalf("reached: %t; the process ended after %d calls:\n%s", reached, len(got), output)
				}
			})
		}
	}
}

// foreignServer makes the calls of a child of TestForeignCodeOfAServer.
func foreignServer(t *testing.T, how, place string) {
	var reached atomic.Bool
	f := foreignCode{place, func() {
		reached.Store(true)
		if how == "Goexit" {
			runtime.Goexit()
		}
		panic("foreign")
	}}
	for _, kind := range allKinds {
		for _, who := range foreignWorlds {
			for _, handling := range handlings {
				if !survivable(how, place, who, handling, kind) {
					continue
				}
				reached.Store(false)
				_, err := echo(patient(t), f.serve(t, who, handling), kind, hauberktest.FullMethod(kind))
				is := "not reached"
				if reached.Load() {
					is = "reached"
				}
				fmt.Fprintf(os.Stdout, "RESULT %s, %s, %s|%s: %s\n", kind, who, handling, is, status.Code(err))
			}
		}
	}
	fmt.Fprintln(os.Stdout, "RESULT end|not reached: OK")
}
