// Command shop is a complete service to copy: a server and a client with chains, own
// interceptor, authentication, limits, logs, metrics, traces and graceful shutdown.
//
//	shop         runs a server and a client in one process, makes calls and ends
//	shop serve   runs the server until SIGINT or SIGTERM
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/examples/shop/shoppb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := demo
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		run = serve
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1) //nolint:gocritic // the process ends: stop has nothing to release
	}
}

// serve runs the server until ctx is done.
func serve(ctx context.Context) error {
	flags := flag.NewFlagSet("shop serve", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:50051", "`address` of the service")
	scrape := flags.String("metrics", "127.0.0.1:9464", "`address` of /metrics for Prometheus")
	jwks := flags.String("jwks", "", "`file` with the issuer's public keys; without it the server prints a token")
	_ = flags.Parse(os.Args[2:]) // ExitOnError

	keys, err := loadKeys(*jwks)
	if err != nil {
		return err
	}
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(os.Stderr)) // in production OTLP: otlptracegrpc
	if err != nil {
		return err
	}
	spans := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	registry := prometheus.NewRegistry()
	out := telemetry{log: slog.New(slog.NewJSONHandler(os.Stderr, nil)), metrics: registry, spans: spans}
	chain, err := serverChain(out, policy{keys: keys, tenants: tenants{"acme", "umbra"}, perUser: 100})
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	scraped := &http.Server{
		Addr: *scrape, Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: time.Second,
	}
	go func() {
		if err := scraped.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			out.log.Error("no metrics", "error", err)
		}
	}()
	srv := newServer(chain, newShop())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	fmt.Println("listening on", lis.Addr())
	select {
	case err := <-served: // such as a method that is neither public nor authenticated
		return err
	case <-ctx.Done():
	}
	// A context that is not done, for the calls that still run.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(srv.Shutdown(ctx), scraped.Shutdown(ctx), spans.Shutdown(ctx))
}

// server is a server and its health service.
type server struct {
	*hauberk.Server

	health *health.Server
}

// newServer returns a server of the shop. opts are grpc-go's own, such as grpc.Creds for TLS.
func newServer(chain *hauberk.Chain, service *shop, opts ...grpc.ServerOption) server {
	srv := server{Server: chain.NewServer(append(hauberk.ServerLimits(), opts...)...), health: health.NewServer()}
	shoppb.RegisterShopServer(srv, service)
	healthpb.RegisterHealthServer(srv, srv.health)
	reflection.Register(srv)
	return srv
}

// Shutdown reports NOT_SERVING and waits for the calls that run.
func (s server) Shutdown(ctx context.Context) error {
	s.health.Shutdown()
	return s.Server.Shutdown(ctx)
}
