package logging_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// With recovery in the chain a panic is an ordinary outcome.
func TestRecoveredPanic(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j, elsewhere := newJournal(), newJournal()
		bad := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic("canary-5521") })
		env := c.Start(t, logging.New(logging.Config{}, j.option()),
			recovery.New(recovery.Config{}, recovery.WithLogger(elsewhere.logger())), bad)
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		want := map[string]any{logging.KeyStatusCode: "INTERNAL", logging.KeyError: "internal error"}
		if c.Side == hauberk.ClientSide {
			want[logging.KeyError] = nil
		}
		check(t, j.only(t), want)
	})
}

// explosive is an error without a status whose methods panic.
type explosive struct{}

func (*explosive) Error() string { panic("canary-5521") }

// A call whose error panics when it is read is logged, with the type of the error. Its cause
// may be such an error, too.
func TestErrorsThatPanic(t *testing.T) {
	for want, err := range map[string]error{
		"[*logging_test.explosive]":        new(explosive),
		"[*errors.joinError]":              errors.Join(errors.New("first"), new(explosive)),
		"first: [*logging_test.explosive]": &hauberk.Rejection{Code: codes.Internal, Message: "first", Cause: new(explosive)},
	} {
		t.Run(want, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				j, elsewhere := newJournal(), newJournal()
				env := c.Start(t, recovery.New(recovery.Config{}, recovery.WithLogger(elsewhere.logger())),
					logging.New(logging.Config{ClientErrors: true}, j.option()),
					hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { return err }))
				_ = env.Call(t.Context())
				env.Server.GracefulStop()
				record := j.only(t)
				text, _ := record[logging.KeyError].(string)
				if record["msg"] != logging.MessageEnded || !strings.Contains(text, want) {
					t.Errorf("the record is %v", record)
				}
			})
		})
	}
}

// Without recovery a panic passes unchanged, and its call is logged.
func TestPanicPasses(t *testing.T) {
	value := errors.New("untouched")
	for _, end := range []struct {
		name string
		run  func()
		want any
	}{
		{"panic", func() { panic(value) }, value},
		{"Goexit", runtime.Goexit, nil},
	} {
		for _, kind := range kinds {
			t.Run(end.name+"/"+kind.String(), func(t *testing.T) {
				j := newJournal()
				chain := hauberk.Must(hauberk.New(logging.New(logging.Config{}, j.option())))
				if got := panicOf(func() { serve(t.Context(), chain, kind, end.run) }); got != end.want {
					t.Errorf("recovered %v, want %v", got, end.want)
				}
				check(t, j.only(t), map[string]any{
					"level": "ERROR", logging.KeyStatusCode: "INTERNAL", logging.KeyKind: kind.String(),
					logging.KeyError: status.Convert(hauberk.ErrUnwound).Message(),
				})
			})
		}
	}
}

// panicOf runs f on another goroutine and returns the value of its panic.
func panicOf(f func()) (value any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { value = recover() }()
		f()
	}()
	<-done
	return value
}

// serve runs a server's chain around a handler without a server: a panic would end its
// process.
func serve(ctx context.Context, chain *hauberk.Chain, kind hauberk.Kind, handle func()) {
	if kind == hauberk.Unary {
		info := &grpc.UnaryServerInfo{FullMethod: "/s/m"}
		_, _ = chain.UnaryServerInterceptor()(ctx, nil, info, func(context.Context, any) (any, error) {
			handle()
			return nil, nil
		})
		return
	}
	info := &grpc.StreamServerInfo{
		FullMethod: "/s/m", IsClientStream: kind.ClientStreams(), IsServerStream: kind.ServerStreams(),
	}
	handler := func(any, grpc.ServerStream) error {
		handle()
		return nil
	}
	_ = chain.StreamServerInterceptor()(struct{}{}, fakeStream{ctx: ctx}, info, handler)
}

type fakeStream struct {
	grpc.ServerStream

	ctx context.Context
}

func (s fakeStream) Context() context.Context { return s.ctx }

func (s fakeStream) SetHeader(metadata.MD) error { return nil }

func (s fakeStream) SendHeader(metadata.MD) error { return nil }

func (s fakeStream) SetTrailer(metadata.MD) {}

func (s fakeStream) SendMsg(any) error { return nil }

func (s fakeStream) RecvMsg(any) error { return io.EOF }

// On a client the panic reaches the application, and the record is written.
func TestPanicPassesToApplication(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			j := newJournal()
			value := errors.New("untouched")
			bad := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error { panic(value) })
			c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
			env := c.Start(t, logging.New(logging.Config{}, j.option()), bad)
			if got := panicOf(func() { env.Call(t.Context()) }); got != any(value) {
				t.Errorf("the application recovered %v, want %v", got, value)
			}
			check(t, j.only(t), map[string]any{logging.KeyStatusCode: "INTERNAL", logging.KeyKind: kind.String()})
		})
	}
}
