package hauberk_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	channelzpb "google.golang.org/grpc/channelz/grpc_channelz_v1"
	channelz "google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// xdsServer is a server of another type, as that of grpc's xds package, with
// nothing but RegisterService.
type xdsServer struct{ srv *grpc.Server }

func (x xdsServer) RegisterService(desc *grpc.ServiceDesc, impl any) {
	x.srv.RegisterService(desc, impl)
}

// tellingServer also returns its services.
type tellingServer struct{ xdsServer }

func (s tellingServer) GetServiceInfo() map[string]grpc.ServiceInfo { return s.srv.GetServiceInfo() }

// carrier is a way in which a chain is put on a server.
type carrier struct {
	name string
	// make returns the server, and where its services are registered.
	make func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar)
	// headerFirst says that unary calls reach the chain before their body.
	headerFirst bool
	// options says that the chain has the server's options: unknown methods
	// reach it, and of stream interceptors only the plain one is outside.
	options bool
}

var carriers = []carrier{
	{"NewServer", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := c.NewServer(opts...)
		return srv.Server, srv
	}, true, true},
	{"Registrar", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := grpc.NewServer(opts...)
		return srv, c.Registrar(srv)
	}, true, false},
	{"Registrar of an xDS server", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := grpc.NewServer(opts...)
		return srv, c.Registrar(xdsServer{srv})
	}, true, false},
	{"ServerOptions", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := grpc.NewServer(c.ServerOptions(opts...)...)
		return srv, srv
	}, false, true},
	{"ServerOptions and Registrar", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := grpc.NewServer(c.ServerOptions(opts...)...)
		return srv, c.Registrar(srv)
	}, true, true},
	{"Registrar of Registrar", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := grpc.NewServer(opts...)
		return srv, c.Registrar(c.Registrar(srv))
	}, true, false},
	{"Registrar of NewServer", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := c.NewServer(opts...)
		return srv.Server, c.Registrar(c.Registrar(srv))
	}, true, true},
	{"NewServer with the options too", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := c.NewServer(c.ServerOptions(opts...)...)
		return srv.Server, c.Registrar(srv)
	}, true, true},
	{"another chain outside", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := idleChain(1).NewServer(c.ServerOptions(opts...)...)
		return srv.Server, c.Registrar(srv)
	}, true, true},
	{"another chain inside", func(c *hauberk.Chain, opts ...grpc.ServerOption) (*grpc.Server, grpc.ServiceRegistrar) {
		srv := c.NewServer(opts...)
		return srv.Server, idleChain(1).Registrar(srv)
	}, true, true},
}

// carry starts a server that carries a chain, with the test service, and connects
// to it without a chain.
func carry(t *testing.T, c carrier, chain *hauberk.Chain, backend *hauberktest.Backend, opts ...grpc.ServerOption) (*grpc.ClientConn, *grpc.Server) {
	t.Helper()
	srv, registrar := c.make(chain, opts...)
	testpb.RegisterTestServiceServer(registrar, backend)
	return listenAndServe(t, srv, bufconn.Listen(1<<20)), srv
}

// listenAndServe serves a listener, in memory or not, until the test ends, and connects to
// it.
func listenAndServe(t *testing.T, srv interface {
	Serve(lis net.Listener) error
	Stop()
}, lis net.Listener, opts ...grpc.DialOption,
) *grpc.ClientConn {
	t.Helper()
	stop := hauberktest.Serve(t, srv, lis)
	conn := dial(t, lis, opts...)
	t.Cleanup(func() {
		stop()
	})
	return conn
}

func dial(t *testing.T, lis net.Listener, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	target := "passthrough:///" + lis.Addr().String()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	if mem, ok := lis.(*bufconn.Listener); ok {
		opts = append(opts, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return mem.DialContext(ctx) }))
	}
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// echo calls a method of a kind with two requests, or one, and returns the texts.
func echo(ctx context.Context, conn *grpc.ClientConn, kind hauberk.Kind, method string) ([]string, error) {
	stream, err := conn.NewStream(ctx, descOf(kind), method)
	if err != nil {
		return nil, err
	}
	for _, text := range []string{"a", "b"} {
		if err := stream.SendMsg(&testpb.Request{Text: text}); err != nil || !kind.ClientStreams() {
			break
		}
	}
	_ = stream.CloseSend()
	var texts []string
	for {
		resp := new(testpb.Response)
		if err := stream.RecvMsg(resp); err == io.EOF {
			return texts, nil
		} else if err != nil {
			return texts, err
		}
		if texts = append(texts, resp.GetText()); !kind.ServerStreams() {
			return texts, nil
		}
	}
}

// patient is a context that gives up long after a call should have ended.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func rejectAll(context.Context, *hauberk.Call, hauberk.Next) error {
	return hauberk.Reject(codes.ResourceExhausted, "TOO_MANY", "too many")
}

// matrixOf runs a test for each carrier and kind.
func matrixOf(t *testing.T, test func(t *testing.T, c carrier, kind hauberk.Kind)) {
	for _, c := range carriers {
		for _, kind := range allKinds {
			t.Run(c.name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				test(t, c, kind)
			})
		}
	}
}

// TestRejectedOnHeaders opens calls and sends nothing: the rejection comes all the
// same. With the options alone a unary call is not seen before its body came.
func TestRejectedOnHeaders(t *testing.T) {
	matrixOf(t, func(t *testing.T, c carrier, kind hauberk.Kind) {
		var runs atomic.Int64
		chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			runs.Add(1)
			return rejectAll(ctx, call, next)
		})))
		conn, srv := carry(t, c, chain, &hauberktest.Backend{})
		ctx, cancel := context.WithCancel(patient(t))
		defer cancel()
		stream, err := conn.NewStream(ctx, descOf(kind), hauberktest.FullMethod(kind))
		if err != nil {
			t.Fatal(err)
		}
		if kind == hauberk.Unary && !c.headerFirst {
			cancel()
			wantCode(t, stream.RecvMsg(new(testpb.Response)), codes.Canceled)
			srv.GracefulStop()
			if got := runs.Load(); got != 0 {
				t.Errorf("the chain ran %d times before the body was there", got)
			}
			return
		}
		err = stream.RecvMsg(new(testpb.Response))
		wantCode(t, err, codes.ResourceExhausted)
		if got := hauberk.Reason(err); got != "TOO_MANY" {
			t.Errorf("reason %q", got)
		}
	})
}

// rawCodec sends bytes as they are, under the name of protobuf's codec.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

var _ encoding.Codec = rawCodec{}

var malformed = []byte{0xff}

// TestMalformedBody sends what is not protobuf: a rejection on the headers comes
// before it was read.
func TestMalformedBody(t *testing.T) {
	matrixOf(t, func(t *testing.T, c carrier, kind hauberk.Kind) {
		chain := hauberk.Must(hauberk.New(hauberk.Func(rejectAll)))
		conn, _ := carry(t, c, chain, &hauberktest.Backend{})
		stream, err := conn.NewStream(patient(t), descOf(kind), hauberktest.FullMethod(kind), grpc.ForceCodec(rawCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SendMsg(&malformed)
		_ = stream.CloseSend()
		want := codes.ResourceExhausted
		if kind == hauberk.Unary && !c.headerFirst {
			want = codes.Internal // decoded first, as before any interceptor of grpc-go
		}
		wantCode(t, stream.RecvMsg(new([]byte)), want)
	})
}

// TestOwnInterceptors gives servers their own interceptors: each runs once, as
// the chain does, at the place that the documentation names.
func TestOwnInterceptors(t *testing.T) {
	matrixOf(t, func(t *testing.T, c carrier, kind hauberk.Kind) {
		var j journal
		unary := func(name string) grpc.UnaryServerInterceptor {
			return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				j.add(name)
				return handler(ctx, req)
			}
		}
		stream := func(name string) grpc.StreamServerInterceptor {
			return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				j.add(name)
				return handler(srv, ss)
			}
		}
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			j.add("handler")
			return hauberktest.Echo(ctx, s)
		}}
		conn, srv := carry(t, c, hauberk.Must(hauberk.New(j.tag("chain"))), backend,
			grpc.UnaryInterceptor(unary("plain")), grpc.ChainUnaryInterceptor(unary("chained 1"), unary("chained 2")),
			grpc.StreamInterceptor(stream("plain")), grpc.ChainStreamInterceptor(stream("chained 1"), stream("chained 2")))
		texts, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "responses", texts, wantTexts(kind, "a", "b"))
		srv.GracefulStop()
		equal(t, "journal", j.all(), slices.Concat(ownOrder(c, kind), []string{"handler", "chain out OK"}))
	})
}

func ownOrder(c carrier, kind hauberk.Kind) []string {
	switch {
	case kind == hauberk.Unary && c.headerFirst:
		return []string{"chain in", "plain", "chained 1", "chained 2"}
	case c.options:
		return []string{"plain", "chain in", "chained 1", "chained 2"}
	default:
		return []string{"plain", "chained 1", "chained 2", "chain in"}
	}
}

// unknownMethods are dispatched by grpc-go and served by no one.
var unknownMethods = []string{
	"/hauberk.test.v1.TestService/Missing", "/no one.Home/Get", "/no one.Home/", "//Get", "//a/b", "/a/b/c", "/*/*",
}

// TestUnknownMethods calls methods that no one serves: the chain sees them, as not
// known, and has its say before the UNIMPLEMENTED.
func TestUnknownMethods(t *testing.T) {
	rejected := metadata.Pairs("reject", "yes")
	matrixOf(t, func(t *testing.T, c carrier, kind hauberk.Kind) {
		var j journal
		chain := hauberk.Must(hauberk.New(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			m := call.Method()
			if m.Known() || m.Descriptor() != nil || m.Kind() != hauberk.Bidi || !strings.HasPrefix(m.FullName(), "/"+m.Service()+"/") ||
				!strings.HasSuffix(m.FullName(), "/"+m.Name()) {
				j.add("wrong")
			}
			j.add(m.FullName())
			if call.Metadata(ctx, "reject") != nil {
				return rejectAll(ctx, call, next)
			}
			return next(ctx, call)
		})))
		conn, srv := carry(t, c, chain, &hauberktest.Backend{})
		var want []string
		for _, method := range unknownMethods {
			_, err := echo(patient(t), conn, kind, method)
			wantCode(t, err, codes.Unimplemented)
			_, err = echo(metadata.NewOutgoingContext(patient(t), rejected), conn, kind, method)
			if !c.options {
				wantCode(t, err, codes.Unimplemented)
				continue
			}
			wantCode(t, err, codes.ResourceExhausted)
			want = append(want, method, method)
		}
		srv.GracefulStop()
		equal(t, "journal", j.all(), want)
	})
}

// TestMalformedMethod calls names that grpc-go itself rejects.
func TestMalformedMethod(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for _, method := range []string{"no one.Home/Get", "/", "/Get", ""} {
		var j journal
		conn, srv := carry(t, carriers[0], hauberk.Must(hauberk.New(j.tag("chain"))), &hauberktest.Backend{})
		_, err := echo(patient(t), conn, hauberk.Unary, method)
		wantCode(t, err, codes.Unimplemented)
		srv.GracefulStop()
		equal(t, "journal of "+method, j.all(), nil)
	}
}

// TestUnknownServiceHandler keeps the caller's own handler of unknown services, as
// a proxy has one, behind the chain.
func TestUnknownServiceHandler(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			var j journal
			proxy := grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
				if err := stream.RecvMsg(new(testpb.Request)); err != nil {
					return err
				}
				return stream.SendMsg(&testpb.Response{Text: "proxied"})
			})
			srv := hauberk.Must(hauberk.New(j.tag("chain"))).NewServer(proxy)
			conn := listenAndServe(t, srv, bufconn.Listen(1<<20))
			texts, err := echo(patient(t), conn, kind, "/no one.Home/Get")
			wantCode(t, err, codes.OK)
			equal(t, "responses", texts, []string{"proxied"})
			srv.GracefulStop()
			equal(t, "journal", j.all(), []string{"chain in", "chain out OK"})
		})
	}
}

// TestTransports serves calls of all kinds over each way to carry HTTP/2.
func TestTransports(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, srv *hauberk.Server) *grpc.ClientConn{
		"bufconn": func(t *testing.T, srv *hauberk.Server) *grpc.ClientConn {
			return listenAndServe(t, srv, bufconn.Listen(1<<20))
		},
		"TCP":           func(t *testing.T, srv *hauberk.Server) *grpc.ClientConn { return listenAndServe(t, srv, listen(t)) },
		"ServeHTTP TLS": serveTLS,
		"ServeHTTP h2c": serveH2C,
	} {
		for _, kind := range allKinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				hauberktest.CheckLeaks(t)
				var j journal
				tagged := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
					if call.Peer() == nil {
						j.add("no peer")
					}
					if err := call.SetHeader(metadata.Pairs("x-interceptor", "in")); err != nil {
						return err
					}
					return next(ctx, call)
				})
				srv := hauberk.Must(hauberk.New(j.tag("chain"), tagged)).NewServer()
				testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
				conn := start(t, srv)
				texts, err := echo(patient(t), conn, kind, hauberktest.FullMethod(kind))
				wantCode(t, err, codes.OK)
				equal(t, "responses", texts, wantTexts(kind, "a", "b"))
				_, err = echo(patient(t), conn, kind, "/no one.Home/Get")
				wantCode(t, err, codes.Unimplemented)
				srv.Stop()
				equal(t, "journal", j.all(), []string{"chain in", "chain out OK", "chain in", "chain out Unimplemented"})
			})
		}
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

func serveTLS(t *testing.T, srv *hauberk.Server) *grpc.ClientConn {
	web := httptest.NewUnstartedServer(srv)
	web.EnableHTTP2 = true
	web.StartTLS()
	t.Cleanup(web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	creds := credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS13})
	return dial(t, web.Listener, grpc.WithTransportCredentials(creds))
}

func serveH2C(t *testing.T, srv *hauberk.Server) *grpc.ClientConn {
	web := httptest.NewUnstartedServer(srv)
	web.Config.Protocols = new(http.Protocols)
	web.Config.Protocols.SetUnencryptedHTTP2(true)
	web.Start()
	t.Cleanup(web.Close)
	return dial(t, web.Listener)
}

// TestReflection lists and describes services through grpc's reflection service,
// for servers of each type that returns its services.
func TestReflection(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for name, registrar := range map[string]func(c *hauberk.Chain, srv *grpc.Server) reflection.GRPCServer{
		"Registrar": func(c *hauberk.Chain, srv *grpc.Server) reflection.GRPCServer { return c.Registrar(srv) },
		"Registrar of an xDS server": func(c *hauberk.Chain, srv *grpc.Server) reflection.GRPCServer {
			return c.Registrar(tellingServer{xdsServer{srv}})
		},
		"plain server with options": func(_ *hauberk.Chain, srv *grpc.Server) reflection.GRPCServer { return srv },
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			chain := hauberk.Must(hauberk.New(j.tag("chain")))
			srv := grpc.NewServer(chain.ServerOptions()...)
			reg := registrar(chain, srv)
			testpb.RegisterTestServiceServer(reg, &hauberktest.Backend{})
			reflection.Register(reg)
			describe(t, listenAndServe(t, srv, bufconn.Listen(1<<20)))
			srv.GracefulStop()
			equal(t, "journal", j.all(), []string{"chain in", "chain out OK"})
		})
	}
	t.Run("NewServer", func(t *testing.T) {
		srv := idleChain(1).NewServer()
		testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
		reflection.Register(srv)
		describe(t, listenAndServe(t, srv, bufconn.Listen(1<<20)))
	})
	if info := idleChain(0).Registrar(xdsServer{}).GetServiceInfo(); info != nil {
		t.Errorf("a server that does not return its services has %v", info)
	}
}

// describe asks for the services, and for the file of the test service.
func describe(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(req *reflectionpb.ServerReflectionRequest) *reflectionpb.ServerReflectionResponse {
		if err := stream.Send(req); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	list := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	var names []string
	for _, s := range list.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	equal(t, "services", names, []string{"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection", "hauberk.test.v1.TestService"})
	files := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: names[2]}})
	var file descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(files.GetFileDescriptorResponse().GetFileDescriptorProto()[0], &file); err != nil {
		t.Fatal(err)
	}
	if got := len(file.GetService()[0].GetMethod()); got != 4 {
		t.Errorf("the service has %d methods, want 4", got)
	}
	_ = stream.CloseSend()
	if _, err := stream.Recv(); err != io.EOF {
		t.Error(err)
	}
}

// TestHealth checks and watches through grpc's health service.
func TestHealth(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var j journal
	state := health.NewServer()
	env := hauberktest.Start(t, hauberktest.Setup{
		Server:   hauberk.Must(hauberk.New(j.tag("chain"))),
		Register: func(srv *hauberk.Server) { healthpb.RegisterHealthServer(srv, state) },
	})
	client := healthpb.NewHealthClient(env.Conn)
	resp, err := client.Check(patient(t), &healthpb.HealthCheckRequest{})
	if err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(resp, err)
	}
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
		resp, err := watch.Recv()
		if err != nil || resp.GetStatus() != want {
			t.Fatalf("%v, %v; want %v", resp, err, want)
		}
		state.Shutdown()
	}
	cancel()
	_, err = watch.Recv()
	wantCode(t, err, codes.Canceled)
	env.Server.GracefulStop()
	equal(t, "journal", j.all(), []string{"chain in", "chain out OK", "chain in", "chain out Canceled"})
}

// TestChannelz asks grpc's channelz service for the servers.
func TestChannelz(t *testing.T) {
	hauberktest.CheckLeaks(t)
	var j journal
	env := hauberktest.Start(t, hauberktest.Setup{
		Server:   hauberk.Must(hauberk.New(j.tag("chain"))),
		Register: func(srv *hauberk.Server) { channelz.RegisterChannelzServiceToServer(srv) },
	})
	servers, err := channelzpb.NewChannelzClient(env.Conn).GetServers(patient(t), &channelzpb.GetServersRequest{})
	if err != nil || len(servers.GetServer()) == 0 {
		t.Error(servers, err)
	}
	env.Server.GracefulStop()
	equal(t, "journal", j.all(), []string{"chain in", "chain out OK"})
}

// TestServerLimits reads the limits from the server's HTTP/2 settings: a chain sets
// none, ServerLimits does, and the program's own options win.
func TestServerLimits(t *testing.T) {
	for _, tc := range []struct {
		name                string
		opts                []grpc.ServerOption
		streams, headerList uint32
	}{
		{"grpc-go's", nil, 0, 0},
		{"ServerLimits", hauberk.ServerLimits(), 100, 64 << 10},
		{"the caller's", append(hauberk.ServerLimits(), grpc.MaxConcurrentStreams(7), grpc.MaxHeaderListSize(1<<20)), 7, 1 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			lis := bufconn.Listen(1 << 20)
			listenAndServe(t, idleChain(0).NewServer(tc.opts...), lis)
			conn, err := lis.DialContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, http2.ClientPreface)
			framer := http2.NewFramer(conn, conn)
			_ = framer.WriteSettings()
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			settings := frame.(*http2.SettingsFrame)
			if got, _ := settings.Value(http2.SettingMaxConcurrentStreams); got != tc.streams {
				t.Errorf("%d streams, want %d", got, tc.streams)
			}
			if got, _ := settings.Value(http2.SettingMaxHeaderListSize); got != tc.headerList {
				t.Errorf("%d bytes of headers, want %d", got, tc.headerList)
			}
		})
	}
}

// TestHeaderListsOfProxies: with ServerLimits, the largest header list that Envoy forwards by
// default passes, and the other calls of its connection go on. One above the limit closes
// the connection.
func TestHeaderListsOfProxies(t *testing.T) {
	const envoyBytes, envoyHeaders, perHeader = 60 << 10, 100, 32
	if most := envoyBytes + envoyHeaders*perHeader; hauberk.DefaultMaxHeaderListSize < most {
		t.Errorf("the limit is %d; Envoy forwards lists of %d", hauberk.DefaultMaxHeaderListSize, most)
	}
	for name, c := range map[string]struct {
		token int
		goes  bool
	}{
		"Envoy's default": {token: envoyBytes, goes: true},
		"above the limit": {token: 3 * hauberk.DefaultMaxHeaderListSize},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			lis := bufconn.Listen(1 << 20)
			srv := idleChain(0).NewServer(hauberk.ServerLimits()...)
			testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
			listenAndServe(t, srv, lis)
			conn, err := lis.DialContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, http2.ClientPreface)
			framer := http2.NewFramer(conn, conn)
			_ = framer.WriteSettings()
			writeHeaders(framer, 1, hauberk.Bidi, "")
			writeHeaders(framer, 3, hauberk.Unary, strings.Repeat("{", c.token))
			_ = framer.WriteData(3, true, make([]byte, 5))
			ended := map[uint32]bool{}
			for !ended[3] {
				frame, err := framer.ReadFrame()
				if err != nil {
					break // the connection is closed
				}
				if h, ok := frame.(*http2.HeadersFrame); ok && h.StreamEnded() {
					ended[h.StreamID] = true
				}
			}
			if ended[3] != c.goes || ended[1] {
				t.Errorf("calls that ended with a status: %v; want that with the token: %t", ended, c.goes)
			}
		})
	}
}

// writeHeaders begins a call with a token, in as many frames as its headers need.
func writeHeaders(framer *http2.Framer, stream uint32, kind hauberk.Kind, token string) {
	var b bytes.Buffer
	encoder := hpack.NewEncoder(&b)
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", hauberktest.FullMethod(kind)},
		{":authority", "test"},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
		{"authorization", token},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true})
	}
	const most = 16 << 10 // in a frame
	block := b.Next(most)
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: b.Len() == 0})
	for b.Len() > 0 {
		block = b.Next(most)
		_ = framer.WriteContinuation(stream, b.Len() == 0, block)
	}
}

// guardian is an interceptor that says that it authenticates.
type guardian struct{ hauberk.Func }

func (guardian) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "guardian", Authenticates: true}
}

// TestServeNeedsCoverage: Serve fails if no interceptor authenticates a method.
func TestServeNeedsCoverage(t *testing.T) {
	hauberktest.CheckLeaks(t)
	chain := hauberk.Must(hauberk.New(hauberk.For("hauberk.test.v1.TestService/Unary", guardian{idle})))
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	lis := bufconn.Listen(1)
	err := srv.Serve(lis)
	if err == nil || !strings.Contains(err.Error(), "/hauberk.test.v1.TestService/Bidi") || strings.Contains(err.Error(), "TestService/Unary") {
		t.Errorf("Serve: %v", err)
	}
	if _, err := lis.Accept(); err == nil {
		t.Error("the listener is still open")
	}
	srv.Stop()
}

// TestNilCarriers panics with what is wrong, when the program starts.
func TestNilCarriers(t *testing.T) {
	var none *hauberk.Chain
	var server *grpc.Server
	for name, start := range map[string]func(){
		"NewServer":               func() { none.NewServer() },
		"ServerOptions":           func() { none.ServerOptions() },
		"Registrar":               func() { none.Registrar(grpc.NewServer()) },
		"UnaryServerInterceptor":  func() { none.UnaryServerInterceptor() },
		"StreamServerInterceptor": func() { none.StreamServerInterceptor() },
		"nil server":              func() { idleChain(0).Registrar(nil) },
		"nil *grpc.Server":        func() { idleChain(0).Registrar(server) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "hauberk: ") {
					t.Errorf("panic %q", text)
				}
			}()
			start()
		})
	}
}
