package gateway

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	encodingproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// described returns the methods of the test service with descriptors that the program does not link, as those of a
// file.
func described(tb testing.TB) func(method string) (protoreflect.MethodDescriptor, error) {
	tb.Helper()
	file, err := protodesc.NewFile(protodesc.ToFileDescriptorProto(testpb.File_hauberktest_testpb_test_proto), nil)
	if err != nil {
		tb.Fatal(err)
	}
	methods := file.Services().Get(0).Methods()
	return func(method string) (protoreflect.MethodDescriptor, error) {
		return methods.ByName(protoreflect.Name(method[strings.LastIndexByte(method, '/')+1:])), nil
	}
}

// foreign is the codec of a library that writes fields in another order, with one that the descriptors do not have. It
// records what it receives.
type foreign struct {
	encoding.CodecV2

	mu       sync.Mutex
	sent     [][]byte
	received [][]byte
}

func newForeign() *foreign { return &foreign{CodecV2: encoding.GetCodecV2(encodingproto.Name)} }

func (f *foreign) Marshal(v any) (mem.BufferSlice, error) {
	canonical, err := f.CodecV2.Marshal(v)
	if err != nil {
		return nil, err
	}
	raw := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7)
	raw = append(raw, canonical.Materialize()...)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, raw)
	return mem.BufferSlice{mem.SliceBuffer(raw)}, nil
}

func (f *foreign) Unmarshal(data mem.BufferSlice, v any) error {
	f.mu.Lock()
	f.received = append(f.received, data.Materialize())
	f.mu.Unlock()
	return f.CodecV2.Unmarshal(data, v)
}

// text returns the text of a message that hooks receive.
func text(t *testing.T, msg any) string {
	t.Helper()
	m, ok := msg.(proto.Message)
	if !ok {
		t.Errorf("a hook has received a %T", msg)
		return ""
	}
	r := m.ProtoReflect()
	return r.Get(r.Descriptor().Fields().ByName("text")).String()
}

func setText(msg any, text string) {
	if m, ok := msg.(proto.Message); ok {
		r := m.ProtoReflect()
		r.Set(r.Descriptor().Fields().ByName("text"), protoreflect.ValueOfString(text))
	}
}

// watching looks at all messages, and may change them.
func watching(t *testing.T, seen *[]string, change func(msg any)) hauberk.Interceptor {
	var mu sync.Mutex
	note := func(call *hauberk.Call, what string, msg any) {
		mu.Lock()
		defer mu.Unlock()
		*seen = append(*seen, call.Side().String()+" "+what+" "+text(t, msg))
		change(msg)
	}
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.OnReceive(func(msg any) (bool, error) {
			note(call, "received", msg)
			return true, nil
		})
		call.OnSend(func(msg any, emit func(any) error) error {
			note(call, "sent", msg)
			return emit(msg)
		})
		return next(ctx, call)
	})
}

func unchanged(any) {}

// Interceptors of both chains receive decoded messages, in calls of the kind of the method, and messages are forwarded
// byte for byte.
func TestDecoded(t *testing.T) {
	for _, compressor := range []string{"", "gzip"} {
		for _, chained := range []bool{false, true} {
			var seen []string
			var kindOf hauberk.Kind
			var described bool
			server, client := newForeign(), newForeign()
			b := withCodecs(t, server, client)
			b.interceptors = append(b.interceptors,
				hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					kindOf, described = call.Kind(), call.Method().Descriptor() != nil
					first, err := call.ReadFirst(ctx)
					if err != nil || text(t, first) != "first" {
						t.Errorf("the first request is %v, %v", first, err)
					}
					return next(ctx, call)
				}), watching(t, &seen, unchanged))
			if chained {
				b.inner = []hauberk.Interceptor{watching(t, &seen, unchanged)}
			}
			if compressor != "" {
				b.dial = append(b.dial, grpc.WithDefaultCallOptions(grpc.UseCompressor(compressor)))
			}
			b.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
				seen, server.sent, server.received, client.sent, client.received = nil, nil, nil, nil, nil
				texts, _, err := outcomeOf(t, b, kind)
				if err != nil || !slices.Equal(texts, []string{"echo:first"}) {
					t.Fatalf("%q, %v", texts, err)
				}
				if kindOf != kind || !described {
					t.Errorf("the kind is %s, descriptor: %t", kindOf, described)
				}
				want := []string{"server received first", "server sent echo:first"}
				if chained {
					want = []string{
						"client received echo:first", "client sent first", "server received first", "server sent echo:first",
					}
				}
				slices.Sort(seen)
				if !slices.Equal(seen, want) {
					t.Errorf("hooks have seen %q; want %q", seen, want)
				}
				same(t, "request", client.sent, server.received)
				same(t, "response", server.sent, client.received)
			})
		}
	}
}

// withCodecs is a bubble whose messages are decoded. Its backend and its clients have codecs.
func withCodecs(t *testing.T, server, client *foreign) bubble {
	t.Helper()
	return bubble{
		messages: described(t),
		srv:      []grpc.ServerOption{grpc.ForceServerCodecV2(server)},
		dial:     []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.ForceCodecV2(client))},
	}
}

func same(t *testing.T, what string, sent, received [][]byte) {
	t.Helper()
	if !slices.EqualFunc(sent, received, bytes.Equal) || len(sent) == 0 {
		t.Errorf("the %s was sent as %x and received as %x", what, sent, received)
	}
}

// A message that an interceptor has changed is encoded again, with the fields that the descriptors do not have.
func TestDecodedChanged(t *testing.T) {
	for _, chained := range []bool{false, true} {
		var seen []string
		server, client := newForeign(), newForeign()
		b := withCodecs(t, server, client)
		x := watching(t, &seen, func(msg any) { setText(msg, text(t, msg)+"!") })
		if chained {
			// An interceptor on a client must not change what it sends.
			x = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				call.OnSend(func(msg any, emit func(any) error) error {
					m, _ := msg.(proto.Message)
					clone := proto.Clone(m)
					setText(clone, text(t, msg)+"!")
					return emit(clone)
				})
				call.OnReceive(func(msg any) (bool, error) {
					setText(msg, text(t, msg)+"!")
					return true, nil
				})
				return next(ctx, call)
			})
			b.inner = []hauberk.Interceptor{x}
		} else {
			b.interceptors = []hauberk.Interceptor{x}
		}
		b.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
			client.received, server.received = nil, nil
			texts, _, err := outcomeOf(t, b, kind)
			if err != nil || !slices.Equal(texts, []string{"echo:first!!"}) {
				t.Errorf("%q, %v", texts, err)
			}
			for _, raw := range slices.Concat(client.received, server.received) {
				var m testpb.Request
				if err := proto.Unmarshal(raw, &m); err != nil || len(m.ProtoReflect().GetUnknown()) == 0 {
					t.Errorf("%x, %v: the unknown field is missing", raw, err)
				}
			}
		})
	}
}

// Calls whose messages cannot be decoded end with the codes of grpc-go, and do not reach the upstream.
func TestNotDecoded(t *testing.T) {
	const limit = 10_000
	for _, tt := range []struct {
		name   string
		opts   []grpc.CallOption
		text   string
		code   codes.Code
		reason string
	}{
		{"not a message", []grpc.CallOption{grpc.ForceCodecV2(broken{encoding.GetCodecV2("proto")})}, "x", codes.Internal, ""},
		{
			"too large after decompression",
			[]grpc.CallOption{grpc.UseCompressor("gzip")},
			strings.Repeat("x", 2*limit), codes.ResourceExhausted, "",
		},
		{"another subtype", []grpc.CallOption{grpc.CallContentSubtype("text"), grpc.ForceCodecV2(newForeign())}, "x", codes.Unimplemented, ReasonSubtype},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bubble{messages: described(t), limit: limit}
			b.backend.Handle = func(_ context.Context, s hauberktest.Stream) error {
				if req, err := s.Recv(); err == nil {
					t.Errorf("the upstream has received %v", req)
				}
				return nil
			}
			b.run(t, func(t *testing.T, b *bubble) {
				_, err := b.client().Unary(t.Context(), &testpb.Request{Text: tt.text}, tt.opts...)
				if status.Code(err) != tt.code || hauberk.Reason(err) != tt.reason {
					t.Errorf("%v, reason %q", err, hauberk.Reason(err))
				}
			})
		})
	}
}

// broken encodes each message as bytes that are none.
type broken struct{ encoding.CodecV2 }

func (broken) Name() string { return "proto" }

func (broken) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer("\x0a\xff")}, nil
}

// Messages of other compressions are rejected with the codes of grpc-go, and not announced to either side.
func TestCompressions(t *testing.T) {
	for _, tt := range []struct {
		encoding string
		side     receiving
		code     codes.Code
	}{
		{"zstd", requests, codes.Unimplemented},
		{"zstd", responses, codes.Internal},
		{"", requests, codes.Internal},
		{"identity", responses, codes.Internal},
		{"gzip", requests, codes.Internal}, // and the data is not gzip
	} {
		if _, err := decompress([]byte("x"), tt.encoding, 100, tt.side); status.Code(err) != tt.code {
			t.Errorf("a %s with %q: %v; want %v", tt.side, tt.encoding, err, tt.code)
		}
	}
	for accepted, want := range map[string]string{
		"": "", "gzip": "gzip", "identity, deflate, gzip": "identity,gzip", "zstd,br": "", "identity,gzip": "identity,gzip",
	} {
		if got := decompressible(accepted); got != want {
			t.Errorf("%q is forwarded as %q; want %q", accepted, got, want)
		}
	}
}

// A response that cannot be decoded ends the call with INTERNAL.
func TestResponseNotDecoded(t *testing.T) {
	for _, chained := range []bool{false, true} {
		b := bubble{messages: described(t), srv: []grpc.ServerOption{grpc.ForceServerCodecV2(&halfBroken{newForeign()})}}
		if chained {
			b.inner = []hauberk.Interceptor{hauberk.Func(
				func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })}
		}
		b.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
			if texts, _, err := outcomeOf(t, b, kind); status.Code(err) != codes.Internal || len(texts) > 0 {
				t.Errorf("%q, %v", texts, err)
			}
		})
	}
}

type halfBroken struct{ *foreign }

func (*halfBroken) Marshal(any) (mem.BufferSlice, error) { return broken{}.Marshal(nil) }

// A method whose messages must be decoded and cannot be ends with the given status. The chain runs around the call, and
// the name of the method counts as unknown.
func TestUndescribed(t *testing.T) {
	failure := hauberk.Reject(codes.Unavailable, "NO_DESCRIPTORS", "no descriptors yet")
	var known bool
	var read error
	b := behind(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		known = call.Method().Known()
		_, read = call.ReadFirst(ctx)
		return next(ctx, call)
	})
	b.messages = func(string) (protoreflect.MethodDescriptor, error) { return nil, failure }
	b.eachKind(t, func(t *testing.T, b *bubble, kind hauberk.Kind) {
		_, _, err := outcomeOf(t, b, kind)
		if status.Code(err) != codes.Unavailable || hauberk.Reason(err) != "NO_DESCRIPTORS" || known {
			t.Errorf("%v, known: %t", err, known)
		}
		if hauberk.Reason(read) != "NO_DESCRIPTORS" {
			t.Errorf("ReadFirst returned %v", read)
		}
	})
}

// UpstreamConn makes calls without the chains.
func TestUpstreamConn(t *testing.T) {
	b := behind(func(context.Context, *hauberk.Call, hauberk.Next) error {
		return status.Error(codes.PermissionDenied, "no")
	})
	b.run(t, func(t *testing.T, b *bubble) {
		client := testpb.NewTestServiceClient(b.gateway.UpstreamConn())
		if resp, err := client.Unary(t.Context(), &testpb.Request{Text: "a"}); err != nil || resp.GetText() != "echo:a" {
			t.Errorf("%v, %v", resp, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := client.Bidi(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&testpb.Request{Text: "b"}); err != nil {
			t.Fatal(err)
		}
		if resp, err := stream.Recv(); err != nil || resp.GetText() != "echo:b" {
			t.Errorf("%v, %v", resp, err)
		}
	})
}
