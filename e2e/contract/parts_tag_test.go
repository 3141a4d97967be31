package contract_test

import (
	"context"
	"fmt"

	"github.com/hauberk-rpc/hauberk"
)

type tagConfig struct {
	head

	Tag      string `json:"tag"`
	Messages bool   `json:"messages"`
}

// tag logs that a call reaches it, and how the call ends.
type tag struct {
	tagConfig

	journal *journal
}

// newTag creates a tag. A separate, inner interceptor logs messages: the hooks of an interceptor see
// a single response after the interceptor's own code, and the tag must log its exit last.
func newTag(w *world, c tagConfig) (part, error) {
	t := &tag{c, w.journal}
	if !c.Messages {
		return stateless(hauberk.Func(t.calls)), nil
	}
	return stateless(hauberk.Func(t.calls), hauberk.Func(t.messages)), nil
}

func (t *tag) logf(ctx context.Context, call *hauberk.Call, format string, args ...any) {
	t.journal.log(idOf(ctx, call), call.Side(), t.Tag+":"+fmt.Sprintf(format, args...))
}

// calls logs the call.
func (t *tag) calls(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	t.logf(ctx, call, "enter")
	err := next(ctx, call)
	t.logf(ctx, call, "exit(%s)", codeName(hauberk.StatusOf(err).Code()))
	return err
}

// messages logs messages: requests and responses on a server, responses on a client.
func (t *tag) messages(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	received := "response(%s)"
	if call.Side() == hauberk.ServerSide {
		received = "request(%s)"
		call.OnSend(func(msg any, emit func(any) error) error {
			t.logf(ctx, call, "response(%s)", textOf(msg))
			return emit(msg)
		})
	}
	call.OnReceive(func(msg any) (bool, error) {
		t.logf(ctx, call, received, textOf(msg))
		return true, nil
	})
	return next(ctx, call)
}

// textOf returns the text of a request or response.
func textOf(msg any) string {
	if m, ok := msg.(interface{ GetMsg() string }); ok {
		return m.GetMsg()
	}
	return fmt.Sprintf("%T", msg)
}
