package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/shop/shoppb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// demo runs a server and a client in this process and prints what they do.
func demo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	key, err := newKey()
	if err != nil {
		return err
	}
	spans := tracetest.NewInMemoryExporter()
	registry := prometheus.NewRegistry()
	out := telemetry{demoLog(), registry, sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))}
	accept := policy{tokens: accepted("", publicOf(key)), tenants: tenants{"acme", "umbra"}, perUser: 4}
	srv, err := newServer(out, accept)
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()

	token, err := sign(key, claimsOf("alice", "customer", "staff"))
	if err != nil {
		return err
	}
	conn, err := dial(lis.Addr().String(), out, authn.StaticToken(token))
	if err != nil {
		return err
	}
	client := shoppb.NewShopClient(conn)
	acme := metadata.AppendToOutgoingContext(ctx, tenantHeader, "acme")
	err = errors.Join(admitted(acme, client), list(ctx, client), rejected(ctx, acme, client, key),
		conn.Close(), srv.Shutdown(ctx), <-served)
	printSpans(spans.GetSpans())
	for _, count := range handled(registry) {
		fmt.Println("counted:", count)
	}
	return err
}

// admitted makes calls of a user for a tenant.
func admitted(ctx context.Context, client shoppb.ShopClient) error {
	order, err := client.Buy(ctx, &shoppb.BuyRequest{OrderId: "1", Item: "tea", CardNumber: "4111 1111 1111 1111"})
	if err != nil {
		return err
	}
	fmt.Printf("Buy: %s of %s pays %d cents\n", order.GetUser(), order.GetTenant(), order.GetPriceCents())

	restock, err := client.Restock(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"cup", "pot"} {
		_ = restock.Send(&shoppb.Item{Name: name, PriceCents: 900, Stock: 10}) // CloseAndRecv returns the status
	}
	restocked, err := restock.CloseAndRecv()
	if err != nil {
		return err
	}
	fmt.Printf("Restock: %d items\n", restocked.GetItems())

	quotes, err := client.Quote(ctx)
	if err != nil {
		return err
	}
	_ = quotes.Send(&shoppb.QuoteRequest{Item: "cup", Count: 6}) // Recv returns the status
	_ = quotes.CloseSend()
	var prices []int64 // printed after the log record of the call
	for {
		quote, err := quotes.Recv()
		if errors.Is(err, io.EOF) {
			fmt.Printf("Quote: %d cents\n", prices)
			return nil
		} else if err != nil {
			return err
		}
		prices = append(prices, quote.GetPriceCents())
	}
}

// list calls the public method, which needs no tenant.
func list(ctx context.Context, client shoppb.ShopClient) error {
	stream, err := client.ListItems(ctx, &shoppb.ListItemsRequest{})
	if err != nil {
		return err
	}
	var names []string
	for {
		item, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			fmt.Printf("ListItems: %q\n", names)
			return nil
		} else if err != nil {
			return err
		}
		names = append(names, item.GetName())
	}
}

// rejected makes calls that the server rejects. acme is a context with a good tenant.
func rejected(ctx, acme context.Context, client shoppb.ShopClient, key *jose.JSONWebKey) error {
	expired, elsewhere := claimsOf("alice", "customer"), claimsOf("alice", "customer")
	expired.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour))
	elsewhere.Audience = jwt.Audience{"another service"}
	noCustomer, suspended := claimsOf("carol", "staff"), claimsOf("dave", "customer", "suspended")
	for _, of := range []claims{expired, elsewhere, noCustomer, suspended} {
		token, err := sign(key, of)
		if err != nil {
			return err
		}
		// The interceptor of the client keeps the authorization that a call has already.
		buy(metadata.AppendToOutgoingContext(acme, "authorization", "Bearer "+token), client)
	}
	buy(ctx, client) // without a tenant
	for range 2 {
		buy(acme, client) // more calls than alice may make
	}
	return nil
}

func buy(ctx context.Context, client shoppb.ShopClient) {
	_, err := client.Buy(ctx, &shoppb.BuyRequest{OrderId: "1", Item: "tea"})
	fmt.Println("Buy:", status.Code(err), hauberk.Reason(err))
}

// printSpans prints the trace of the first call: the spans of the server, of the attempt
// and of the call of the client.
func printSpans(spans tracetest.SpanStubs) {
	for i := range spans {
		if spans[i].SpanContext.TraceID() == spans[0].SpanContext.TraceID() {
			fmt.Println("span:", spans[i].SpanKind, spans[i].Name)
		}
	}
}

// handled returns how many calls the server has handled, by code and method.
func handled(registry *prometheus.Registry) (counts []string) {
	families, _ := registry.Gather()
	for _, family := range families {
		if family.GetName() != "grpc_server_handled_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			var values []string
			for _, label := range m.GetLabel() {
				if slices.Contains([]string{"grpc_method", "grpc_code"}, label.GetName()) {
					values = append(values, label.GetValue())
				}
			}
			if n := m.GetCounter().GetValue(); n > 0 {
				counts = append(counts, fmt.Sprint(values, " ", n))
			}
		}
	}
	return counts
}

// demoLog writes the attributes that are equal in each run.
func demoLog() *slog.Logger {
	shown := []string{
		slog.MessageKey, logging.KeySide, logging.KeyMethod, logging.KeyStatusCode, logging.KeyReason,
		logging.KeyPayload, "user", "tenant",
	}
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if !slices.Contains(shown, a.Key) {
				return slog.Attr{}
			}
			return a
		},
	}))
}
