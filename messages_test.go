package hauberk_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file hold the rules of who owns a message: what one call does with it
// has no effect on another attempt or call.

// inPlace is a pair of interceptors of grpc-go that modify each request of a client, and
// each response of a server, in place.
func inPlace(side hauberk.Side) hauberk.Interceptor {
	if side == hauberk.ServerSide {
		return hauberk.FromServer(
			func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				resp, err := handler(ctx, req)
				if err == nil {
					*textOf(resp) += "!"
				}
				return resp, err
			},
			func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				return handler(srv, inPlaceServer{stream})
			})
	}
	return fromStream(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := open(ctx, desc, cc, method, opts...)
		return inPlaceClient{stream}, err
	})
}

type inPlaceServer struct{ grpc.ServerStream }

func (s inPlaceServer) SendMsg(msg any) error {
	*textOf(msg) += "!"
	return s.ServerStream.SendMsg(msg)
}

type inPlaceClient struct{ grpc.ClientStream }

func (s inPlaceClient) SendMsg(msg any) error {
	*textOf(msg) += "!"
	return s.ClientStream.SendMsg(msg)
}

// TestRepliesAreNotModified: a message that several calls are answered with stays as it
// is, though outer hooks and interceptors of grpc-go modify what they get.
func TestRepliesAreNotModified(t *testing.T) {
	for name, outer := range map[string]func(side hauberk.Side) []hauberk.Interceptor{
		"hooks":   func(hauberk.Side) []hauberk.Interceptor { return []hauberk.Interceptor{writes("a"), writes("b")} },
		"adapter": func(side hauberk.Side) []hauberk.Interceptor { return []hauberk.Interceptor{inPlace(side)} },
		"hooks outside": func(side hauberk.Side) []hauberk.Interceptor {
			return []hauberk.Interceptor{writes("a"), inPlace(side)}
		},
		"hooks inside": func(side hauberk.Side) []hauberk.Interceptor {
			return []hauberk.Interceptor{inPlace(side), writes("a")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				cached := response("cached")
				cache := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error { return call.Reply(cached) })
				env := c.Start(t, append(outer(c.Side), cache)...)
				var first []string
				for i := range 3 {
					out := env.Call(patient(t))
					wantCode(t, out.Err, codes.OK)
					if i == 0 {
						first = out.Texts()
					}
					equal(t, "responses", out.Texts(), first)
				}
				if cached.GetText() != "cached" {
					t.Errorf("the message is %q now", cached.GetText())
				}
			})
		})
	}
}

// reuses is an interceptor whose hook emits one message for all that it gets, and modifies
// that when emit has returned.
func reuses() hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		var scratch proto.Message
		call.OnSend(func(msg any, emit func(any) error) error {
			if scratch == nil {
				scratch = msg.(proto.Message).ProtoReflect().New().Interface()
			}
			*textOf(scratch) = "<" + *textOf(msg) + ">"
			err := emit(scratch)
			*textOf(scratch) = "reused"
			return err
		})
		return next(ctx, call)
	})
}

// TestHooksMayReuseMessages: a hook may use a message again once emit has returned: what
// is held, kept or replayed is as it was when it was emitted.
func TestHooksMayReuseMessages(t *testing.T) {
	replies := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		if call.Kind().ServerStreams() {
			return call.Reply(response("a"), response("b"))
		}
		return call.Reply(response("a"))
	})
	for name, chain := range map[string][]hauberk.Interceptor{
		"alone":           {reuses()},
		"inside hooks":    {passThrough(), reuses(), passThrough()},
		"inside a retry":  {again(3), reuses()},
		"outside a retry": {reuses(), again(3)},
		"between retries": {again(3), reuses(), again(1)},
		"around a reply":  {reuses(), replies},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				requests := []string{"a", "b", "c"}
				if !c.Kind.ClientStreams() {
					requests = requests[:1]
				}
				up := new(uploads)
				if c.Side == hauberk.ClientSide && strings.Contains(name, "retr") {
					up.fail = failsOnce(len(requests))
				}
				out := c.StartWith(t, up.backend(), chain...).Call(patient(t), requests...)
				wantCode(t, out.Err, codes.OK)
				want := []string{strconv.Itoa(len(requests)) + " stored"}
				if name == "around a reply" {
					want = []string{"a", "b"}[:len(out.Texts())]
				}
				if c.Side == hauberk.ServerSide {
					want = inBrackets(want)
				} else if name != "around a reply" {
					equal(t, "requests", up.of(up.calls()), inBrackets(requests))
				}
				equal(t, "responses", out.Texts(), want)
			})
		})
	}
}

// inBrackets returns texts as the hook of reuses makes them.
func inBrackets(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, "<"+text+">")
	}
	return all
}

// TestAdaptersModifyInPlace: an interceptor of grpc-go may modify the messages that it
// sends in place: other attempts send them as the application did.
func TestAdaptersModifyInPlace(t *testing.T) {
	for name, outer := range map[string]hauberk.Interceptor{"retry": again(3), "hedge": hedge(nil)} {
		kinds := streams
		if name == "hedge" {
			kinds = []hauberk.Kind{hauberk.ServerStream}
		}
		t.Run(name, func(t *testing.T) {
			bubbles(t, kinds, func(t *testing.T, kind hauberk.Kind) {
				up := &uploads{fail: func(call, n int, end bool) error {
					if call < 3 && name == "retry" && (n == 2 || end) {
						return unavailable(context.Background())
					}
					return nil
				}}
				want := []string{"a!", "b!", "c!"}
				if !kind.ClientStreams() {
					want = want[:1]
				}
				env := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}.StartWith(t, up.backend(), outer, inPlace(hauberk.ClientSide))
				var requests []*testpb.Request
				for _, text := range want {
					requests = append(requests, message(text[:1]))
				}
				wantCode(t, env.Do(patient(t), hauberktest.FullMethod(kind), requests).Err, codes.OK)
				equal(t, "the last attempt", up.of(up.calls()), want)
			})
		})
	}
}
