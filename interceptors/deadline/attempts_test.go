package deadline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/deadline"
	"github.com/hauberk-rpc/hauberk/interceptors/hedge"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
)

// The timeouts of messages do not end a stream whose messages are those of an inner interceptor's attempts: concurrent
// ones, or those of a stream that is resumed after each message.
func TestMessagesOfAttempts(t *testing.T) {
	const limit, messages = time.Second, 20
	again := func(_ *hauberk.Method, request, last proto.Message) (proto.Message, error) {
		next, _ := last.(*testpb.Response)
		return &testpb.Request{Count: next.GetIndex() + 1}, nil
	}
	for name, c := range map[string]struct {
		inner  hauberk.Interceptor
		breaks bool
	}{
		"hedge": {hedge.New(hedge.Config{Delay: time.Minute, AllMethods: true}), false},
		"resumed retry": {
			retry.New(retry.Config{AllMethods: true, NoBudget: true, InitialBackoff: time.Millisecond, MaxBackoff: time.Millisecond}, retry.WithResume(again)), true,
		},
	} {
		for setting, config := range map[string]deadline.Config{
			"IdleTimeout": {IdleTimeout: limit}, "ReceiveTimeout": {ReceiveTimeout: limit},
		} {
			t.Run(name+"/"+setting, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
						req, err := s.Recv()
						for i := req.GetCount(); err == nil && i < messages; i++ {
							<-time.After(limit / 4)
							if err = s.Send(&testpb.Response{Index: i}); err == nil && c.breaks {
								err = status.Error(codes.Unavailable, "broken")
							}
						}
						return err
					}}
					env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.ServerStream}.StartWith(
						t, backend, deadline.New(config), c.inner)
					if out := env.Call(t.Context(), "x"); out.Err != nil || len(out.Responses) != messages {
						t.Errorf("%d messages, and then %v; want %d", len(out.Responses), out.Err, messages)
					}
				})
			})
		}
	}
}
