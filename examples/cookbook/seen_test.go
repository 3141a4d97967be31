package cookbook_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter"
	"github.com/hauberk-rpc/hauberk/examples/internal/greeter/greeterpb"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/audit"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/fault"
	"github.com/hauberk-rpc/hauberk/interceptors/forward"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/report"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

// plain writes records without time and duration, so that the output is always the same.
func plain(keys ...string) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if slices.Contains(keys, a.Key) {
				return a
			}
			return slog.Attr{}
		},
	}))
}

// Each record of a call has the user and the tenant.
func logged(logger *slog.Logger) hauberk.Interceptor {
	return logging.New(logging.Config{},
		logging.WithLogger(logger), logging.State("user", authn.User), logging.State("tenant", Tenant))
}

func Example_log() {
	server := greeter.Serve(&greeter.Service{},
		logged(plain("rpc.method", "rpc.response.status_code", "user", "tenant")), tokens, tenants("acme"))
	greet(with("authorization", "Bearer token-of-ada", "x-tenant", "acme"), server.Client(), "Ada")
	server.Stop()
	// Output:
	// rpc.method=hauberk.examples.greeter.v1.Greeter/Greet rpc.response.status_code=OK user=ada tenant=acme
}

// The request ID of an incoming call, and the tenant, travel on outgoing calls.
func outgoing() []hauberk.Interceptor {
	return []hauberk.Interceptor{
		requestid.New(requestid.Config{}),
		forward.New(forward.Config{Metadata: []string{"x-tenant"}}),
	}
}

func Example_forward() {
	second := greeter.Serve(&greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		return s.Send(&greeterpb.HelloReply{Text: requestid.FromContext(ctx) + " for " + Tenant.Or(ctx, "no tenant")})
	}}, requestid.New(requestid.Config{}), tenants("acme"))
	onward := second.Client(outgoing()...)
	first := greeter.Serve(&greeter.Service{Handle: func(ctx context.Context, s greeter.Stream) error {
		return s.Send(&greeterpb.HelloReply{Text: greet(ctx, onward, "Ada")})
	}}, requestid.New(requestid.Config{}))
	fmt.Println(greet(with("x-request-id", "order-17", "x-tenant", "acme"), first.Client(), "Ada"))
	first.Stop()
	second.Stop()
	// Output:
	// order-17 for acme
}

// A panic is an INTERNAL for the client and an incident for the team.
func reported(send func(ctx context.Context, i report.Incident)) []hauberk.Interceptor {
	return []hauberk.Interceptor{
		report.New(report.Config{}, send),
		recovery.New(recovery.Config{}, recovery.WithLogger(slog.New(slog.DiscardHandler))),
	}
}

func Example_report() {
	incidents := make(chan string, 1)
	server := greeter.Serve(&greeter.Service{Handle: func(context.Context, greeter.Stream) error { panic("no greeting") }},
		reported(func(_ context.Context, i report.Incident) { incidents <- fmt.Sprint(i.Method, " panicked: ", i.Panic) })...)
	fmt.Println(greet(with(), server.Client(), "Ada"))
	fmt.Println(<-incidents)
	server.Stop()
	// Output:
	// Internal "internal error"
	// hauberk.examples.greeter.v1.Greeter/Greet panicked: true
}

// Who called what, with which name: stored before the response leaves, or the call fails.
func audited(sink audit.Sink) hauberk.Interceptor { // audit.OpenFile makes a file with fsync
	return audit.New(audit.Config{
		Requests: []audit.Request{{Methods: []string{greetMethod}, Fields: []string{"name", "phone"}}},
	}, sink)
}

func Example_audit() {
	sink := audit.SinkFunc(func(_ context.Context, r audit.Record) error {
		fmt.Println(r.Who.Subject, r.Method, r.Code, r.Request)
		return nil
	})
	server := greeter.Serve(&greeter.Service{}, audited(sink), tokens)
	client := server.Client()
	request := &greeterpb.HelloRequest{Name: "Ada", Phone: "555"}
	_, err := client.Greet(with("authorization", "Bearer token-of-ada"), request)
	greeter.Check(err)
	_, _ = client.Greet(context.Background(), request)
	server.Stop()
	// Output:
	// ada hauberk.examples.greeter.v1.Greeter/Greet OK map[name:Ada phone:[redacted]]
	//  hauberk.examples.greeter.v1.Greeter/Greet Unauthenticated map[]
}

// Calls are counted by tenant. Place it inside of tenants, which bounds the values.
var counts = metrics.New(metrics.Config{}, metrics.WithLabel("tenant",
	func(ctx context.Context, _ *hauberk.Call) string { return Tenant.Or(ctx, "none") }))

func Example_metrics() {
	server := greeter.Serve(&greeter.Service{}, tenants("acme"), counts)
	client := server.Client()
	for _, tenant := range []string{"acme", "acme", "umbra"} {
		greet(with("x-tenant", tenant), client, "Ada")
	}
	server.Stop()
	series := counts.Series()
	for i := range series {
		s := &series[i]
		fmt.Println(s.Method, s.Labels, "OK:", s.Handled[codes.OK])
	}
	// Output:
	// Greet [acme] OK: 2
}

// In a test environment one call in three of this method fails, always the same ones.
var faults = fault.New(fault.Config{Seed: 7, Rules: []fault.Rule{{
	Methods: []string{"hauberk.examples.greeter.v1.Greeter/Greet"}, Percentage: 33,
	Abort: &fault.Abort{Code: codes.Unavailable},
}}})

func Example_fault() {
	server := greeter.Serve(&greeter.Service{}, faults)
	client := server.Client()
	for range 4 {
		fmt.Println(greet(with(), client, "Ada"))
	}
	server.Stop()
	// Output:
	// Unavailable "Fault injected" FAULT_INJECTED
	// Hello, Ada
	// Hello, Ada
	// Unavailable "Fault injected" FAULT_INJECTED
}

// One line each in the tests of a service.
func TestChain(t *testing.T) {
	chain := hauberk.Must(hauberk.Config{Public: []string{hauberk.Health}}.New(
		logged(slog.New(slog.DiscardHandler)), tokens, rules))
	server := chain.NewServer()
	greeterpb.RegisterGreeterServer(server, &greeter.Service{})

	hauberktest.Covered(t, chain, server)
	hauberktest.Ordered(t, chain, hauberk.ServerSide)
}
