package hauberk_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

var detachKey = hauberk.NewKey[string]("detach")

// A detached copy of a unary call ends on its own goroutine, and the call adopts its response, header,
// trailer, status and decisions. Streams are rejected.
func TestDetach(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			_ = grpc.SetHeader(ctx, metadata.Pairs("h", "1"))
			_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))
			return hauberktest.Echo(ctx, s)
		}}
		var state, errText string
		var decisions []hauberk.Decision
		outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			detachKey.Set(call, "outer")
			err := next(ctx, call)
			decisions = call.Decisions().Recorded()
			return err
		}
		detaching := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			inside, copied, err := call.Detach(context.WithoutCancel(ctx))
			if err != nil {
				errText = status.Convert(err).Message()
				return next(ctx, call)
			}
			done := make(chan error)
			go func() { done <- next(inside, copied) }()
			err = <-done
			call.Adopt(copied)
			return err
		}
		inner := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			state, _ = detachKey.Get(call)
			if call.Kind() == hauberk.Unary && hauberk.FromContext(ctx) != call {
				t.Error("the context is that of another call")
			}
			call.Decide(hauberk.Decision{Interceptor: "inner", Rule: "r", Verdict: hauberk.Allowed})
			if len(call.Metadata(ctx, "reject")) > 0 {
				return hauberk.Reject(codes.ResourceExhausted, "FULL", "full")
			}
			return next(ctx, call)
		}
		env := c.StartWith(t, backend, hauberk.Func(outer), hauberk.Func(detaching), hauberk.Func(inner))
		out := env.Call(t.Context())
		if out.Err != nil || out.Texts()[0] != "echo:hello" || out.Header.Get("h") == nil || out.Trailer.Get("t") == nil {
			t.Errorf("outcome %+v; want the response, header and trailer", out)
		}
		if state != "outer" || len(decisions) != 1 || decisions[0].Interceptor != "inner" {
			t.Errorf("state %q, decisions %v", state, decisions)
		}
		if unary := c.Kind == hauberk.Unary; unary != (errText == "") {
			t.Errorf("Detach failed with %q", errText)
		}
		rejected := env.Call(metadata.AppendToOutgoingContext(t.Context(), "reject", "1"))
		if status.Code(rejected.Err) != codes.ResourceExhausted || len(decisions) != 2 {
			t.Errorf("%v with decisions %v; want one rejection", rejected.Err, decisions)
		}
	})
}

// A reply can have a header and a trailer, which the caller receives on both sides.
func TestSetReplyMetadata(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		env := c.Start(t, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			err := call.SetReplyMetadata(metadata.Pairs("h", "1"), metadata.Pairs("t", "1"))
			if (err == nil) != (c.Kind == hauberk.Unary) {
				t.Errorf("SetReplyMetadata returned %v", err)
			}
			if err != nil {
				return next(ctx, call)
			}
			if err := call.SetReplyMetadata(metadata.MD{"Bad Key": {"1"}}, nil); status.Code(err) != codes.Internal {
				t.Errorf("an illegal key: %v", err)
			}
			return call.Reply(&testpb.Response{Text: "kept"})
		}))
		out := env.Call(t.Context())
		if c.Kind == hauberk.Unary &&
			(out.Err != nil || out.Texts()[0] != "kept" || out.Header.Get("h") == nil || out.Trailer.Get("t") == nil) {
			t.Errorf("outcome %+v", out)
		}
	})
}

// A detached call runs interceptors of grpc-go, inside of it and outside, and can be detached again. An
// interceptor inside of it can reply and hook.
func TestDetachAround(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		if c.Kind != hauberk.Unary {
			return
		}
		detaching := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			inside, copied, err := call.Detach(context.WithoutCancel(ctx))
			if err != nil {
				return err
			}
			err = next(inside, copied)
			call.Adopt(copied)
			return err
		}
		mark := func(text string) hauberk.Interceptor {
			if c.Side == hauberk.ServerSide {
				return hauberk.FromServer(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
					req.(*testpb.Request).Text += text
					resp, err := handler(ctx, req)
					if err == nil {
						resp.(*testpb.Response).Text += text
					}
					return resp, err
				}, hauberk.PassStreamServer)
			}
			return hauberk.FromClient(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
				invoker grpc.UnaryInvoker, opts ...grpc.CallOption,
			) error {
				changed := proto.Clone(req.(*testpb.Request)).(*testpb.Request)
				changed.Text += text
				err := invoker(ctx, method, changed, reply, cc, opts...)
				reply.(*testpb.Response).Text += text
				return err
			}, hauberk.PassStreamClient)
		}
		hooks := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if _, err := call.Read(ctx); err != nil {
				return err
			}
			if len(call.Metadata(ctx, "reply")) > 0 {
				return call.Reply(&testpb.Response{Text: "reply"})
			}
			see := func(msg any, text string) {
				switch msg := msg.(type) {
				case *testpb.Request:
					msg.Text += text
				case *testpb.Response:
					msg.Text += text
				}
			}
			call.OnReceive(func(msg any) (bool, error) { see(msg, "r"); return true, nil })
			call.OnSend(func(msg any, emit func(any) error) error {
				msg = proto.Clone(msg.(proto.Message))
				see(msg, "s")
				return emit(msg)
			})
			return next(ctx, call)
		}
		env := c.Start(t, mark("1"), hauberk.Func(detaching), hauberk.Func(hooks), mark("2"), hauberk.Func(detaching), mark("3"))
		want := "echo:hello1r23" + "32s1"
		if c.Side == hauberk.ClientSide {
			want = "echo:hello1s23" + "32r1"
		}
		if out := env.Call(t.Context()); out.Err != nil || out.Texts()[0] != want {
			t.Errorf("%v, %v; want %s", out.Texts(), out.Err, want)
		}
		out := env.Call(metadata.AppendToOutgoingContext(t.Context(), "reply", "1"))
		if out.Err != nil || out.Texts()[0] != "reply1" {
			t.Errorf("%v, %v; want the reply", out.Texts(), out.Err)
		}
	})
}

var (
	outerAttempt = hauberk.NewAttemptKey[int]("outer attempt")
	innerAttempt = hauberk.NewAttemptKey[int]("inner attempt")
)

// A detached call begins with the values of attempts that its call has, also if that is a copy. The calls that adopt
// it get those that were set on it, and not those of the call that it was made for.
func TestDetachValuesOfAttempts(t *testing.T) {
	var shared *hauberk.Call
	detaching := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if shared != nil {
			call.Adopt(shared)
			return nil
		}
		inside, copied, err := call.Detach(ctx)
		if err != nil {
			return err
		}
		if err = next(inside, copied); err == nil {
			shared = copied
		}
		call.Adopt(copied)
		return err
	}
	inner := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if n, _ := outerAttempt.Get(call); n != 1 {
			t.Errorf("the detached call has %d of the outer attempt, want 1", n)
		}
		innerAttempt.Set(call, 5)
		return next(ctx, call)
	}
	grpcs := hauberk.FromClient(hauberk.PassUnaryClient, hauberk.PassStreamClient)
	for name, around := range map[string][]hauberk.Interceptor{
		"alone": nil, "on a copy": {hauberk.Func(onCopies)}, "inside of grpc-go's": {grpcs}, "on a copy of a copy": {grpcs, hauberk.Func(onCopies)},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			shared = nil
			calls := 0
			outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				calls++
				outerAttempt.Set(call, calls)
				err := next(ctx, call)
				own, _ := outerAttempt.Get(call)
				adopted, _ := innerAttempt.Get(call)
				if own != calls || adopted != 5 {
					t.Errorf("call %d: values %d and %d, want %d and 5", calls, own, adopted, calls)
				}
				return err
			}
			chain := slices.Concat(around, []hauberk.Interceptor{hauberk.Func(outer), hauberk.Func(detaching), hauberk.Func(inner)})
			env := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Unary}.StartWith(t, nil, chain...)
			for range 2 {
				wantCode(t, env.Call(t.Context()).Err, codes.OK)
			}
		})
	}
}

// The sizes of a detached call are those of the first call that adopts it. Others have moved no bytes.
func TestDetachSizes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var shared *hauberk.Call
	detaching := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) (err error) {
		if shared == nil {
			var inside context.Context
			if inside, shared, err = call.Detach(ctx); err == nil {
				err = next(inside, shared)
			}
		}
		call.Adopt(shared)
		return err
	}
	var sent []string
	outer := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		err := next(ctx, call)
		if call.Wire() == nil {
			t.Error("the sizes are not measured")
		}
		sent = append(sent, strconv.FormatInt(call.Wire().Sent().Messages, 10))
		return err
	}
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Unary}.With(hauberk.Config{CountBytes: true})
	env := c.StartWith(t, nil, hauberk.Func(outer), hauberk.Func(detaching))
	for range 3 {
		wantCode(t, env.Call(t.Context()).Err, codes.OK)
	}
	equal(t, "messages", sent, []string{"1", "0", "0"})
}
