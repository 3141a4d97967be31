package firstinterceptor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/firstinterceptor"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

func TestMessageCap(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var outcome error
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			outcome = next(ctx, call)
			return outcome
		})
		env := c.Start(t, outer, firstinterceptor.MessageCap{Max: 2})

		// The limit counts requests on a server and responses on a client. Echo answers each
		// request of a bidirectional stream, and other calls once.
		messages := 1
		if c.Kind == hauberk.Bidi || c.Side == hauberk.ServerSide && c.Kind.ClientStreams() {
			messages = 3
		}
		out := env.Call(t.Context(), "one", "two", "three")
		env.Server.GracefulStop()

		want := codes.OK
		if messages > 2 {
			want = codes.ResourceExhausted
		}
		if got := status.Code(out.Err); got != want {
			t.Fatalf("got %v, want %s", out.Err, want)
		}
		if want != codes.OK && hauberk.Reason(out.Err) != "TOO_MANY_MESSAGES" {
			t.Errorf("the caller received the reason %q", hauberk.Reason(out.Err))
		}
		if got := errors.Is(outcome, firstinterceptor.ErrTooMany); got != (want != codes.OK) {
			t.Errorf("the outer interceptor received %v", outcome)
		}
	})
}

func TestMessageCapConfig(t *testing.T) {
	_, err := hauberk.New(firstinterceptor.MessageCap{})
	if err == nil || !strings.Contains(err.Error(), "message cap: the cap is 0 messages; want at least 1") {
		t.Errorf("hauberk.New: %v", err)
	}
}
