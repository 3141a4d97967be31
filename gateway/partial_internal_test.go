package gateway

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// Hooks and adapters see all of a large message, which a transport may forward before it has
// arrived. A message that is dropped or repeated does not damage others.
func TestLargeMessages(t *testing.T) {
	const large = 300_000
	pass := hauberk.PassUnaryServer
	texts := func(seen *[]int, msg any) error {
		var req testpb.Request
		m := msg.(*Message)
		if m.Partial() || m.Len() != m.Data.Len() {
			return errors.New("the message is not complete")
		}
		*seen = append(*seen, m.Len())
		return proto.Unmarshal(m.Data.Materialize(), &req)
	}
	hook := func(keep func(n int) bool) func(seen *[]int) hauberk.Interceptor {
		return func(seen *[]int) hauberk.Interceptor {
			return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				n := 0
				call.OnReceive(func(msg any) (bool, error) {
					n++
					return keep(n), texts(seen, msg)
				})
				return next(ctx, call)
			})
		}
	}
	tests := []struct {
		name string
		make func(seen *[]int) hauberk.Interceptor
		want int // messages that come back
		seen int // messages that were looked at
	}{
		{"forwarded", func(*[]int) hauberk.Interceptor {
			return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })
		}, 3, 0},
		{"receive hook", hook(func(int) bool { return true }), 3, 3},
		{"dropped", hook(func(n int) bool { return n != 2 }), 2, 3},
		{"send hook", func(seen *[]int) hauberk.Interceptor {
			return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnSend(func(msg any, emit func(any) error) error {
					if err := texts(seen, msg); err != nil {
						return err
					}
					return errors.Join(emit(msg), emit(msg))
				})
				return next(ctx, call)
			})
		}, 6, 3},
		{"adapter", func(seen *[]int) hauberk.Interceptor {
			return hauberk.FromServer(pass, func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
				return h(srv, &looking{s, func(msg any) error { return texts(seen, msg) }})
			})
		}, 3, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen []int
			bubble{interceptors: []hauberk.Interceptor{tt.make(&seen)}}.run(t, func(t *testing.T, b *bubble) {
				seen = nil
				b.backend.Handle = func(_ context.Context, s hauberktest.Stream) error {
					var all []*testpb.Request
					for {
						req, err := s.Recv()
						if err != nil {
							break
						}
						all = append(all, req)
					}
					for _, req := range all {
						if err := s.Send(&testpb.Response{Payload: req.GetPayload()}); err != nil {
							return err
						}
					}
					return nil
				}
				stream, err := b.client().Bidi(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if err := stream.Send(&testpb.Request{Payload: make([]byte, large)}); err != nil {
						t.Fatal(err)
					}
				}
				_ = stream.CloseSend()
				got := 0
				for {
					resp, err := stream.Recv()
					if err != nil {
						if !errors.Is(err, io.EOF) {
							t.Error(err)
						}
						break
					}
					got++
					if len(resp.GetPayload()) != large {
						t.Errorf("a message has %d bytes, want %d", len(resp.GetPayload()), large)
					}
				}
				if got != tt.want || len(seen) != tt.seen {
					t.Errorf("%d messages came back and %d were looked at, want %d and %d", got, len(seen), tt.want, tt.seen)
				}
			})
		})
	}
}

// looking is the stream of an interceptor of grpc-go that looks at all messages.
type looking struct {
	grpc.ServerStream

	look func(msg any) error
}

func (l *looking) RecvMsg(msg any) error {
	if err := l.ServerStream.RecvMsg(msg); err != nil {
		return err
	}
	return l.look(msg)
}

func (l *looking) SendMsg(msg any) error {
	if err := l.look(msg); err != nil {
		return err
	}
	return l.ServerStream.SendMsg(msg)
}
