package policies_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
)

// transport has the credentials of a server.
type transport = credentials.TransportCredentials

// limit bounds a call.
const limit = time.Minute

// world runs calls against a policy. The service under the policy calls another one, the upstream, through
// the chain for
// the client, and returns what it returns.
type world struct {
	t        *testing.T
	methods  map[string]hauberk.Kind
	callers  *callers
	upstream *upstream
}

// place says where the chains of a policy run.
type place func(w *world, server *hauberk.Chain, service []grpc.ServiceDesc, creds transport) string

// inProcess runs the server's chain in the server.
func inProcess(w *world, chain *hauberk.Chain, service []grpc.ServiceDesc, creds transport) string {
	lis := listen(w.t)
	srv := chain.NewServer(grpc.Creds(creds))
	for i := range service {
		srv.RegisterService(&service[i], nil)
	}
	w.t.Cleanup(hauberktest.Serve(w.t, srv, lis))
	return lis.Addr().String()
}

// behind returns a place where the server's chain runs in a gateway in front of a server without a chain.
func behind(kind gateway.Transport) place {
	return func(w *world, chain *hauberk.Chain, service []grpc.ServiceDesc, creds transport) string {
		back := listen(w.t)
		srv := grpc.NewServer()
		for i := range service {
			srv.RegisterService(&service[i], nil)
		}
		w.t.Cleanup(hauberktest.Serve(w.t, srv, back))
		g, err := gateway.New(gateway.Config{Upstream: back.Addr().String(), Chain: chain, Transport: kind})
		if err != nil {
			w.t.Fatal(err)
		}
		front := listen(w.t)
		address := front.Addr().String()
		if creds.Info().SecurityProtocol == "tls" {
			front = w.callers.listenTLS(front)
		}
		w.t.Cleanup(hauberktest.Serve(w.t, g, front))
		return address
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return lis
}

// run makes the calls of a case at a place and compares the outcome.
func (w *world) run(p *policy.Policy, client *hauberk.Chain, at place, c *policytest.Case) {
	w.t.Helper()
	conn := w.dial(w.upstream.address, insecure.NewCredentials(), client.DialOptions())
	address := at(w, p.Server(), services(w.methods, conn), w.callers.server(c))
	for i := range c.Before {
		w.last(address, &c.Before[i])
	}
	err := w.last(address, &c.Call)
	if code, reason := status.Code(err), hauberk.Reason(err); code != c.Want.Code || c.Want.HasReason && reason != c.Want.Reason {
		w.t.Errorf("the call ends with %v, reason %q: %v; want %v, reason %q",
			code, reason, err, c.Want.Code, c.Want.Reason)
	}
	if got := w.upstream.attempts(); c.Want.Attempts >= 0 && got != c.Want.Attempts {
		w.t.Errorf("%d calls reached the upstream; want %d", got, c.Want.Attempts)
	}
}

// last makes a call as often as it says, and returns the error of the last one.
func (w *world) last(address string, c *policytest.Call) (err error) {
	w.t.Helper()
	w.upstream.answer(c.Upstream)
	creds, md := w.callers.client(w.t, c)
	conn := w.dial(address, creds, nil)
	for key, values := range c.Metadata {
		md.Append(key, values...)
	}
	for range c.Calls {
		w.upstream.begin()
		ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(w.t.Context(), md), limit)
		err = exchange(ctx, conn, c.Method, c.Kind)
		cancel()
	}
	return err
}

func (w *world) dial(address string, creds credentials.TransportCredentials, opts []grpc.DialOption) *grpc.ClientConn {
	w.t.Helper()
	conn, err := grpc.NewClient(address, append(slices.Clone(opts), grpc.WithTransportCredentials(creds))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// exchange makes a call with one request, and reads it to its end.
func exchange(ctx context.Context, conn *grpc.ClientConn, method string, kind hauberk.Kind) error {
	if kind == hauberk.Unary {
		return conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	}
	desc := &grpc.StreamDesc{
		ClientStreams: kind != hauberk.ServerStream, ServerStreams: kind != hauberk.ClientStream,
	}
	stream, err := conn.NewStream(ctx, desc, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&emptypb.Empty{}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		err := stream.RecvMsg(&emptypb.Empty{})
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case kind == hauberk.ClientStream:
			return nil
		}
	}
}

// services returns the services that have the methods. Each method calls the one with the same name at conn.
func services(methods map[string]hauberk.Kind, conn *grpc.ClientConn) []grpc.ServiceDesc {
	byName := make(map[string]*grpc.ServiceDesc)
	for _, method := range slices.Sorted(maps.Keys(methods)) {
		service, name, _ := strings.Cut(method[1:], "/")
		if byName[service] == nil {
			byName[service] = &grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil)}
		}
		addMethod(byName[service], method, name, methods[method], conn)
	}
	var all []grpc.ServiceDesc
	for _, service := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, *byName[service])
	}
	return all
}

func addMethod(desc *grpc.ServiceDesc, method, name string, kind hauberk.Kind, conn *grpc.ClientConn) {
	if kind == hauberk.Unary {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: unary(method, conn)})
		return
	}
	desc.Streams = append(desc.Streams, grpc.StreamDesc{
		StreamName:    name,
		ClientStreams: kind != hauberk.ServerStream, ServerStreams: kind != hauberk.ClientStream,
		Handler: func(_ any, stream grpc.ServerStream) error {
			for {
				err := stream.RecvMsg(&emptypb.Empty{})
				if errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					return err
				}
				if kind == hauberk.ServerStream {
					break
				}
			}
			if err := exchange(stream.Context(), conn, method, kind); err != nil {
				return err
			}
			return stream.SendMsg(&emptypb.Empty{})
		},
	})
}

// unary returns the handler of a unary method, as generated code has it.
func unary(method string, conn *grpc.ClientConn) grpc.MethodHandler {
	return func(
		srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
	) (any, error) {
		request := &emptypb.Empty{}
		if err := decode(request); err != nil {
			return nil, err
		}
		handler := func(ctx context.Context, _ any) (any, error) {
			return &emptypb.Empty{}, exchange(ctx, conn, method, hauberk.Unary)
		}
		if interceptor == nil {
			return handler(ctx, request)
		}
		return interceptor(ctx, request, &grpc.UnaryServerInfo{Server: srv, FullMethod: method}, handler)
	}
}

// upstream is a service with all methods that ends calls with given codes.
type upstream struct {
	address string

	mu    sync.Mutex
	codes []codes.Code
	calls int // of all calls
	since int // of the last call
}

// newUpstream starts an upstream for the time of the test.
func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	lis := listen(t)
	u.address = lis.Addr().String()
	srv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		if code := u.next(); code != codes.OK {
			return status.Error(code, "by the upstream")
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
	t.Cleanup(hauberktest.Serve(t, srv, lis))
	return u
}

// answer sets the codes of the next calls. The last one is repeated.
func (u *upstream) answer(all []codes.Code) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.codes, u.calls = all, 0
}

// begin starts counting for attempts.
func (u *upstream) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.since = 0
}

func (u *upstream) attempts() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.since
}

func (u *upstream) next() codes.Code {
	u.mu.Lock()
	defer u.mu.Unlock()
	code := codes.OK
	if n := len(u.codes); n > 0 {
		code = u.codes[min(u.calls, n-1)]
	}
	u.calls++
	u.since++
	return code
}

// casesOf returns the cases of a policy.
func casesOf(t *testing.T, path string) []policytest.Case {
	t.Helper()
	cases, err := policytest.Load(strings.TrimSuffix(path, filepath.Ext(path)) + ".cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return cases
}
