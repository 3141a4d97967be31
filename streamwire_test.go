package hauberk_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	retries "github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// The tests of this file are about what chains leave as it is: messages that are not
// protobuf, and statuses.

// bytesCodec carries *[]byte as it is.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "raw" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("raw: %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("raw: %T", v)
	}
	*b = data.Materialize()
	return nil
}

// rawDesc describes a service of bytes without an implementation. It answers the
// bytes of all requests.
func rawDesc() *grpc.ServiceDesc {
	handle := func(_ any, s grpc.ServerStream) error {
		all := []byte{}
		for {
			var b []byte
			if err := s.RecvMsg(&b); err == io.EOF {
				return s.SendMsg(&all)
			} else if err != nil {
				return err
			}
			all = append(all, b...)
		}
	}
	desc := byHand()
	desc.Methods[0].Handler = func(_ any, ctx context.Context, dec func(any) error, own grpc.UnaryServerInterceptor) (any, error) {
		b := new([]byte)
		if err := dec(b); err != nil {
			return nil, err
		}
		if own == nil {
			return b, nil
		}
		return own(ctx, b, &grpc.UnaryServerInfo{FullMethod: "/by.Hand/Unary"}, func(_ context.Context, req any) (any, error) { return req, nil })
	}
	for i := range desc.Streams {
		desc.Streams[i].Handler = handle
	}
	return desc
}

// TestRawBytes: a codec of plain bytes and services without an implementation work
// behind chains of all interceptors on both sides, which edit the messages.
func TestRawBytes(t *testing.T) {
	edit := func(side hauberk.Side) []hauberk.Interceptor {
		interceptors := []hauberk.Interceptor{
			requestid.New(requestid.Config{}), metrics.New(metrics.Config{}),
			logging.New(logging.Config{
				Messages: true, Payloads: logging.Payloads{On: true}, Metadata: logging.Metadata{Request: true, Response: true},
			}, logging.WithLogger(quiet)),
			recovery.New(recovery.Config{}, recovery.WithLogger(quiet)),
			transform.New(transform.Config{},
				transform.EditRequests(func(b *[]byte) error { *b = append([]byte("<"), *b...); return nil }),
				transform.Responses(func(_ *hauberk.Call, b *[]byte, emit func(*[]byte) error) error {
					c := append(slices.Clone(*b), '>')
					return emit(&c)
				})),
		}
		if side == hauberk.ClientSide {
			interceptors = append(interceptors, retries.New(retries.Config{AllMethods: true, MaxReplayBytes: 1000}), breaker.New(breaker.Config{}))
		}
		return interceptors
	}
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			srv := hauberk.Must(hauberk.New(edit(hauberk.ServerSide)...)).NewServer(grpc.ForceServerCodecV2(bytesCodec{}))
			srv.RegisterService(rawDesc(), nil)
			conn := hauberk.Must(hauberk.New(edit(hauberk.ClientSide)...)).ClientConn(listenAndServe(t, srv, bufconn.Listen(1<<20)))
			raw := grpc.ForceCodecV2(bytesCodec{})
			in, out, want := []byte("x"), []byte(nil), "<<x>>"
			if kind == hauberk.Unary {
				if err := conn.Invoke(patient(t), methodByHand(kind), &in, &out, raw); err != nil || string(out) != want {
					t.Errorf("Invoke: %q, %v", out, err)
				}
				return
			}
			stream, err := conn.NewStream(patient(t), descOf(kind), methodByHand(kind), raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(stream.SendMsg(&in), stream.CloseSend(), stream.RecvMsg(&out)); err != nil || string(out) != want {
				t.Errorf("%q, %v", out, err)
			}
			if kind.ServerStreams() {
				if err := stream.RecvMsg(&out); err != io.EOF {
					t.Errorf("at the end: %v", err)
				}
			}
		})
	}
}

// trailerOf makes a call of an empty request over HTTP/2 without grpc-go, and returns
// its trailer as it came.
func trailerOf(t *testing.T, addr, method string) http.Header {
	t.Helper()
	//nolint:staticcheck // HTTP/2 without TLS and nothing of net/http between
	tr := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	defer tr.CloseIdleConnections() //nolint:staticcheck // as above
	resp, err := tr.RoundTrip(      //nolint:staticcheck // as above
		(&http.Request{
			Method: http.MethodPost, URL: &url.URL{Scheme: "http", Host: addr, Path: method},
			Header: http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}},
			Body:   io.NopCloser(bytes.NewReader(make([]byte, 5))),
		}).WithContext(patient(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.Header.Get("Grpc-Status") != "" { // Trailers-Only
		return resp.Header
	}
	return resp.Trailer
}

// statusesOf are statuses whose details are not what grpc-go would make of them.
func statusesOf(t *testing.T) map[string]struct{ message, details string } {
	t.Helper()
	marshal := func(m proto.Message) string {
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	detail, err := anypb.New(durationpb.New(7))
	if err != nil {
		t.Fatal(err)
	}
	with := func(code int32, message string) string {
		return marshal(&spb.Status{Code: code, Message: message, Details: []*anypb.Any{detail}})
	}
	return map[string]struct{ message, details string }{
		"details without a message":       {"stock is empty", with(9, "")},
		"details with another message":    {"for people", with(9, "for programs")},
		"details with the same message":   {"same", with(9, "same")},
		"details with a message, no text": {"", with(9, "only here")},
		"details of another code":         {"no", marshal(&spb.Status{Code: 5, Message: "other"})},
		"details of code 0":               {"no", marshal(&spb.Status{Message: "other"})},
		"no status at all":                {"text", "\xff\xfe\x00garbage"},
		"another message type":            {"text", marshal(&testpb.Request{Text: "mine", Count: 3})},
		"odd text":                        {"100% \u00fc\u2603 \n \"q\" %41", with(9, "x")},
	}
}

// TestStatusesOnTheWire: a server with a chain sends message, details and trailer of a
// status as bare grpc-go does, also details that a handler sets itself.
func TestStatusesOnTheWire(t *testing.T) {
	for name, c := range statusesOf(t) {
		t.Run(name, func(t *testing.T) {
			for _, early := range []bool{true, false} {
				backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
					if !early {
						_ = s.SendHeader(metadata.Pairs("x", "1"))
					}
					s.SetTrailer(metadata.Pairs("grpc-status-details-bin", c.details, "x-own", "kept"))
					return status.Error(codes.FailedPrecondition, c.message)
				}}
				for _, kind := range allKinds {
					serve := func(srv interface {
						grpc.ServiceRegistrar
						Serve(lis net.Listener) error
						Stop()
					},
					) http.Header {
						lis := listen(t)
						testpb.RegisterTestServiceServer(srv, backend)
						go func() { _ = srv.Serve(lis) }()
						defer srv.Stop()
						return trailerOf(t, lis.Addr().String(), hauberktest.FullMethod(kind))
					}
					want, got := serve(grpc.NewServer()), serve(hauberk.Must(hauberk.New(passThrough(), recoverer{})).NewServer())
					for _, key := range []string{"Grpc-Status", "Grpc-Message", "X-Own"} {
						if got.Get(key) != want.Get(key) {
							t.Errorf("%s, early=%t: %s is %q; bare grpc-go: %q", kind, early, key, got.Get(key), want.Get(key))
						}
					}
					if a, b := unbin(t, want), unbin(t, got); a != b {
						t.Errorf("%s, early=%t: details %q; bare grpc-go: %q", kind, early, b, a)
					}
				}
			}
		})
	}
}

func unbin(t *testing.T, trailer http.Header) string {
	t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(trailer.Get("Grpc-Status-Details-Bin"), "="))
	if err != nil {
		t.Error(err)
	}
	return string(raw)
}

// TestFailedCallsPass: header, trailer, status and large details of calls that fail
// before or after messages reach the application as without a chain.
func TestFailedCallsPass(t *testing.T) {
	for _, kib := range []int{0, 8, 64} {
		for messages := range 3 {
			t.Run(fmt.Sprintf("%d KiB after %d messages", kib, messages), func(t *testing.T) {
				bubbles(t, allKinds, func(t *testing.T, kind hauberk.Kind) {
					if !kind.ServerStreams() && messages > 0 {
						return
					}
					backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
						_ = s.SetHeader(metadata.Pairs("x-h", "1", "x-h", "2", "x-h-bin", "\x00\xff"))
						for range messages {
							if err := s.Send(response("m")); err != nil {
								return err
							}
						}
						s.SetTrailer(metadata.Pairs("x-t", "1", "x-t-bin", "\x01\xfe"))
						st, err := status.New(codes.Aborted, "no").WithDetails(
							&errdetails.ErrorInfo{Reason: "R"}, &errdetails.DebugInfo{Detail: strings.Repeat("d", kib<<10)})
						if err != nil {
							return err
						}
						return st.Err()
					}}
					want := ""
					for _, w := range worlds(t, backend) {
						stream := start(patient(t), t, w.conn, kind)
						if err := ignoreEOF(stream.SendMsg(message("a"))); err != nil { // EOF: the server was faster
							t.Error(err)
						}
						_ = stream.CloseSend()
						n, err := 0, error(nil)
						for ; err == nil; n++ {
							err = stream.RecvMsg(new(testpb.Response))
						}
						header, headerErr := stream.Header()
						trailer, st := stream.Trailer(), status.Convert(err)
						got := fmt.Sprint(n, header.Get("x-h"), header.Get("x-h-bin"), headerErr, trailer.Get("x-t"), trailer.Get("x-t-bin"),
							st.Code(), st.Message(), proto.Size(st.Proto()), err)
						if want == "" {
							want = got
						}
						if got != want {
							t.Errorf("%s: %.300q\nbare grpc-go: %.300q", w.name, got, want)
						}
					}
				})
			})
		}
	}
}
