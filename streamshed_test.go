package hauberk_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/internal/shedtest"
)

func encoded(t *testing.T, text string) []byte {
	t.Helper()
	msg, err := proto.Marshal(response(text))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// dialing returns a connection to an address through a chain, if there is one.
func dialing(t *testing.T, address string, chain []hauberk.Interceptor, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if chain != nil {
		opts = hauberk.Must(hauberk.New(chain...)).DialOptions(opts...)
	}
	conn, err := grpc.NewClient("passthrough:///"+address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestShedStreamsKeepTheirStatus: a server rejects a stream, and answers the next one while grpc-go sends it the messages
// again. The call has the messages and the status of that stream, which an interceptor can retry. On bare grpc-go
// RecvMsg returns io.EOF first.
func TestShedStreamsKeepTheirStatus(t *testing.T) {
	unavailable := int(codes.Unavailable)
	type outcome struct {
		text string // of the responses
		code codes.Code
	}
	shed := outcome{code: codes.Unavailable}
	for _, c := range []struct {
		name         string
		answer       shedtest.Answer
		single, many outcome // for methods with a single response, and with several
	}{
		{"shed", shedtest.Answer{Code: unavailable}, shed, shed},
		{"shed after the header", shedtest.Answer{Header: true, Code: unavailable}, shed, shed},
		{
			"answered",
			shedtest.Answer{Header: true, Messages: [][]byte{encoded(t, "early")}},
			outcome{"early", codes.OK},
			outcome{"early", codes.OK},
		},
		{
			"shed after a message",
			shedtest.Answer{Header: true, Messages: [][]byte{encoded(t, "early")}, Code: unavailable},
			shed,
			outcome{"early", codes.Unavailable},
		},
		{"without a response", shedtest.Answer{Header: true}, outcome{code: codes.Internal}, outcome{code: codes.OK}},
	} {
		for _, kind := range allKinds {
			t.Run(c.name+"/"+kind.String(), func(t *testing.T) {
				for name, w := range map[string]struct {
					chain   []hauberk.Interceptor
					asks    bool // for the header before it receives
					retries bool
				}{
					"bare grpc-go":  {},
					"empty chain":   {chain: []hauberk.Interceptor{}},
					"hooks":         {chain: []hauberk.Interceptor{passThrough()}},
					"adapter":       {chain: []hauberk.Interceptor{adapted(), passThrough()}},
					"retry":         {chain: []hauberk.Interceptor{retryUpTo(1 << 20)}, retries: true},
					"header, bare":  {asks: true},
					"header, empty": {chain: []hauberk.Interceptor{}, asks: true},
					"header, retry": {chain: []hauberk.Interceptor{retryUpTo(1 << 20)}, asks: true, retries: true},
				} {
					srv := &shedtest.Server{Size: 240_000, Shed: 1, Answer: c.answer, Response: encoded(t, "whole")}
					conn := dialing(t, srv.Start(t), w.chain)
					var got outcome
					var err error
					got.text, err = sendMuch(t, conn, kind, w.asks)
					if err != io.EOF {
						got.code = status.Code(err)
					}
					want := c.many
					if !kind.ServerStreams() {
						want = c.single
					}
					commits := w.asks && c.answer.Header && !kind.ClientStreams() // grpc-go's Header finds none else
					if w.retries && want == shed && !commits {
						want = outcome{"whole", codes.OK}
					}
					if w.chain == nil && kind.ClientStreams() && !w.asks { // its RecvMsg returns io.EOF at once
						want = outcome{}
					}
					if got != want {
						t.Errorf("%s: got %q, %v; want %q, %s", name, got.text, err, want.text, want.code)
					}
				}
			})
		}
	}
}

// retryUpTo is retry for more bytes.
func retryUpTo(limit int) hauberk.Interceptor {
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		call.Replayable(limit)
		err := next(ctx, call)
		if status.Code(err) == codes.Unavailable {
			return next(ctx, call)
		}
		return err
	})
}

// sendMuch sends 240,000 bytes, asks for the header or does not, and returns the texts of the responses, with the end: nil after a single response.
func sendMuch(t *testing.T, conn grpc.ClientConnInterface, kind hauberk.Kind, asks bool) (text string, err error) {
	t.Helper()
	stream := start(patient(t), t, conn, kind)
	messages := 3
	if !kind.ClientStreams() {
		messages = 1
	}
	for range messages {
		if err := stream.SendMsg(&testpb.Request{Payload: make([]byte, 240_000/messages)}); err != nil {
			t.Errorf("SendMsg: %v", err)
		}
	}
	_ = stream.CloseSend()
	if asks {
		_, _ = stream.Header()
	}
	for {
		r := new(testpb.Response)
		if err := stream.RecvMsg(r); err != nil {
			return text, err
		}
		text += r.GetText()
		if !kind.ServerStreams() {
			return text, nil
		}
	}
}

// TestExhaustedRetriesKeepTheirStatus: grpc-go retries by the service config until it gives up, and the last stream has
// ended while grpc-go sent the messages again. The call has the status of that stream. Bare grpc-go returns an error
// that wraps io.EOF and has no status.
func TestExhaustedRetriesKeepTheirStatus(t *testing.T) {
	for _, kind := range uploadKinds {
		t.Run(kind.String(), func(t *testing.T) {
			for name, w := range map[string]struct {
				chain []hauberk.Interceptor
				want  codes.Code
			}{
				"bare grpc-go": {nil, codes.Unknown},
				"empty chain":  {[]hauberk.Interceptor{}, codes.Unavailable},
				"hooks":        {[]hauberk.Interceptor{passThrough()}, codes.Unavailable},
			} {
				srv := &shedtest.Server{Size: 240_000, Shed: 100, Answer: shedtest.Answer{Code: int(codes.Unavailable)}}
				conn := dialing(t, srv.Start(t), w.chain, grpc.WithDefaultServiceConfig(nativeRetry))
				_, err := sendMuch(t, conn, kind, false)
				if status.Code(err) != w.want || errors.Is(err, io.EOF) != (w.chain == nil) {
					t.Errorf("%s: %v, want %s", name, err, w.want)
				}
				if srv.Streams() < 4 {
					t.Errorf("%s: %d streams", name, srv.Streams())
				}
			}
		})
	}
}

// ending is a stream that ends without a message. After its end RecvMsg blocks.
type ending struct {
	grpc.ClientStream

	ended bool
}

func (s *ending) RecvMsg(msg any) error {
	if s.ended {
		<-s.Context().Done()
		return s.Context().Err()
	}
	s.ended = true
	return io.EOF
}

// TestEndsOfForeignStreams: the chain does not receive again from a stream of another library after its end. An end
// without a response is not a good one of a method with a single response.
func TestEndsOfForeignStreams(t *testing.T) {
	ends := grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		s, err := open(ctx, desc, cc, method, opts...)
		return &ending{ClientStream: s}, err
	})
	bubbles(t, streams, func(t *testing.T, kind hauberk.Kind) {
		for name, chain := range map[string]*hauberk.Chain{"empty": hauberk.Must(hauberk.New()), "hooks": hauberk.Must(hauberk.New(passThrough()))} {
			conn := hauberktest.Start(t, hauberktest.Setup{
				Backend: &hauberktest.Backend{Handle: wait}, Client: chain, DialOptions: []grpc.DialOption{ends},
			}).Conn
			stream := start(patient(t), t, conn, kind)
			_ = stream.SendMsg(message("a"))
			_ = stream.CloseSend()
			err := stream.RecvMsg(new(testpb.Response))
			if kind.ServerStreams() && err != io.EOF || !kind.ServerStreams() && status.Code(err) != codes.Internal {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
