package gateway

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestManySmallMessages: messages that are passed on together arrive in order and are counted
// one by one, whether a hook looks at them or not.
func TestManySmallMessages(t *testing.T) {
	const messages = 2000
	for _, hooked := range []bool{false, true} {
		counts := make(chan int64, 2)
		counting := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if hooked {
				call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
			}
			err := next(ctx, call)
			counts <- call.Sent()
			return err
		})
		name := map[bool]string{false: "forwarded", true: "hook"}[hooked]
		t.Run(name, func(t *testing.T) {
			bubble{interceptors: []hauberk.Interceptor{counting}}.run(t, func(t *testing.T, b *bubble) {
				b.backend.Handle = func(_ context.Context, s hauberktest.Stream) error {
					for i := range messages {
						if err := s.Send(&testpb.Response{Index: int32(i), Payload: make([]byte, i%700)}); err != nil {
							return err
						}
					}
					return nil
				}
				stream, err := b.client().ServerStream(t.Context(), &testpb.Request{})
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; ; i++ {
					resp, err := stream.Recv()
					if errors.Is(err, io.EOF) && i == messages {
						break
					}
					if err != nil || int(resp.GetIndex()) != i || len(resp.GetPayload()) != i%700 {
						t.Fatalf("response %d: index %d, %d bytes, %v", i, resp.GetIndex(), len(resp.GetPayload()), err)
					}
				}
				if got := <-counts; got != messages {
					t.Errorf("%d messages are counted, want %d", got, messages)
				}
			})
		})
	}
}
