package transform_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// layer adds a prefix to requests and one to responses.
func layer(request, response string) hauberk.Interceptor {
	return transform.New(
		transform.Config{},
		transform.EditRequests(func(req *testpb.Request) error {
			req.Text = request + req.GetText()
			return nil
		}),
		transform.EditResponses(func(resp *testpb.Response) error {
			resp.Text = response + resp.GetText()
			return nil
		}),
	)
}

// Outer interceptors receive a request first and a response last, on both sides.
func TestMessages(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		out := c.Start(t, layer("1", "1<"), layer("2", "2<")).Call(t.Context(), "a", "b")
		want := map[hauberk.Kind][]string{
			hauberk.Unary:        {"1<2<echo:21a"},
			hauberk.ClientStream: {"1<2<echo:21a,21b"},
			hauberk.ServerStream: {"1<2<echo:21a"},
			hauberk.Bidi:         {"1<2<echo:21a", "1<2<echo:21b"},
		}[c.Kind]
		if out.Err != nil || !slices.Equal(out.Texts(), want) {
			t.Errorf("%q, %v; want %q", out.Texts(), out.Err, want)
		}
	})
}

// The options of one interceptor run in the order of separate interceptors.
func TestOptionsInOrder(t *testing.T) {
	prefix := func(p string) []transform.Option {
		return []transform.Option{
			transform.EditRequests(func(req *testpb.Request) error {
				req.Text = p + req.GetText()
				return nil
			}),
			transform.EditResponses(func(resp *testpb.Response) error {
				resp.Text = p + "<" + resp.GetText()
				return nil
			}),
		}
	}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		x := transform.New(transform.Config{}, slices.Concat(prefix("1"), prefix("2"))...)
		out := c.Start(t, x).Call(t.Context(), "a")
		if want := []string{"1<2<echo:21a"}; out.Err != nil || !slices.Equal(out.Texts(), want) {
			t.Errorf("%q, %v; want %q", out.Texts(), out.Err, want)
		}
	})
}

// The application's messages are not modified: it may send them again.
func TestSentMessagesAreCloned(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		request, response := &testpb.Request{Text: "a"}, &testpb.Response{Text: "r"}
		backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error { return s.Send(response) }}
		env := c.StartWith(t, backend, layer("1", "1<"))
		for range 2 {
			out := env.Do(t.Context(), hauberktest.FullMethod(c.Kind), []*testpb.Request{request})
			if out.Err != nil || !slices.Equal(out.Texts(), []string{"1<r"}) {
				t.Errorf("%q, %v; want one 1<r", out.Texts(), out.Err)
			}
		}
		if request.GetText() != "a" || response.GetText() != "r" {
			t.Errorf("the application's messages became %q and %q", request.GetText(), response.GetText())
		}
	})
}

// A function can drop and repeat messages within the limits of the kind and the side.
func TestDropAndRepeat(t *testing.T) {
	x := transform.New(transform.Config{},
		transform.Requests(func(call *hauberk.Call, req *testpb.Request, emit func(*testpb.Request) error) error {
			switch {
			case call.Kind().ClientStreams() && req.GetText() == "skip":
				return nil
			case call.Kind().ClientStreams() && call.Side() == hauberk.ClientSide:
				return errors.Join(emit(req), emit(req))
			default:
				return emit(req)
			}
		}),
		transform.Responses(func(call *hauberk.Call, resp *testpb.Response, emit func(*testpb.Response) error) error {
			switch {
			case call.Kind().ServerStreams() && resp.GetText() == "echo:b":
				return nil
			case call.Kind().ServerStreams() && call.Side() == hauberk.ServerSide:
				return errors.Join(emit(resp), emit(&testpb.Response{Text: "again"}))
			default:
				return emit(resp)
			}
		}),
	)
	want := map[string][]string{
		"server/unary":         {"echo:a"},
		"server/client_stream": {"echo:a,b"},
		"server/server_stream": {"echo:a", "again"},
		"server/bidi_stream":   {"echo:a", "again"},
		"client/unary":         {"echo:a"},
		"client/client_stream": {"echo:a,a,b,b"},
		"client/server_stream": {"echo:a"},
		"client/bidi_stream":   {"echo:a", "echo:a"},
	}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		out := c.Start(t, x).Call(t.Context(), "a", "skip", "b")
		if out.Err != nil || !slices.Equal(out.Texts(), want[c.String()]) {
			t.Errorf("%q, %v; want %q", out.Texts(), out.Err, want[c.String()])
		}
	})
}

// misuses are wrong functions, with their direction.
func misuses() map[string][2]transform.Option {
	both := func(request func(*hauberk.Call, *testpb.Request, func(*testpb.Request) error) error,
		response func(*hauberk.Call, *testpb.Response, func(*testpb.Response) error) error,
	) [2]transform.Option {
		return [2]transform.Option{transform.Requests(request), transform.Responses(response)}
	}
	return map[string][2]transform.Option{
		"drops": both(
			func(*hauberk.Call, *testpb.Request, func(*testpb.Request) error) error { return nil },
			func(*hauberk.Call, *testpb.Response, func(*testpb.Response) error) error { return nil },
		),
		"repeats": both(
			func(_ *hauberk.Call, m *testpb.Request, emit func(*testpb.Request) error) error {
				return errors.Join(emit(m), emit(m))
			},
			func(_ *hauberk.Call, m *testpb.Response, emit func(*testpb.Response) error) error {
				return errors.Join(emit(m), emit(m))
			},
		),
		"repeats, and does not look": both(
			func(_ *hauberk.Call, m *testpb.Request, emit func(*testpb.Request) error) error {
				_, _ = emit(m), emit(m)
				return nil
			},
			func(_ *hauberk.Call, m *testpb.Response, emit func(*testpb.Response) error) error {
				_, _ = emit(m), emit(m)
				return nil
			},
		),
	}
}

// A single message that is not replaced with exactly one ends the call with INTERNAL, and
// so do several messages for a received one.
func TestMisuse(t *testing.T) {
	for name, options := range misuses() {
		for direction, option := range options {
			t.Run(fmt.Sprintf("%s/%d", name, direction), func(t *testing.T) {
				requests := direction == 0
				wrong := func(c hauberktest.Case) bool {
					single := !c.Kind.ServerStreams()
					if requests {
						single = !c.Kind.ClientStreams()
					}
					received := requests == (c.Side == hauberk.ServerSide)
					return single || received && name != "drops"
				}
				each(t, wrong, func(t *testing.T, c hauberktest.Case) {
					out := c.Start(t, transform.New(transform.Config{}, option)).Call(t.Context())
					if status.Code(out.Err) != codes.Internal {
						t.Errorf("%q, %v; want %s", out.Texts(), out.Err, codes.Internal)
					}
				})
			})
		}
	}
}

// An error of a function ends the call with its status.
func TestFunctionFails(t *testing.T) {
	fail := status.Error(codes.InvalidArgument, "no")
	for name, option := range map[string]transform.Option{
		"requests":  transform.EditRequests(func(*testpb.Request) error { return fail }),
		"responses": transform.EditResponses(func(*testpb.Response) error { return fail }),
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				out := c.Start(t, transform.New(transform.Config{}, option)).Call(t.Context())
				wantStatus(t, out.Err, codes.InvalidArgument, "no")
			})
		})
	}
}

// A function receives the messages of its type. Others pass unchanged.
func TestTypes(t *testing.T) {
	var seen []string
	note := func(msg any) error {
		seen = append(seen, fmt.Sprintf("%T", msg))
		return nil
	}
	x := transform.New(
		transform.Config{},
		transform.EditRequests(func(m *wrapperspb.StringValue) error { return note(m) }),
		transform.EditRequests(func(m proto.Message) error { return note(m) }),
		transform.EditRequests(func(m any) error { return note(m) }),
		transform.EditResponses(func(m *testpb.Request) error { return note(m) }),
	)
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		seen = nil
		if out := c.Start(t, x).Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		if want := []string{"*testpb.Request", "*testpb.Request"}; !slices.Equal(seen, want) {
			t.Errorf("seen %q; want %q", seen, want)
		}
	})
}

// A received message can be replaced with one of the same type only.
func TestReplaced(t *testing.T) {
	tests := []struct {
		name string
		with proto.Message
		code codes.Code
	}{
		{"its type", &testpb.Request{Text: "other"}, codes.OK},
		{"another type", wrapperspb.String("other"), codes.Internal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := transform.New(transform.Config{}, transform.Requests(
				func(_ *hauberk.Call, _ proto.Message, emit func(proto.Message) error) error { return emit(test.with) }))
			each(t, onServer, func(t *testing.T, c hauberktest.Case) {
				out := c.Start(t, x).Call(t.Context(), "a")
				if status.Code(out.Err) != test.code {
					t.Errorf("%v; want %s", out.Err, test.code)
				}
				if out.Err == nil && !slices.Equal(out.Texts(), []string{"echo:other"}) {
					t.Errorf("%q; want echo:other", out.Texts())
				}
			})
		})
	}
}

// A stream that sends and receives concurrently runs functions of both directions
// concurrently.
func TestBothDirections(t *testing.T) {
	const n = 200
	each(t, func(c hauberktest.Case) bool { return c.Kind == hauberk.Bidi }, func(t *testing.T, c hauberktest.Case) {
		env := c.Start(t, layer("1", "1<"))
		stream, err := env.Conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
			testpb.TestService_Bidi_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() {
			var err error
			for i := range n {
				err = errors.Join(err, stream.SendMsg(&testpb.Request{Text: fmt.Sprint(i)}))
			}
			sent <- errors.Join(err, stream.CloseSend())
		}()
		for i := range n {
			resp := new(testpb.Response)
			if err := stream.RecvMsg(resp); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("1<echo:1%d", i); resp.GetText() != want {
				t.Fatalf("response %q; want %q", resp.GetText(), want)
			}
		}
		if err := stream.RecvMsg(new(testpb.Response)); err == nil {
			t.Error("one response too many")
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// taking is a connection on which unary calls succeed.
type taking struct {
	hauberktest.Conn

	take func(req any)
}

func (c taking) Invoke(_ context.Context, _ string, req, _ any, _ ...grpc.CallOption) error {
	c.take(req)
	return nil
}

// order is a message that is not protobuf.
type order struct {
	Cents int
	Notes []string
	Lines map[string]*line
	Any   any
	Self  *order
	Proto *testpb.Request
	Sum   *big.Int // a struct whose fields are not exported: shared
	seen  bool
}

type line struct{ Count [1]int }

func newOrder() *order {
	o := &order{
		Cents: 1, Notes: []string{"a"}, Lines: map[string]*line{"l": {[1]int{1}}}, Any: []byte("a"),
		Proto: &testpb.Request{Text: "a"}, Sum: big.NewInt(7), seen: true,
	}
	o.Self = o
	return o
}

// A function modifies a copy of a message that is not protobuf: the application's message
// stays the same, and each attempt of a call starts with it.
func TestPlainMessagesAreCopied(t *testing.T) {
	var sent []*order
	conn := taking{take: func(req any) { sent = append(sent, req.(*order)) }}
	again := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		_ = next(ctx, call)
		return next(ctx, call)
	})
	x := transform.New(transform.Config{}, transform.EditRequests(func(o *order) error {
		o.Cents += 100
		o.Notes[0] += "b"
		o.Lines["l"].Count[0]++
		o.Any.([]byte)[0]++
		o.Self.Notes = append(o.Self.Notes, "self")
		o.Proto.Text += "b"
		return nil
	}))
	request := newOrder()
	chain := hauberk.Must(hauberk.New(again, x))
	if err := chain.ClientConn(conn).Invoke(t.Context(), "/a.B/C", request, new(order)); err != nil {
		t.Fatal(err)
	}
	if len(sent) != 2 {
		t.Fatalf("%d attempts were sent, want 2", len(sent))
	}
	for i, o := range sent {
		if o.Cents != 101 || !slices.Equal(o.Notes, []string{"ab", "self"}) || o.Lines["l"].Count[0] != 2 ||
			string(o.Any.([]byte)) != "b" || o.Proto.GetText() != "ab" || o.Sum != request.Sum || !o.seen {
			t.Errorf("attempt %d sent %+v; want the request after one edit", i+1, o)
		}
	}
	want := newOrder()
	want.Sum = request.Sum
	if text := request.Proto.GetText(); text != "a" {
		t.Errorf("its protobuf message became %q", text)
	}
	for _, o := range []*order{request, want} {
		o.Self, o.Proto = nil, nil
	}
	if !reflect.DeepEqual(request, want) {
		t.Errorf("the application's message became %+v", request)
	}
}
