package hauberk_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
)

// TestWrongSide: a chain with an interceptor for one side cannot be attached to the other,
// however that is done, and Lint names the interceptor.
func TestWrongSide(t *testing.T) {
	for side, sides := range map[hauberk.Side]hauberk.Sides{
		hauberk.ServerSide: hauberk.OnlyClients, hauberk.ClientSide: hauberk.OnlyServers,
	} {
		misplaced := declare(hauberk.Declaration{Name: "misplaced", Sides: sides})
		for form, x := range map[string]hauberk.Interceptor{
			"plain": misplaced, "in For": hauberk.For("*", misplaced), "in When": hauberk.When(always, misplaced),
			"named":    hauberk.Named("misplaced", declare(hauberk.Declaration{Sides: sides})),
			"declared": hauberk.Declare(hauberk.Func(idle), hauberk.Declaration{Name: "misplaced", Sides: sides}),
			"shadowed": hauberk.Shadow(declare(hauberk.Declaration{Name: "misplaced", Sides: sides, Decides: true})),
		} {
			chain := hauberk.Must(hauberk.New(hauberk.Func(idle), x))
			if f := chain.Lint(side); len(f) != 1 || f[0].Outer != "misplaced" || !strings.Contains(f[0].Message, "works only on") {
				t.Errorf("%s, %s: Lint finds %+v", side, form, f)
			}
			for way, attach := range attachments(chain, side) {
				func() {
					defer func() {
						text, _ := recover().(string)
						if !strings.Contains(text, way) || !strings.Contains(text, "misplaced (interceptor 2") {
							t.Errorf("%s, %s, %s: panic %q", side, form, way, text)
						}
					}()
					attach()
				}()
			}
		}
		right := hauberk.Must(hauberk.New(misplaced))
		for _, attach := range attachments(right, hauberk.ClientSide-side) {
			attach()
		}
	}
}

// attachments are the ways to attach a chain to a side, by the names of the methods.
func attachments(chain *hauberk.Chain, side hauberk.Side) map[string]func() {
	if side == hauberk.ClientSide {
		return map[string]func(){
			"DialOptions":             func() { chain.DialOptions() },
			"ClientConn":              func() { chain.ClientConn(hauberktest.Conn{}) },
			"UnaryClientInterceptor":  func() { chain.UnaryClientInterceptor() },
			"StreamClientInterceptor": func() { chain.StreamClientInterceptor() },
		}
	}
	return map[string]func(){
		"NewServer":               func() { chain.NewServer() },
		"ServerOptions":           func() { chain.ServerOptions() },
		"Registrar":               func() { chain.Registrar(grpc.NewServer()) },
		"UnaryServerInterceptor":  func() { chain.UnaryServerInterceptor() },
		"StreamServerInterceptor": func() { chain.StreamServerInterceptor() },
	}
}

// TestDeclare: a function gets state, phase and authentication, which the order proof and
// the coverage proof use.
func TestDeclare(t *testing.T) {
	token := hauberk.Declare(hauberk.Func(idle), hauberk.Declaration{
		Name: "token", Phase: hauberk.PhaseAuthn, Writes: []hauberk.StateKey{userKey}, Authenticates: true, Decides: true,
	})
	limit := hauberk.Declare(hauberk.Func(idle), hauberk.Declaration{Name: "limit", Reads: []hauberk.StateKey{userKey}})
	if _, err := hauberk.New(limit, token); err == nil || !strings.Contains(err.Error(), "limit reads the state") {
		t.Errorf("limit outside of token: %v", err)
	}
	chain := hauberk.Must(hauberk.New(token, limit, hauberk.Named("other", hauberk.Shadow(token))))
	if cov := chain.Coverage(shop); !cov.Authenticates || !cov.Rows[0].Authenticated {
		t.Errorf("coverage %+v", cov)
	}
	e, err := chain.Explain("a.B/C")
	if err != nil || e.Steps[0].Interceptor != "token" || e.Steps[2].Interceptor != "other" || e.Steps[0].Phase != hauberk.PhaseAuthn {
		t.Errorf("steps %+v, %v", e.Steps, err)
	}
	own := declare(hauberk.Declaration{Name: "own", Phase: hauberk.PhaseLimit, Sides: hauberk.OnlyServers, Err: errLimit})
	if _, err := hauberk.New(hauberk.Declare(own, hauberk.Declaration{Phase: hauberk.PhaseAuthz})); err == nil ||
		!strings.Contains(err.Error(), "own: limit is -1") {
		t.Errorf("an interceptor's own error is lost: %v", err)
	}
}

// TestOneOfAPhase: New reports a second interceptor for request ids, recovery or
// authentication, unless no call runs both.
func TestOneOfAPhase(t *testing.T) {
	for _, phase := range []hauberk.Phase{hauberk.PhaseRequestID, hauberk.PhaseRecovery, hauberk.PhaseAuthn} {
		of := func(name string, sides hauberk.Sides) hauberk.Interceptor {
			return declare(hauberk.Declaration{
				Name: name, Phase: phase, Sides: sides, Decides: true, Writes: []hauberk.StateKey{userKey},
			})
		}
		one, two := of("one", hauberk.BothSides), of("two", hauberk.BothSides)
		_, err := hauberk.New(one, hauberk.Func(idle), two)
		if err == nil || !strings.Contains(err.Error(), "two: the chain has another interceptor for "+phase.String()+", one (interceptor 1)") {
			t.Errorf("%s: %v", phase, err)
		}
		for name, good := range map[string][]hauberk.Interceptor{
			"other methods":  {hauberk.For("a.B/*", one), hauberk.Except("a.B/*", two)},
			"one in shadow":  {one, hauberk.Shadow(two)},
			"conditions":     {hauberk.When(always, one), hauberk.When(sometimes, two)},
			"opposite sides": {of("one", hauberk.OnlyServers), of("two", hauberk.OnlyClients)},
		} {
			if _, err := hauberk.New(good...); err != nil {
				t.Errorf("%s, %s: %v", phase, name, err)
			}
		}
	}
	metrics := func() hauberk.Interceptor { return declare(hauberk.Declaration{Phase: hauberk.PhaseMetrics}) }
	if _, err := hauberk.New(metrics(), metrics()); err != nil {
		t.Errorf("metrics of calls and of attempts: %v", err)
	}
}

// TestLateHooks: a hook that is registered after the last next ends the call with an error
// that names its interceptor; one that is registered for another attempt does not.
func TestLateHooks(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		for hook, register := range map[string]func(*hauberk.Call){
			"send":    func(call *hauberk.Call) { call.OnSend(func(m any, emit func(any) error) error { return emit(m) }) },
			"receive": func(call *hauberk.Call) { call.OnReceive(func(any) (bool, error) { return true, nil }) },
		} {
			late := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				register(call)
				err := next(ctx, call)
				register(call)
				return err
			})
			out := c.Start(t, hauberk.Func(idle), hauberk.Named("forgetful", late)).Call(t.Context())
			wantCode(t, out.Err, codes.Internal)
			if !strings.Contains(out.Err.Error(), "forgetful registered a hook after next") {
				t.Errorf("%s hook: %v", hook, out.Err)
			}
		}
	})
}

// TestUnmatchedPatterns: Coverage and Serve report a pattern that matches no method, except
// those of services that a server may do without.
func TestUnmatchedPatterns(t *testing.T) {
	chain := hauberk.Must(hauberk.Config{Public: []string{hauberk.Health, hauberk.Reflection, "shop.v1.Crat/Get"}}.New(
		hauberk.For([]string{"shop.v1.Cart/*", "shop.v1.Cart/Put", "shop.*"}, hauberk.Func(idle)),
		hauberk.Except("shop.v2.*", hauberk.For("*", hauberk.Func(idle))),
	))
	cov := chain.Coverage(shop)
	equal(t, "unmatched", cov.Unmatched, []string{`Config.Public("shop.v1.Crat/Get")`, `For("shop.v1.Cart/Put")`, `Except("shop.v2.*")`})
	if err := cov.Err(); err == nil || !strings.Contains(err.Error(), `no method of the server matches Config.Public("shop.v1.Crat/Get"), For`) {
		t.Errorf("Err is %v", err)
	}
	if text := cov.String(); !strings.Contains(text, "For(\"shop.v1.Cart/Put\") matches no method\n") {
		t.Errorf("coverage:\n%s", text)
	}
	if err := chain.Coverage(nil).Err(); err != nil {
		t.Errorf("without services: %v", err)
	}
	srv := hauberk.Must(hauberk.New(hauberk.For("hauberk.test.v1.TestServices/*", hauberk.Func(idle)))).NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	if err := srv.Serve(bufconn.Listen(1)); err == nil || !strings.Contains(err.Error(), "TestServices") {
		t.Errorf("Serve: %v", err)
	}
}

// TestCoverageHoweverServed: no way of serving serves a method that the chain leaves open.
func TestCoverageHoweverServed(t *testing.T) {
	open := hauberk.Must(hauberk.New(hauberk.For("hauberk.test.v1.TestService/Bidi", authn("authn"))))
	unknown := grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		t.Error("an unknown method was served")
		return stream.SendMsg(&testpb.Response{})
	})
	for name, start := range map[string]func(impl testpb.TestServiceServer) *grpc.Server{
		"ServerOptions and Registrar": func(impl testpb.TestServiceServer) *grpc.Server {
			srv := grpc.NewServer(open.ServerOptions()...)
			testpb.RegisterTestServiceServer(open.Registrar(srv), impl)
			return srv
		},
		"ServerOptions alone": func(impl testpb.TestServiceServer) *grpc.Server {
			srv := grpc.NewServer(open.ServerOptions()...)
			testpb.RegisterTestServiceServer(srv, impl)
			return srv
		},
		"Registrar alone": func(impl testpb.TestServiceServer) *grpc.Server {
			srv := grpc.NewServer()
			testpb.RegisterTestServiceServer(open.Registrar(srv), impl)
			return srv
		},
		"UnknownServiceHandler": func(testpb.TestServiceServer) *grpc.Server {
			return grpc.NewServer(open.ServerOptions(unknown)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			srv := start(&hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
				t.Error("an open method was served")
				return nil
			}})
			lis := bufconn.Listen(1 << 16)
			go func() { _ = srv.Serve(lis) }()
			defer srv.Stop()
			conn := dialListener(t, lis)
			defer conn.Close()
			_, err := testpb.NewTestServiceClient(conn).Unary(t.Context(), &testpb.Request{})
			if got := hauberk.CodeOf(err); got != codes.Internal && got != codes.Unimplemented {
				t.Errorf("%v; want INTERNAL or UNIMPLEMENTED", err)
			}
		})
	}
}

// TestShutdown: a server waits for its calls, and ends them when the context does.
func TestShutdown(t *testing.T) {
	for name, patient := range map[string]bool{"waits": true, "gives up": false} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			entered, release := make(chan struct{}), make(chan struct{})
			srv := hauberk.Must(hauberk.New()).NewServer()
			testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
				close(entered)
				select {
				case <-release:
					return s.Send(&testpb.Response{})
				case <-ctx.Done():
					return ctx.Err()
				}
			}})
			lis := bufconn.Listen(1 << 16)
			served, called := make(chan error, 1), make(chan error, 1)
			go func() { served <- srv.Serve(lis) }()
			conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() {
				_, err := testpb.NewTestServiceClient(conn).Unary(context.WithoutCancel(t.Context()), &testpb.Request{})
				called <- err
			}()
			<-entered
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if patient {
				close(release)
			} else {
				cancel()
			}
			err = srv.Shutdown(ctx)
			if patient {
				wantCode(t, <-called, codes.OK)
			} else {
				wantCode(t, <-called, codes.Unavailable)
			}
			if (err == nil) != patient || <-served != nil {
				t.Errorf("Shutdown returned %v", err)
			}
		})
	}
}
