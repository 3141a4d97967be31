package logging_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// waiting is a backend that waits for the end of its context.
func waiting() (backend *hauberktest.Backend, entered chan struct{}) {
	entered = make(chan struct{}, 1)
	return &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}, entered
}

func TestCancelled(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		backend, entered := waiting()
		env := c.StartWith(t, backend, logging.New(logging.Config{}, j.option()))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-entered
			cancel()
		}()
		if got := status.Code(env.Call(ctx).Err); got != codes.Canceled {
			t.Errorf("the caller got %s", got)
		}
		env.Server.GracefulStop()
		check(t, j.only(t), map[string]any{logging.KeyStatusCode: "CANCELLED"})
	})
}

func TestDeadline(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		backend, _ := waiting()
		env := c.StartWith(t, backend, logging.New(logging.Config{}, j.option()))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if got := status.Code(env.Call(ctx).Err); got != codes.DeadlineExceeded {
			t.Errorf("the caller got %s", got)
		}
		env.Server.GracefulStop()
		// A server may receive the client's cancellation before its own timer fires.
		record := j.only(t)
		if record[logging.KeyStatusCode] != "CANCELLED" || c.Side == hauberk.ClientSide {
			check(t, record, map[string]any{logging.KeyStatusCode: "DEADLINE_EXCEEDED"})
		}
	})
}

// A stream that the application of a client opens and never reads ends with its context
// or its connection.
func TestAbandoned(t *testing.T) {
	for name, code := range map[string]string{"cancelled": "CANCELLED", "connection closed": "CANCELLED"} {
		for _, kind := range kinds[1:] {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				j := newJournal()
				c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
				backend, entered := waiting()
				env := c.StartWith(t, backend, logging.New(logging.Config{}, j.option()))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				open(ctx, t, env, kind)
				<-entered
				if name == "cancelled" {
					cancel()
				} else if err := env.Client.Close(); err != nil {
					t.Fatal(err)
				}
				<-j.wrote
				env.Server.GracefulStop()
				check(t, j.only(t), map[string]any{logging.KeyStatusCode: code, logging.KeyKind: kind.String(), logging.KeySent: 1.0, logging.KeyReceived: 0.0})
			})
		}
	}
}

// open opens a stream and sends one request.
func open(ctx context.Context, t *testing.T, env *hauberktest.Env, kind hauberk.Kind) grpc.ClientStream {
	t.Helper()
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := env.Conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&testpb.Request{}); err != nil {
		t.Fatal(err)
	}
	return stream
}

// A stream has a record when the application has read its end, and not before.
func TestNoRecordBeforeTheEnd(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Bidi}
	env := c.Start(t, logging.New(logging.Config{}, j.option()))
	stream := open(t.Context(), t, env, c.Kind)
	if err := stream.RecvMsg(new(testpb.Response)); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := j.String(); got != "" {
		t.Errorf("logged while the stream was open: %s", got)
	}
	if err := stream.RecvMsg(new(testpb.Response)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	check(t, j.only(t), map[string]any{logging.KeyStatusCode: "OK", logging.KeySent: 1.0, logging.KeyReceived: 1.0})
}
