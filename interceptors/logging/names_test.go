package logging_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
)

// No attribute has a name that programs give to attributes of their loggers: each name
// is in a line once.
func TestKeysOnce(t *testing.T) {
	names := []string{
		"service", "method", "side", "kind", "code", "error", "reason", "peer", "duration", "sent", "received",
		"panic", "stack", "type", "size", "payload",
	}
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error { panic("bomb") }}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var buf bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
		for _, name := range names {
			log = log.With(name, "checkout")
		}
		config := logging.Config{Start: true, Payloads: logging.Payloads{On: true}, ClientErrors: true, ClientPeer: true}
		env := c.StartWith(t, backend, logging.New(config, logging.WithLogger(log)),
			recovery.New(recovery.Config{}, recovery.WithLogger(log)), pass)
		if c.Side == hauberk.ClientSide {
			env = c.Start(t, logging.New(config, logging.WithLogger(log)))
		}
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		lines := strings.Split(strings.TrimSuffix(buf.String(), "\n"), "\n")
		if len(lines) < 3 {
			t.Errorf("%d lines, want those of the start, of messages and of the end", len(lines))
		}
		for _, line := range lines {
			for _, name := range names {
				if n := strings.Count(line, `"`+name+`":"`); n != 1 {
					t.Errorf("%s is there %d times in %s", name, n, line)
				}
			}
		}
	})
}

var pass = hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })

// Any name can be replaced, "-" leaves an attribute out, and the other names stay.
func TestNames(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		config := logging.Config{Names: logging.Names{Service: "svc", Received: "in", Duration: "-", System: "-"}}
		env := c.Start(t, logging.New(config, j.option(), logging.State("service", requestID)))
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		check(t, j.only(t), map[string]any{
			"svc": service1, "in": 1.0, logging.KeySent: 1.0, logging.KeyKind: c.Kind.String(),
			logging.KeyService: nil, logging.KeyReceived: nil, logging.KeyDuration: nil, logging.KeySystem: nil,
		})
	})
}

// With "-" for every name a record has no attributes at all.
func TestNoNames(t *testing.T) {
	var names logging.Names
	v := reflect.ValueOf(&names).Elem()
	for _, field := range v.Fields() {
		field.SetString("-")
	}
	config := logging.Config{
		Names: names, Start: true, Payloads: logging.Payloads{On: true}, ClientErrors: true, ClientPeer: true,
		Decisions: true, Metadata: logging.Metadata{Request: true, Response: true},
		Identity: logging.Identity{On: true},
	}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		env := c.Start(t, logging.New(config, j.option()), decider{"authz", true})
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		for _, r := range j.records(t) {
			if len(r) != 3 { // time, level and msg
				t.Errorf("logged %v", r)
			}
		}
	})
}

// The names of go-grpc-middleware have the values that it logs under them.
func TestMiddlewareNames(t *testing.T) {
	backend := &hauberktest.Backend{Handle: func(context.Context, hauberktest.Stream) error {
		return status.Error(codes.NotFound, "no such cart")
	}}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		config := logging.Config{Names: logging.MiddlewareNames(), ClientErrors: true, ClientPeer: true}
		env := c.StartWith(t, backend, logging.New(config, j.option()))
		_ = env.Call(t.Context())
		env.Server.GracefulStop()
		_, method, _ := strings.Cut(hauberktest.FullMethod(c.Kind)[1:], "/")
		record := j.only(t)
		check(t, record, map[string]any{
			"protocol": "grpc", "grpc.component": c.Side.String(), "grpc.service": service1, "grpc.method": method,
			"grpc.method_type": c.Kind.String(), "grpc.code": "NotFound", "grpc.error": "no such cart",
			"peer.address": "bufconn", "grpc.sent": record["grpc.sent"], "grpc.received": record["grpc.received"],
		})
		for name := range record {
			if strings.HasPrefix(name, "rpc.") || strings.HasPrefix(name, "network.") {
				t.Errorf("the record has %s", name)
			}
		}
	})
}

// A server behind a trusted proxy logs where the call comes from, and the proxy.
func TestClientAddress(t *testing.T) {
	proxy := netip.MustParseAddrPort("10.0.0.7:443")
	for _, test := range []struct {
		trusted string
		want    any
	}{{"10.0.0.0/8", "192.0.2.1"}, {"172.16.0.0/12", nil}} {
		j := newJournal()
		chain := hauberk.Must(hauberk.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix(test.trusted)}}.New(
			logging.New(logging.Config{}, j.option())))
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: net.TCPAddrFromAddrPort(proxy)})
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("x-forwarded-for", "192.0.2.1"))
		_, err := chain.UnaryServerInterceptor()(ctx, "request", &grpc.UnaryServerInfo{FullMethod: "/s/m"},
			func(context.Context, any) (any, error) { return "response", nil })
		if err != nil {
			t.Fatal(err)
		}
		check(t, j.only(t), map[string]any{
			logging.KeyPeerAddress: "10.0.0.7", logging.KeyPeerPort: 443.0, logging.KeyClientAddress: test.want,
		})
	}
}
