package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// rawCodec sends and receives bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// result has everything that a client sees of a call.
type result struct {
	HasHeader       bool
	Header, Trailer metadata.MD
	Messages        []string
	Code            codes.Code
	Message         string
	Status          string // with details
}

// exchange is a call: the requests, then the half-close, then the responses.
type exchange struct {
	method   string
	requests [][]byte
	metadata []string
	opts     []grpc.CallOption
}

func (e exchange) on(ctx context.Context, conn *grpc.ClientConn) (result, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, e.metadata...)
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := conn.NewStream(ctx, desc, e.method, append(e.opts, grpc.ForceCodecV2(rawCodec{}))...)
	if err != nil {
		return result{}, err
	}
	for _, r := range e.requests {
		if err := stream.SendMsg(&r); err != nil && !errors.Is(err, io.EOF) {
			return result{}, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return result{}, err
	}
	return e.receive(stream), nil
}

func (e exchange) receive(stream grpc.ClientStream) result {
	var got result
	got.Header, _ = stream.Header()
	got.HasHeader = got.Header != nil
	delete(got.Header, "content-type")
	var err error
	for err == nil {
		var msg []byte
		if err = stream.RecvMsg(&msg); err == nil {
			got.Messages = append(got.Messages, string(msg))
		}
	}
	got.Trailer = stream.Trailer()
	if !errors.Is(err, io.EOF) {
		st := status.Convert(err)
		got.Code, got.Message, got.Status = st.Code(), st.Message(), st.String()+fmt.Sprint(st.Details())
	}
	return got
}

// script is a handler that the text of the first request controls.
func script(_ context.Context, s hauberktest.Stream) error {
	req, err := s.Recv()
	if err != nil {
		return s.Send(&testpb.Response{Text: "no request"})
	}
	switch what, _, _ := strings.Cut(req.GetText(), " "); what {
	case "headers":
		_ = s.SetHeader(metadata.Pairs("x-h", "1", "x-h", "2", "x-h-bin", "\x00\xff", "x-empty", ""))
		s.SetTrailer(metadata.Pairs("x-t", "1", "x-t", "2", "x-t-bin", "\xfe\x00", "grpc-retry-pushback-ms", "17"))
		return s.Send(&testpb.Response{Text: "ok"})
	case "header-then-error":
		_ = s.SendHeader(metadata.Pairs("x-h", "1"))
		s.SetTrailer(metadata.Pairs("x-t", "1"))
		return status.Error(codes.Aborted, "after the header")
	case "code":
		return status.Error(codes.Code(req.GetCount()), "100% \u00fc\u2603 \n \u0001 of it")
	case "details":
		st, _ := status.New(codes.NotFound, "no").WithDetails(durationpb.New(5), &testpb.Request{Text: "detail"})
		return st.Err()
	case "raw-details":
		s.SetTrailer(metadata.Pairs(detailsTrailer, string(req.GetPayload())))
		return status.Error(codes.FailedPrecondition, "raw")
	case "ok-with-details":
		s.SetTrailer(metadata.Pairs(detailsTrailer, "\x08\x00"))
		return s.Send(&testpb.Response{Text: "ok"})
	default:
		return s.Send(&testpb.Response{Text: what, Payload: req.GetPayload()})
	}
}

const detailsTrailer = "grpc-status-details-bin"

func message(text string, change ...func(*testpb.Request)) []byte {
	m := &testpb.Request{Text: text}
	for _, f := range change {
		f(m)
	}
	raw, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return raw
}

func payload(b []byte) func(*testpb.Request) { return func(m *testpb.Request) { m.Payload = b } }

func statusBytes(code codes.Code, text string) []byte {
	detail, _ := anypb.New(durationpb.New(7))
	raw, err := proto.Marshal(&spb.Status{Code: int32(code), Message: text, Details: []*anypb.Any{detail}})
	if err != nil {
		panic(err)
	}
	return raw
}

// A client sees the same through a gateway as directly.
func TestSameAsDirect(t *testing.T) {
	every := make([]byte, 200)
	for i := range every {
		every[i] = byte(i)
	}
	unary, bidi := hauberktest.FullMethod(0), "/hauberk.test.v1.TestService/Bidi"
	clientStream, serverStream := "/hauberk.test.v1.TestService/ClientStream", "/hauberk.test.v1.TestService/ServerStream"
	cases := map[string]exchange{
		"unary":                          {method: unary, requests: [][]byte{message("a")}},
		"client stream":                  {method: clientStream, requests: [][]byte{message("a"), message("b")}},
		"server stream":                  {method: serverStream, requests: [][]byte{message("a")}},
		"bidi":                           {method: bidi, requests: [][]byte{message("a"), message("b")}},
		"no request of a stream":         {method: clientStream},
		"empty messages":                 {method: bidi, requests: [][]byte{{}, {}, {}}},
		"a unary call without requests":  {method: unary},
		"a unary call with two requests": {method: unary, requests: [][]byte{message("a"), message("b")}},
		"a server stream with two":       {method: serverStream, requests: [][]byte{message("a"), message("b")}},
		"not protobuf":                   {method: unary, requests: [][]byte{{0xff, 0xff, 0xff, 0xff}}},
		"unknown fields":                 {method: unary, requests: [][]byte{append(message("a"), 0xa2, 0x06, 0x01, 0x78)}},
		"unknown method":                 {method: "/hauberk.test.v1.TestService/Nope", requests: [][]byte{message("a")}},
		"unknown service":                {method: "/no.such.Service/Method", requests: [][]byte{message("a")}},
		"malformed method":               {method: "no-slash", requests: [][]byte{message("a")}},
		"headers and trailers":           {method: bidi, requests: [][]byte{message("headers")}},
		"header, then an error":          {method: bidi, requests: [][]byte{message("header-then-error")}},
		"details":                        {method: unary, requests: [][]byte{message("details")}},
		"details of an OK":               {method: unary, requests: [][]byte{message("ok-with-details")}},
		"details that are not a status":  {method: unary, requests: [][]byte{message("raw-details", payload(every))}},
		"details with unknown fields":    {method: unary, requests: [][]byte{message("raw-details", payload(append(statusBytes(9, "raw"), 0xa2, 0x06, 0x01, 0x78)))}},
		"details of another code":        {method: unary, requests: [][]byte{message("raw-details", payload(statusBytes(5, "other \"text\"")))}},
		"details that are empty":         {method: unary, requests: [][]byte{message("raw-details", payload(nil))}},
		"gzip":                           {method: bidi, requests: [][]byte{message("a", payload(make([]byte, 100_000)))}, opts: []grpc.CallOption{grpc.UseCompressor("gzip")}},
		"a payload of 16 MiB":            {method: unary, requests: [][]byte{message("a", payload(make([]byte, 16<<20)))}},
	}
	for code := codes.Canceled; code <= 17; code++ {
		text := message("code", func(m *testpb.Request) { m.Count = int32(code) })
		cases["code "+code.String()] = exchange{method: bidi, requests: [][]byte{text}}
	}
	for name, e := range cases {
		t.Run(name, func(t *testing.T) {
			bubble{backend: hauberktest.Backend{Handle: script}}.run(t, func(t *testing.T, b *bubble) {
				want, err := e.on(t.Context(), b.direct)
				if err != nil {
					t.Fatal(err)
				}
				got, err := e.on(t.Context(), b.through)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("the result differs (-direct +through):\n%.2000s", diff)
				}
			})
		})
	}
}

// The upstream receives the metadata of the client, except for reserved keys.
func TestRequestMetadata(t *testing.T) {
	sent := []string{
		"x-a", "1", "x-b", "z", "x-a", "2", "x-empty", "", "x-bin", string([]byte{0, 1, 0xff}), "x-bin", "",
		"authorization", "Bearer abc", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"grpc-trace-bin", "\x00", "x-big", strings.Repeat("v", 8000),
		// Only the transport frames forwards the first, and no one the others.
		"grpc-previous-rpc-attempts", "999999", "grpc-retry-pushback-ms", "1", "grpc-foo", "x", "proxy-connection", "x",
	}
	want := metadata.MD{
		"x-a": {"1", "2"}, "x-b": {"z"}, "x-empty": {""}, "x-bin": {"\x00\x01\xff", ""},
		"authorization": {"Bearer abc"}, "traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"grpc-trace-bin": {"\x00"}, "x-big": {strings.Repeat("v", 8000)},
	}
	for subtype, contentType := range map[string]string{"": "application/grpc", "proto": "application/grpc+proto"} {
		t.Run(contentType, func(t *testing.T) {
			var got, direct metadata.MD
			backend := hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				direct = got
				got, _ = metadata.FromIncomingContext(ctx)
				return s.Send(&testpb.Response{})
			}}
			e := exchange{method: hauberktest.FullMethod(0), requests: [][]byte{message("a")}, metadata: sent}
			if subtype != "" {
				e.opts = append(e.opts, grpc.CallContentSubtype(subtype))
			}
			bubble{backend: backend}.run(t, func(t *testing.T, b *bubble) {
				for _, conn := range []*grpc.ClientConn{b.direct, b.through} {
					if res, err := e.on(t.Context(), conn); err != nil || res.Code != codes.OK {
						t.Fatal(res, err)
					}
				}
				if got := got.Get("content-type"); !cmp.Equal(got, []string{contentType}) {
					t.Errorf("content-type %q, want %q", got, contentType)
				}
				want := want.Copy()
				if b.transport == TransportFrames {
					want["grpc-previous-rpc-attempts"] = []string{"999999"}
				}
				for _, own := range []string{"content-type", ":authority", "user-agent", "grpc-accept-encoding"} {
					if b.transport == TransportFrames && !cmp.Equal(got[own], direct[own]) {
						t.Errorf("%s is %q, want %q", own, got[own], direct[own])
					}
					delete(got, own) // the gateway's with the other transport
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("metadata (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestMessageLimit(t *testing.T) {
	large := make([]byte, 1<<20)
	backend := hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		for {
			if _, err := s.Recv(); err != nil {
				break
			}
		}
		return s.Send(&testpb.Response{Payload: large})
	}}
	bubble{backend: backend, limit: len(large)}.run(t, func(t *testing.T, b *bubble) {
		for name, requests := range map[string][][]byte{
			"request":    {message("a", payload(large))},
			"response":   {message("a")},
			"compressed": {message("a", payload(bytes.Repeat(large, 2)))},
		} {
			e := exchange{method: "/hauberk.test.v1.TestService/Bidi", requests: requests}
			if name == "compressed" {
				e.opts = append(e.opts, grpc.UseCompressor("gzip"))
			}
			got, err := e.on(t.Context(), b.through)
			if err != nil {
				t.Fatal(err)
			}
			want := codes.ResourceExhausted
			if b.transport == TransportFrames && name == "compressed" {
				want = codes.OK // the limit is that of the message as it is sent
			}
			if got.Code != want {
				t.Errorf("%s: %s %q, want %s", name, got.Code, got.Message, want)
			}
		}
	})
}

func TestHeaderLimit(t *testing.T) {
	bubble{}.run(t, func(t *testing.T, b *bubble) {
		for size, want := range map[int]bool{15 << 10: true, 17 << 10: false} {
			e := exchange{method: hauberktest.FullMethod(0), requests: [][]byte{message("a")}, metadata: []string{"x", strings.Repeat("v", size)}}
			got, err := e.on(t.Context(), b.through)
			if ok := err == nil && got.Code == codes.OK; ok != want {
				t.Errorf("%d bytes of metadata: %v %v, want success %v", size, got, err, want)
			}
		}
	})
}
