package unknownhandler_test

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/internal/unknownhandler"
)

type server struct{}

func (*server) unknown(any, grpc.ServerStream) error { return nil }

func other(any, grpc.ServerStream) error { return nil }

// TestOf finds the handler that grpc-go calls, which is that of the last option. The test
// fails if a release of grpc-go stores it in another field.
func TestOf(t *testing.T) {
	method := unknownhandler.Pointer(new(server).unknown)
	for name, c := range map[string]struct {
		options []grpc.ServerOption
		want    uintptr
	}{
		"none":     {nil, 0},
		"method":   {[]grpc.ServerOption{grpc.UnknownServiceHandler(new(server).unknown)}, method},
		"function": {[]grpc.ServerOption{grpc.UnknownServiceHandler(other)}, unknownhandler.Pointer(other)},
		"two": {[]grpc.ServerOption{
			grpc.UnknownServiceHandler(new(server).unknown), grpc.UnknownServiceHandler(other),
		}, unknownhandler.Pointer(other)},
	} {
		srv := grpc.NewServer(c.options...)
		if got := unknownhandler.Of(srv); got != c.want {
			t.Errorf("%s: %x, want %x", name, got, c.want)
		}
		srv.Stop()
	}
	if method == unknownhandler.Pointer(other) || unknownhandler.Of(nil) != 0 {
		t.Error("two functions are one")
	}
}
