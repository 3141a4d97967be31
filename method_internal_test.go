package hauberk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
)

// randomMethod returns a name that no one registered.
func randomMethod() string {
	return fmt.Sprintf("/service.n%d/Method%d", rand.Int(), rand.Int())
}

// TestUnknownMethodsAreNotKept calls thousands of unknown methods over the wire:
// what a chain remembers does not grow with what callers make up.
func TestUnknownMethodsAreNotKept(t *testing.T) {
	const calls = 2_000
	var unknown int
	chain := Must(New(
		For("a.B/*", Func(passOn)),
		Except("a.B/C", Func(func(ctx context.Context, call *Call, next Next) error {
			if !call.Method().Known() {
				unknown++
			}
			return next(ctx, call)
		})),
	))
	srv := chain.NewServer()
	lis := bufconn.Listen(1 << 16)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	for range calls {
		err := conn.Invoke(t.Context(), randomMethod(), &emptypb.Empty{}, &emptypb.Empty{})
		if status.Code(err) != codes.Unimplemented {
			t.Fatalf("an unknown method ended as %v", err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	srv.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if unknown != calls {
		t.Errorf("the chain ran for %d unknown methods, want %d", unknown, calls)
	}
	if got := sizes(chain); got != "plans 1, routes 0" {
		t.Errorf("after %d unknown methods the chain keeps %s", calls, got)
	}
}

// sizes writes how much each map of a chain holds.
func sizes(c *Chain) string {
	routes := 0
	if known := c.routes.Load(); known != nil {
		routes = known.len()
	}
	return fmt.Sprintf("plans %d, routes %d", len(c.plans), routes)
}

// TestChainHasNoOtherMemory fails when a field is added that these tests do not
// look at.
func TestChainHasNoOtherMemory(t *testing.T) {
	for _, part := range []struct {
		of     reflect.Type
		fields []string
	}{
		{reflect.TypeFor[Chain](), []string{"definition", "at", "origin", "mu", "plans", "routes", "target", "warned"}},
		{reflect.TypeFor[definition](), []string{
			"entries", "public", "policy", "domain", "exposeErrors", "countBytes", "trusted", "trustsUnix", "drain",
		}},
		{reflect.TypeFor[attachments](), []string{
			"what", "current", "wraps", "intercepts", "changing", "attached", "uncounted", "mu",
			"drains",     // of servers
			"slots",      // of known methods of servers
			"registered", // services and methods of servers, before they serve
		}},
	} {
		for f := range part.of.Fields() {
			if !slices.Contains(part.fields, f.Name) {
				t.Errorf("%v has a field %s: can it grow with what callers send?", part.of, f.Name)
			}
		}
	}
}

// TestClientRoutesAreBounded calls more methods than a client's chain remembers;
// those it does remember, and those it does not, run their interceptors.
func TestClientRoutesAreBounded(t *testing.T) {
	var ran int
	count := Func(func(_ context.Context, call *Call, _ Next) error {
		ran++
		return call.Reply(&emptypb.Empty{})
	})
	chain := Must(New(For("a.B/*", Func(passOn)), Except("a.B/C", count)))
	invoke := chain.UnaryClientInterceptor()
	call := func(method string) {
		t.Helper()
		if err := invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	first := chain.clientRoute("/a.B/D", Unary)
	for range 2 * maxRoutes {
		call(randomMethod())
	}
	if ran != 2*maxRoutes {
		t.Errorf("the interceptor ran %d times, want %d", ran, 2*maxRoutes)
	}
	if got, want := sizes(chain), fmt.Sprintf("plans 2, routes %d", maxRoutes); got != want {
		t.Errorf("the chain keeps %s, want %s", got, want)
	}
	if again := chain.clientRoute("/a.B/D", Unary); again != first {
		t.Error("a method that was called early is forgotten")
	}
	if other := chain.clientRoute("/a.B/D", Bidi); other == first {
		t.Error("kinds share a route")
	}
	if r := chain.clientRoute("a.B/D", Unary); r.method.known {
		t.Error("a name that gRPC cannot route is kept")
	}
}
