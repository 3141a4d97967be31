// Command shop is a complete service to copy: a server and a client with chains, own
// interceptor, authentication, authorization, limits, logs, metrics, traces and graceful shutdown.
//
//	shop                     runs a server and a client in one process, makes calls and ends
//	shop serve -jwks file    runs the server until SIGINT or SIGTERM
//	shop serve -dev          the same with a new key; it prints a call with a token
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
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/hauberk-rpc/hauberk"
)

// The steps of a shutdown. They end before `docker stop` kills the process, after 10 s.
const (
	noticeTime = 2 * time.Second // load balancers see NOT_SERVING and send no new calls
	drainTime  = 5 * time.Second // calls end
	cancelTime = time.Second / 2 // streams that were ended, and then calls that were cancelled, return
	flushTime  = 2 * time.Second // exporters send what they have
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 0:
		return demo(context.Background())
	case args[0] == "serve":
		return serve(args[1:])
	default:
		return fmt.Errorf("unknown command %q\nusage: shop, or shop serve [flags]; see shop serve -help", args[0])
	}
}

// serve runs the server until a signal arrives or serving fails.
func serve(args []string) error {
	flags := flag.NewFlagSet("shop serve", flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:50051", "`address` of the service")
	scrape := flags.String("metrics", "127.0.0.1:9464", "`address` of /metrics for Prometheus")
	jwks := flags.String("jwks", "", "`file` with the issuer's public keys")
	dev := flags.Bool("dev", false, "make a key, and print a call with a token")
	notice := flags.Duration("notice", noticeTime, "how long calls are still accepted after SIGTERM")
	drain := flags.Duration("drain", drainTime, "how long running calls may take after that")
	_ = flags.Parse(args) // ExitOnError
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	tokens, token, err := trusted(*jwks, *dev)
	if err != nil {
		return err
	}
	defer tokens.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	spans, err := newSpans(ctx)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	out := telemetry{log: slog.New(slog.NewJSONHandler(os.Stderr, nil)), metrics: registry, spans: spans}
	srv, err := newServer(out, policy{
		tokens: tokens, tenants: tenants{"acme", "umbra"}, perUser: 100,
		drain: hauberk.Drain{Notice: *notice, Grace: *drain}, // clients repeat streams that end, on other servers
	})
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	scraped, err := net.Listen("tcp", *scrape)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: time.Second}

	failed := make(chan error, 2)
	go func() { failed <- srv.Serve(lis) }() // such as a method that is neither public nor authenticated
	go func() { failed <- web.Serve(scraped) }()
	fmt.Printf("listening on %s\nmetrics on http://%s/metrics\n", lis.Addr(), scraped.Addr())
	if *dev {
		fmt.Printf("grpcurl -plaintext -H 'x-tenant: acme' -H 'authorization: Bearer %s' "+
			"-d '{\"order_id\": \"1\", \"item\": \"tea\"}' %s %s\n", token, lis.Addr(), buyMethod)
	}
	select {
	case err = <-failed:
		*notice, *drain = 0, 0
	case <-ctx.Done():
		stop() // a second signal ends the process at once
	}
	// ctx may be done: each step has a fresh context, so that the last one always has time.
	accepts := *notice + *drain
	within(accepts+cancelTime, func(ctx context.Context) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			within(accepts+cancelTime/2, func(ctx context.Context) {
				if err := srv.Shutdown(ctx); err != nil { // NOT_SERVING first
					out.log.Warn("calls were cancelled", "error", err, "running", srv.Running())
				}
			})
			srv.Stop() // waits for the handlers of cancelled calls (WaitForHandlers)
		}()
		select {
		case <-ended:
		case <-ctx.Done(): // a handler ignores that its call was cancelled
		}
	})
	within(flushTime, func(ctx context.Context) {
		err = errors.Join(err, spans.Shutdown(ctx), web.Shutdown(ctx))
	})
	return err
}

func within(limit time.Duration, step func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	step(ctx)
}

// newSpans returns a provider that writes spans to the standard error.
func newSpans(ctx context.Context) (*sdktrace.TracerProvider, error) {
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(os.Stderr)) // in production OTLP: otlptracegrpc
	if err != nil {
		return nil, err
	}
	// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES replace these attributes.
	of, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "shop")), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(of)), nil
}
