package authzext_test

import (
	"context"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authz/authzext"
	"github.com/hauberk-rpc/hauberk/internal/metadatakey"
)

// wire is a connection whose answer is given in protobuf.
type wire struct {
	hauberktest.Conn

	answer []byte
}

func (w wire) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	if err := proto.Unmarshal(w.answer, reply.(proto.Message)); err != nil {
		return grpc.ErrServerStopped
	}
	return nil
}

// FuzzAnswer: for each answer of a service, a handler runs only if the answer says so without a
// contradiction, and sees no metadata that a service must not set. FailOpen does not change that.
func FuzzAnswer(f *testing.F) {
	for _, v := range answers() {
		encoded, err := proto.Marshal(v.resp)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Add([]byte{0xff})
	for _, h := range []*corev3.HeaderValueOption{appended("x-user", "a", true), header("x-own", "a", 1), header("x-sent", "a", 3)} {
		encoded, err := proto.Marshal(setting(h))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		var seen metadata.MD
		inner := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			seen, _ = metadata.FromIncomingContext(ctx)
			return next(ctx, call)
		})
		x := authzext.New(authzext.Config{Conn: wire{answer: encoded}, OwnHeaders: []string{"x-own"}, SendBody: true})
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(":authority", "me", "x-sent", "1", "x-own", "spoofed"))
		stream := new(hauberktest.TransportStream)
		err := serveCall(t, hauberk.Config{}, grpc.NewContextWithServerTransportStream(ctx, stream), x, inner)

		resp := new(authv3.CheckResponse)
		malformed := proto.Unmarshal(encoded, resp) != nil
		says := resp.GetStatus().GetCode() == 0 && (resp.GetStatus() != nil || resp.GetOkResponse() != nil) &&
			resp.GetDeniedResponse() == nil && resp.GetErrorResponse() == nil
		switch {
		case seen == nil && hauberk.CodeOf(err) == codes.OK:
			t.Fatalf("%v: the call ended with OK without its handler", resp)
		case seen != nil && (malformed || !says):
			t.Fatalf("%v: the handler ran", resp)
		case seen != nil:
			checkSeen(t, seen, resp)
		}
		checkLegal(t, stream.Header)
		checkLegal(t, stream.Trailer)
	})
}

// checkSeen checks the metadata of an allowed call.
func checkSeen(t *testing.T, seen metadata.MD, resp *authv3.CheckResponse) {
	t.Helper()
	if len(seen[":authority"]) != 1 || seen[":authority"][0] != "me" {
		t.Fatalf("%v: authority %q", resp, seen[":authority"])
	}
	delete(seen, ":authority")
	for _, value := range seen["x-own"] {
		if value == "spoofed" && !strings.Contains(resp.String(), "spoofed") {
			t.Fatalf("%v: the client's own value survives", resp)
		}
	}
	checkLegal(t, seen)
}

func checkLegal(t *testing.T, md metadata.MD) {
	t.Helper()
	for key, values := range md {
		if !metadatakey.Legal(key) || metadatakey.Reserved(key) {
			t.Fatalf("the key %q is set", key)
		}
		for _, value := range values {
			if !metadatakey.LegalValue(key, value) {
				t.Fatalf("%s is %q", key, value)
			}
		}
	}
}
