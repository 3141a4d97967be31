package serving_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/serving"
)

var (
	kinds   = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}
	streams = kinds[1:]
)

func method(kind hauberk.Kind) string { return strings.TrimPrefix(hauberktest.FullMethod(kind), "/") }

// set switches the state.
func set(t *testing.T, x *serving.Interceptor, to serving.State) {
	t.Helper()
	if err := x.Set(to); err != nil {
		t.Fatal(err)
	}
}

func wantStatus(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if status.Code(err) != code || hauberk.Reason(err) != reason {
		t.Errorf("%v with reason %q; want %v with %q", err, hauberk.Reason(err), code, reason)
	}
}

// patient is a context that gives up long after a call should have ended.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// open makes a call whose client does not half-close, and returns its outcome.
func open(ctx context.Context, conn grpc.ClientConnInterface, kind hauberk.Kind) error {
	desc := &grpc.StreamDesc{ClientStreams: kind.ClientStreams(), ServerStreams: kind.ServerStreams()}
	stream, err := conn.NewStream(ctx, desc, hauberktest.FullMethod(kind))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&testpb.Request{Text: "a"}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !kind.ClientStreams() {
		_ = stream.CloseSend()
	}
	for {
		switch err := stream.RecvMsg(new(testpb.Response)); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil || !kind.ServerStreams():
			return err
		}
	}
}

// handler is a backend whose calls enter and wait for their context or release.
type handler struct {
	entered chan hauberk.Kind
	left    chan error // the cause of the context
	release chan struct{}
}

func newHandler() *handler {
	return &handler{make(chan hauberk.Kind, 64), make(chan error, 64), make(chan struct{})}
}

func (h *handler) backend() *hauberktest.Backend {
	return &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		h.entered <- hauberk.FromContext(ctx).Kind()
		select {
		case <-ctx.Done():
		case <-h.release:
		}
		h.left <- context.Cause(ctx)
		return s.Send(&testpb.Response{})
	}}
}
