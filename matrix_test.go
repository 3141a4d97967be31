package hauberk_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// journal records what happens, from any goroutine.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) add(entry string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

// tag is an interceptor that records when it is entered and left, with the code.
func (j *journal) tag(name string) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		j.add(name + " in")
		err := next(ctx, call)
		j.add(name + " out " + hauberk.StatusOf(err).Code().String())
		return err
	})
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("code %s (%v), want %s", got, err, want)
	}
}

// wantTexts is what a call of each kind with these requests is answered by Echo.
func wantTexts(k hauberk.Kind, texts ...string) []string {
	switch k {
	case hauberk.Unary:
		return []string{"echo:" + texts[0]}
	case hauberk.ServerStream:
		return []string{"echo:" + texts[0]}
	case hauberk.ClientStream:
		joined := texts[0]
		for _, t := range texts[1:] {
			joined += "," + t
		}
		return []string{"echo:" + joined}
	default:
		var out []string
		for _, t := range texts {
			out = append(out, "echo:"+t)
		}
		return out
	}
}

func TestOrder(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		env := c.Start(t, j.tag("a"), j.tag("b"), j.tag("c"))
		out := env.Call(t.Context(), "x", "y")
		wantCode(t, out.Err, codes.OK)
		equal(t, "responses", out.Texts(), wantTexts(c.Kind, "x", "y"))
		env.Server.GracefulStop()
		equal(t, "journal", j.all(), []string{"a in", "b in", "c in", "c out OK", "b out OK", "a out OK"})
	})
}

func TestRejection(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var j journal
		reject := hauberk.Func(func(context.Context, *hauberk.Call, hauberk.Next) error {
			return hauberk.Reject(codes.ResourceExhausted, "TOO_MANY", "too many")
		})
		env := c.Start(t, j.tag("outer"), reject, j.tag("inner"))
		out := env.Call(t.Context())
		wantCode(t, out.Err, codes.ResourceExhausted)
		if got := hauberk.Reason(out.Err); got != "TOO_MANY" {
			t.Errorf("reason %q", got)
		}
		env.Server.GracefulStop()
		equal(t, "journal", j.all(), []string{"outer in", "outer out ResourceExhausted"})
	})
}

func TestReply(t *testing.T) {
	for _, when := range []string{"instead of next", "after next", "after a failed next"} {
		t.Run(when, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
					if when == "after a failed next" {
						return status.Error(codes.Unavailable, "down")
					}
					if c.Kind.ServerStreams() {
						return nil
					}
					return s.Send(&testpb.Response{Text: "handler"})
				}}
				seen := make(chan string, 8)
				outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if c.Side == hauberk.ServerSide {
						call.OnSend(func(msg any, emit func(any) error) error {
							seen <- msg.(*testpb.Response).GetText()
							return emit(msg)
						})
					} else {
						call.OnReceive(func(msg any) (bool, error) {
							seen <- msg.(*testpb.Response).GetText()
							return true, nil
						})
					}
					return next(ctx, call)
				})
				reply := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if when != "instead of next" {
						_ = next(ctx, call)
					}
					return call.Reply(&testpb.Response{Text: "reply"})
				})
				out := c.StartWith(t, backend, outer, reply).Call(t.Context())
				wantCode(t, out.Err, codes.OK)
				equal(t, "responses", out.Texts(), []string{"reply"})
				if got := <-seen; got != "reply" {
					t.Errorf("the outer hook saw %q", got)
				}
			})
		})
	}
}
