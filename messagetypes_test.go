package hauberk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The tests of this file are about Go types that protobuf messages may have other than those of current
// generated code: the codec of grpc-go takes them all.

// oldRequest is a message of protobuf's first API for Go, as gogo/protobuf generates them. It has the
// fields of testpb.Request.
type oldRequest struct {
	Text    string `protobuf:"bytes,1,opt,name=text,proto3"`
	Count   int32  `protobuf:"varint,2,opt,name=count,proto3"`
	Payload []byte `protobuf:"bytes,3,opt,name=payload,proto3"`
}

func (m *oldRequest) Reset()         { *m = oldRequest{} }
func (m *oldRequest) String() string { return m.Text }
func (*oldRequest) ProtoMessage()    {}

// oldResponse has the fields of testpb.Response.
type oldResponse struct {
	Text    string `protobuf:"bytes,1,opt,name=text,proto3"`
	Index   int32  `protobuf:"varint,2,opt,name=index,proto3"`
	Payload []byte `protobuf:"bytes,3,opt,name=payload,proto3"`
}

func (m *oldResponse) Reset()         { *m = oldResponse{} }
func (m *oldResponse) String() string { return m.Text }
func (*oldResponse) ProtoMessage()    {}

var _ protoadapt.MessageV1 = (*oldRequest)(nil)

// payloads is a backend whose first call ends with UNAVAILABLE, after a pause. The others answer with all
// payloads that they got.
func payloads() *hauberktest.Backend {
	var calls atomic.Int64
	return &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		if calls.Add(1) == 1 {
			sleep(time.Second)
			return status.Error(codes.Unavailable, "restarting")
		}
		text := ""
		for {
			req, err := s.Recv()
			if err == io.EOF {
				return s.Send(&testpb.Response{Text: text})
			}
			if err != nil {
				return err
			}
			text += string(req.GetPayload())
		}
	}}
}

// TestRetriesOfOldMessages: messages of the first API are kept for replays, as those of the second are.
// The application modifies them once they are sent, and receives into a message of the first API.
func TestRetriesOfOldMessages(t *testing.T) {
	bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
		chain := hauberk.Must(hauberk.New(retrying(1<<16, 3, func(context.Context) error { return nil })))
		for name, conn := range map[string]grpc.ClientConnInterface{
			"bare with native retries": bare(t, payloads(), grpc.WithDefaultServiceConfig(nativeRetry)),
			"retry":                    chain.ClientConn(bare(t, payloads())),
		} {
			stream := start(patient(t), t, conn, kind)
			want := "first"
			request := &oldRequest{Payload: []byte("first")}
			if err := stream.SendMsg(request); err != nil {
				t.Errorf("%s: send: %v", name, err)
			}
			copy(request.Payload, "other")
			if kind.ClientStreams() {
				if err := stream.SendMsg(request); err != nil {
					t.Errorf("%s: send: %v", name, err)
				}
				want += "other"
			}
			_ = stream.CloseSend()
			var r oldResponse
			if err := stream.RecvMsg(&r); err != nil || r.Text != want {
				t.Errorf("%s: %q, %v; want %q", name, r.Text, err, want)
			}
		}
	})
}

// TestHeldResponseOfTheFirstAPI: a handler may use the buffer of its response again when it has sent it.
func TestHeldResponseOfTheFirstAPI(t *testing.T) {
	interceptors := func(opts ...grpc.ServerOption) []grpc.ServerOption { return opts }
	for name, opts := range map[string][]grpc.ServerOption{
		"bare": interceptors(), "chain": hauberk.Must(hauberk.New(hauberk.Func(idle))).ServerOptions(),
	} {
		answers := grpc.ChainStreamInterceptor(func(_ any, s grpc.ServerStream, _ *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
			buf := []byte("first")
			err := s.SendMsg(&oldResponse{Payload: buf})
			copy(buf, "other")
			return err
		})
		stream := start(patient(t), t, bareServer(t, &hauberktest.Backend{}, append(opts, answers)), hauberk.ClientStream)
		_ = stream.CloseSend()
		var r oldResponse
		if err := stream.RecvMsg(&r); err != nil || string(r.Payload) != "first" {
			t.Errorf("%s: %q, %v", name, r.Payload, err)
		}
	}
}

// TestMessagesOfAnotherGoType: the application receives into messages of another Go type than that of
// generated code, messages that have arrived before: when a send met the end, and when the call was cancelled.
func TestMessagesOfAnotherGoType(t *testing.T) {
	fd, err := protodesc.NewFile(protodesc.ToFileDescriptorProto(testpb.File_hauberktest_testpb_test_proto), protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	dynamic := fd.Messages().ByName("Response")
	into := map[string]func() (msg any, text func() string){
		"dynamicpb": func() (any, func() string) {
			m := dynamicpb.NewMessage(dynamic)
			return m, func() string { return m.Get(dynamic.Fields().ByName("text")).String() }
		},
		"first API": func() (any, func() string) {
			m := new(oldResponse)
			return m, m.String
		},
	}
	backend := &hauberktest.Backend{Handle: func(_ context.Context, s hauberktest.Stream) error {
		return s.Send(&testpb.Response{Text: "early"}) // it does not read
	}}
	arrives := map[hauberk.Kind]func(stream grpc.ClientStream, cancel context.CancelFunc) error{
		hauberk.ClientStream: func(stream grpc.ClientStream, _ context.CancelFunc) error {
			synctest.Wait()
			if err := stream.SendMsg(message("x")); err != io.EOF {
				return fmt.Errorf("send: %w", err)
			}
			return nil
		},
		hauberk.ServerStream: func(stream grpc.ClientStream, cancel context.CancelFunc) error {
			err := errors.Join(stream.SendMsg(message("x")), stream.CloseSend())
			synctest.Wait()
			cancel()
			synctest.Wait()
			return err
		},
	}
	for kind, arrive := range arrives {
		bubbles(t, []hauberk.Kind{kind}, func(t *testing.T, kind hauberk.Kind) {
			conn := bare(t, backend)
			for name, conn := range map[string]grpc.ClientConnInterface{
				"bare": conn, "empty": hauberk.Must(hauberk.New()).ClientConn(conn),
				"retry": hauberk.Must(hauberk.New(retrying(1<<16, 2, func(context.Context) error { return nil }))).ClientConn(conn),
			} {
				for what, target := range into {
					ctx, cancel := context.WithCancel(patient(t))
					stream := start(ctx, t, conn, kind)
					if err := arrive(stream, cancel); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					msg, text := target()
					if err := stream.RecvMsg(msg); err != nil || text() != "early" {
						t.Errorf("%s, %s: %q, %v", name, what, text(), err)
					}
					if err := stream.RecvMsg(msg); err != io.EOF && kind.ServerStreams() {
						t.Errorf("%s, %s: then %v", name, what, err)
					}
					cancel()
				}
			}
		})
	}
}

// TestCancelWithACodecOfItsOwnTypes: an application whose codec has another type of message
// than the method cancels, or meets its deadline, before it has received: the call ends with the
// error of its context, also if the codec is a default of the connection, and so is not known.
func TestCancelWithACodecOfItsOwnTypes(t *testing.T) {
	for name, codec := range map[string]encoding.Codec{"panics": rawCodec{}, "fails": strictCodec{}} {
		option := grpc.ForceCodec(codec)
		for _, kind := range []hauberk.Kind{hauberk.ServerStream, hauberk.Bidi} {
			for _, guarded := range []bool{false, true} {
				for where, call := range map[string][]grpc.CallOption{"call": {option}, "connection": nil} {
					t.Run(fmt.Sprintf("%s/%s/guarded=%t/%s", name, kind, guarded, where), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
								for range 3 {
									if err := s.Send(response("x")); err != nil {
										return err
									}
								}
								<-ctx.Done()
								return ctx.Err()
							}}
							interceptors := []hauberk.Interceptor{passThrough()}
							if guarded {
								interceptors = append(interceptors, recoverer{})
							}
							conn := bare(t, backend, grpc.WithDefaultCallOptions(option))
							ctx, cancel := context.WithCancel(t.Context())
							stream, err := hauberk.Must(hauberk.New(interceptors...)).ClientConn(conn).
								NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind), call...)
							if err != nil {
								t.Fatal(err)
							}
							if err := stream.SendMsg(new([]byte)); err != nil {
								t.Fatal(err)
							}
							synctest.Wait() // the responses have arrived
							cancel()
							synctest.Wait()
							for err == nil {
								err = stream.RecvMsg(new([]byte))
							}
							wantCode(t, err, codes.Canceled)
						})
					})
				}
			}
		}
	}
}

// strictCodec is rawCodec that returns an error for another type.
type strictCodec struct{ rawCodec }

func (c strictCodec) Unmarshal(data []byte, v any) error {
	if _, ok := v.(*[]byte); !ok {
		return fmt.Errorf("a %T is not a message", v)
	}
	return c.rawCodec.Unmarshal(data, v)
}
