package hauberk_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// The statuses of messages that are too large, as both sides of a call have them, and of other implementations.
func TestMessageTooLarge(t *testing.T) {
	const size = 1000
	big := strings.Repeat("x", 2*size)
	echoes := func(_ context.Context, s hauberktest.Stream) error {
		req, err := s.Recv()
		if err != nil {
			return err
		}
		return s.Send(&testpb.Response{Text: req.GetText() + big})
	}
	for _, c := range []struct {
		name    string
		text    string
		handle  func(ctx context.Context, s hauberktest.Stream) error
		server  grpc.ServerOption
		client  grpc.CallOption
		atOne   bool // the other side does not know
		maySend bool // the chain of the server has returned before the response is sent
	}{
		{name: "request", text: big, server: grpc.MaxRecvMsgSize(size)},
		{name: "compressed request", text: big, server: grpc.MaxRecvMsgSize(size), client: grpc.UseCompressor(gzip.Name)},
		{name: "response", handle: echoes, server: grpc.MaxSendMsgSize(size), maySend: true},
		{name: "request on a client", text: big, client: grpc.MaxCallSendMsgSize(size), atOne: true},
		{name: "response on a client", handle: echoes, client: grpc.MaxCallRecvMsgSize(size), atOne: true},
	} {
		hauberktest.Matrix(t, func(t *testing.T, m hauberktest.Case) {
			got := make(chan error, 1)
			look := hauberk.Must(hauberk.New(hauberk.Func(
				func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					return hauberk.Observe(ctx, call, next, func(err error) { got <- err })
				})))
			setup := hauberktest.Setup{Backend: &hauberktest.Backend{Handle: c.handle}, Kind: m.Kind}
			if setup.Server = look; m.Side == hauberk.ClientSide {
				setup.Server, setup.Client = nil, look
			}
			if c.server != nil {
				setup.ServerOptions = append(setup.ServerOptions, c.server)
			}
			if c.client != nil {
				setup.DialOptions = append(setup.DialOptions, grpc.WithDefaultCallOptions(c.client))
			}
			out := hauberktest.Start(t, setup).Call(t.Context(), c.text)
			if !hauberk.MessageTooLarge(out.Err) {
				t.Errorf("%s: the client gets %v", c.name, out.Err)
			}
			if m.Side == hauberk.ServerSide && (c.atOne || c.maySend && !m.Kind.ServerStreams()) {
				return
			}
			if err := <-got; !hauberk.MessageTooLarge(err) {
				t.Errorf("%s: the outcome is %v", c.name, err)
			}
		})
	}
}

// Other implementations have other texts. A status with another code, and a rejection, are none of them.
func TestMessageTooLargeTexts(t *testing.T) {
	for text, want := range map[string]bool{
		"Received message larger than max (2000 vs. 1000)":              true, // gRPC Core
		"CLIENT: Sent message larger than max (2000 vs. 1000)":          true,
		"gRPC message exceeds maximum size 1000: 2000":                  true, // grpc-java
		"Received message exceeds the maximum configured message size.": true, // .NET
		"message size 2000 is larger than configured max 1000":          true, // connect-go
		"Too many calls in flight":                                      false,
		"quota exceeded":                                                false,
	} {
		if got := hauberk.MessageTooLarge(status.Error(codes.ResourceExhausted, text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
		if hauberk.MessageTooLarge(status.Error(codes.Internal, text)) {
			t.Errorf("INTERNAL: %s", text)
		}
	}
	if hauberk.MessageTooLarge(nil) || hauberk.MessageTooLarge(hauberk.Reject(codes.ResourceExhausted, "X", "message too large")) {
		t.Error("no error, or a rejection")
	}
}
