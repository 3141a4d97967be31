package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/shop/shoppb"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/authz"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/validate"
)

var update = flag.Bool("update", false, "write testdata/coverage.txt")

// env is a server on a TCP socket and a client of alice.
type env struct {
	key      *jose.JSONWebKey
	log      *strings.Builder // of the server and the client; read it when both have stopped
	registry *prometheus.Registry
	srv      *hauberk.Server
	conn     *grpc.ClientConn
}

func start(t *testing.T, inner ...hauberk.Interceptor) *env {
	t.Helper()
	hauberktest.CheckLeaks(t)
	key, err := newKey()
	must(t, err)
	e := &env{key: key, log: new(strings.Builder), registry: prometheus.NewRegistry()}
	out := telemetry{slog.New(slog.NewJSONHandler(e.log, nil)), e.registry, noop.NewTracerProvider()}
	accept := policy{tokens: accepted("", publicOf(key)), tenants: tenants{"acme", "umbra"}, perUser: 20}
	e.srv, err = newServer(out, accept, inner...)
	must(t, err)
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- e.srv.Serve(lis) }()
	e.conn, err = dial(lis.Addr().String(), out, authn.StaticToken(e.token(t, claimsOf("alice", "customer", "staff"))))
	must(t, err)
	t.Cleanup(func() {
		e.stop(t)
		if err := <-served; !errors.Is(err, grpc.ErrServerStopped) { // before it served
			must(t, err)
		}
	})
	return e
}

// stop ends the client and the server. It may be called twice. t.Context is done in cleanups.
func (e *env) stop(t *testing.T) {
	t.Helper()
	_ = e.conn.Close()
	must(t, e.srv.Shutdown(context.Background()))
}

func (e *env) token(t *testing.T, of claims) string {
	t.Helper()
	token, err := sign(e.key, of)
	must(t, err)
	return token
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func acme(t *testing.T) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), tenantHeader, "acme")
}

// TestShop: calls of all kinds succeed over a socket, and the card number is in no log record.
func TestShop(t *testing.T) {
	e := start(t)
	client := shoppb.NewShopClient(e.conn)
	must(t, errors.Join(admitted(acme(t), client), list(t.Context(), client)))
	_, err := healthpb.NewHealthClient(e.conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	must(t, err)
	e.stop(t)
	if counts := handled(e.registry); len(counts) != 5 {
		t.Errorf("the server counted %q, want 5 methods", counts)
	}
	if text := e.log.String(); strings.Contains(text, "4111 1111") || !strings.Contains(text, "[redacted]") {
		t.Errorf("the log has the card number or no payload:\n%s", text)
	}
}

// TestValidation: a request that breaks a rule of shop.proto ends calls of each kind before the
// service sees it, and the client learns which field is wrong.
func TestValidation(t *testing.T) {
	e := start(t)
	client := shoppb.NewShopClient(e.conn)
	for field, call := range map[string]func() error{
		"contains": func() error {
			stream, err := client.ListItems(t.Context(), &shoppb.ListItemsRequest{Contains: strings.Repeat("x", 101)})
			must(t, err)
			_, err = stream.Recv()
			return err
		},
		"order_id": func() error {
			_, err := client.Buy(acme(t), &shoppb.BuyRequest{Item: "tea"})
			return err
		},
		"card_number": func() error {
			_, err := client.Buy(acme(t), &shoppb.BuyRequest{OrderId: "1", Item: "tea", CardNumber: "4111-1111"})
			return err
		},
		"price_cents": func() error {
			stream, err := client.Restock(acme(t))
			must(t, err)
			must(t, stream.Send(&shoppb.Item{Name: "tea", PriceCents: -1}))
			_, err = stream.CloseAndRecv()
			return err
		},
		"count": func() error {
			stream, err := client.Quote(acme(t))
			must(t, err)
			must(t, stream.Send(&shoppb.QuoteRequest{Item: "tea"}))
			_, err = stream.Recv()
			return err
		},
	} {
		err := call()
		if status.Code(err) != codes.InvalidArgument || hauberk.Reason(err) != validate.ReasonInvalidRequest {
			t.Errorf("%s: %v; want INVALID_ARGUMENT", field, err)
		}
		var fields []string
		for _, detail := range status.Convert(err).Details() {
			if bad, ok := detail.(*errdetails.BadRequest); ok {
				for _, violation := range bad.GetFieldViolations() {
					fields = append(fields, violation.GetField())
				}
			}
		}
		if !slices.Equal(fields, []string{field}) {
			t.Errorf("the violations are of %q; want %q", fields, field)
		}
	}
	must(t, list(t.Context(), client)) // nothing has changed
	e.stop(t)
	if strings.Contains(e.log.String(), "4111-1111") {
		t.Error("the log has the card number")
	}
}

// TestTokens: only tokens of the issuer for this service that have not expired are accepted.
func TestTokens(t *testing.T) {
	e := start(t)
	other, err := newKey()
	must(t, err)
	forged, err := sign(other, claimsOf("alice", "customer"))
	must(t, err)
	with := func(change func(*jwt.Claims)) string {
		of := claimsOf("alice", "customer")
		change(&of.Claims)
		return e.token(t, of)
	}
	for name, test := range map[string]struct{ token, want string }{
		"good":           {e.token(t, claimsOf("bob", "customer")), ""},
		"forged":         {forged, authn.ReasonInvalidToken},
		"no JWT":         {"nonsense", authn.ReasonInvalidToken},
		"without exp":    {with(func(c *jwt.Claims) { c.Expiry = nil }), authn.ReasonInvalidToken},
		"without sub":    {with(func(c *jwt.Claims) { c.Subject = "" }), authn.ReasonInvalidToken},
		"other audience": {with(func(c *jwt.Claims) { c.Audience = nil }), authn.ReasonInvalidToken},
		"other issuer":   {with(func(c *jwt.Claims) { c.Issuer = "x" }), authn.ReasonInvalidToken},
		"expired": {with(func(c *jwt.Claims) {
			c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour))
		}), authn.ReasonTokenExpired},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(acme(t), "authorization", "Bearer "+test.token)
			_, err := shoppb.NewShopClient(e.conn).Buy(ctx, &shoppb.BuyRequest{OrderId: "1", Item: "tea"})
			if got := hauberk.Reason(err); got != test.want || (err == nil) != (test.want == "") {
				t.Errorf("Buy returned %v with reason %q, want reason %q", err, got, test.want)
			}
		})
	}
}

// TestRules: a token must have the role that the method needs, and a suspended user may call
// nothing but public methods.
func TestRules(t *testing.T) {
	e := start(t)
	client := shoppb.NewShopClient(e.conn)
	calls := map[string]func(context.Context) error{
		"Buy": func(ctx context.Context) error {
			_, err := client.Buy(ctx, &shoppb.BuyRequest{OrderId: "1", Item: "tea"})
			return err
		},
		"Restock": func(ctx context.Context) error {
			stream, err := client.Restock(ctx)
			must(t, err)
			_, err = stream.CloseAndRecv()
			return err
		},
		"Quote": func(ctx context.Context) error {
			stream, err := client.Quote(ctx)
			must(t, errors.Join(err, stream.CloseSend()))
			if _, err = stream.Recv(); errors.Is(err, io.EOF) {
				return nil
			}
			return err
		},
		"ListItems": func(ctx context.Context) error { return list(ctx, client) },
	}
	for _, test := range []struct{ roles, allowed []string }{
		{nil, []string{"ListItems", "Quote"}},
		{[]string{"customer"}, []string{"Buy", "ListItems", "Quote"}},
		{[]string{"staff"}, []string{"ListItems", "Quote", "Restock"}},
		{[]string{"customer", "staff", "suspended"}, []string{"ListItems"}},
	} {
		token := e.token(t, claimsOf("bob", test.roles...))
		ctx := metadata.AppendToOutgoingContext(acme(t), "authorization", "Bearer "+token)
		for name, call := range calls {
			err := call(ctx)
			if slices.Contains(test.allowed, name) {
				must(t, err)
			} else if status.Code(err) != codes.PermissionDenied || hauberk.Reason(err) != authz.ReasonDenied {
				t.Errorf("%s with the roles %q: %v", name, test.roles, err)
			}
		}
	}
}

// failing returns an interceptor that fails the first calls.
func failing(first int64) (fail hauberk.Interceptor, calls *atomic.Int64) {
	calls = new(atomic.Int64)
	return hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if calls.Add(1) <= first {
			return status.Error(codes.Unavailable, "starting up")
		}
		return next(ctx, call)
	}), calls
}

// TestRetry: a client repeats calls of idempotent methods, and no others.
func TestRetry(t *testing.T) {
	fail, calls := failing(3)
	client := shoppb.NewShopClient(start(t, fail).conn)
	stream, err := client.Restock(acme(t))
	must(t, err)
	if _, err = stream.CloseAndRecv(); status.Code(err) != codes.Unavailable || calls.Load() != 1 {
		t.Errorf("Restock returned %v after %d attempts, want UNAVAILABLE after 1", err, calls.Load())
	}
	_, err = client.Buy(acme(t), &shoppb.BuyRequest{OrderId: "1", Item: "tea"})
	if err != nil || calls.Load() != 4 {
		t.Errorf("Buy returned %v after %d attempts, want nil after 3", err, calls.Load()-1)
	}
}

// TestBreaker: after five failures the client sends nothing.
func TestBreaker(t *testing.T) {
	fail, calls := failing(100)
	client := shoppb.NewShopClient(start(t, fail).conn)
	var err error
	for range 3 {
		_, err = client.Buy(acme(t), &shoppb.BuyRequest{OrderId: "1", Item: "tea"})
	}
	if !strings.Contains(hauberk.Reason(err), "BREAKER") || calls.Load() != 5 {
		t.Errorf("the last call ended with %v after %d attempts, want %v after 5", err, calls.Load(), breaker.ErrOpen)
	}
}

// TestLimits: a user has 20 calls in a minute. Public methods do not count.
func TestLimits(t *testing.T) {
	client := shoppb.NewShopClient(start(t).conn)
	for range 30 {
		must(t, list(t.Context(), client))
	}
	var admitted int
	for range 30 {
		if _, err := client.Buy(acme(t), &shoppb.BuyRequest{OrderId: "1", Item: "tea"}); err == nil {
			admitted++
		} else if got := hauberk.Reason(err); got != "RATE_LIMITED" {
			t.Fatalf("Buy returned %v with reason %q", err, got)
		}
	}
	if admitted < 20 || admitted == 30 {
		t.Errorf("admitted %d calls, want 20", admitted)
	}
}

// TestCoverage: each method that is not public is authenticated. A new method changes the
// file, so that a reviewer sees it.
func TestCoverage(t *testing.T) {
	e := start(t)
	const file = "testdata/coverage.txt"
	chain, err := serverChain(telemetry{log: slog.Default(), spans: noop.NewTracerProvider()},
		policy{tokens: accepted("", publicOf(e.key)), tenants: tenants{"acme"}, perUser: 1}, metrics.New(metrics.Config{}))
	must(t, err)
	coverage := chain.Coverage(e.srv.GetServiceInfo())
	must(t, coverage.Err())
	if *update {
		must(t, os.WriteFile(file, []byte(coverage.String()), 0o600))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got := coverage.String(); got != string(want) {
		t.Errorf("got\n%s\nwant, by %s (-update writes it),\n%s", got, file, want)
	}
}
