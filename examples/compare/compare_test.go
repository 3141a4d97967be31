package compare

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// TestCheck: the interceptor for Hauberk rejects large messages in all eight combinations, and
// the ones for grpc-go in the four of servers.
func TestCheck(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		envs := map[string]*hauberktest.Env{"Hauberk": c.Start(t, hauberk.Func(Check))}
		if c.Side == hauberk.ServerSide {
			envs["grpc-go"] = hauberktest.Start(t, hauberktest.Setup{Kind: c.Kind, ServerOptions: []grpc.ServerOption{
				grpc.UnaryInterceptor(unaryServer), grpc.StreamInterceptor(streamServer),
			}})
		}
		for name, env := range envs {
			if out := env.Call(t.Context(), "small"); out.Err != nil {
				t.Errorf("%s: a small message: %v", name, out.Err)
			}
			out := env.Call(t.Context(), strings.Repeat("x", 2000))
			if status.Code(out.Err) != codes.InvalidArgument || hauberk.Reason(out.Err) != "MESSAGE_TOO_LARGE" {
				t.Errorf("%s: a large message: got %v, want INVALID_ARGUMENT", name, out.Err)
			}
		}
	})
}
