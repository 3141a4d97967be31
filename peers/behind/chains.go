package behind

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/recovery"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
	"github.com/hauberk-rpc/hauberk/interceptors/retry"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

// The environment variables that the package reads.
const (
	ChainVar   = "HAUBERK_PEERS_CHAIN"
	AddressVar = "HAUBERK_PEERS_ADDRESS"
	UsedVar    = "HAUBERK_PEERS_USED"
)

// The chains that a test process can run with.
const (
	// Bare is grpc-go without a chain.
	Bare = ""
	// Empty is a chain without interceptors, put in with Chain.ServerOptions,
	// Chain.Registrar and Chain.DialOptions.
	Empty = "empty"
	// Wrapped is a chain without interceptors, put in with Chain.Registrar and
	// Chain.ClientConn alone.
	Wrapped = "wrapped"
	// Hooks is an interceptor with hooks that pass every message, with ExposeErrors.
	Hooks = "hooks"
	// Builtin is the built-in interceptors, configured to let every call pass, with
	// ExposeErrors.
	Builtin = "builtin"
	// Gateway is a gateway.Gateway with an empty chain in front of a bare server.
	Gateway = "gateway"
	// Frames is as Gateway, with the transport that forwards frames.
	Frames = "frames"
)

// Chains returns the names of all chains but Bare.
func Chains() []string { return []string{Empty, Wrapped, Hooks, Builtin, Gateway, Frames} }

// setup is what the environment asks for.
type setup struct {
	name           string
	server, client *hauberk.Chain // nil without one
}

var current = sync.OnceValue(func() setup {
	return newSetup(os.Getenv(ChainVar))
})

func newSetup(name string) setup {
	if name != Bare && !slices.Contains(Chains(), name) {
		panic(fmt.Sprintf("%s is %q; want one of %q", ChainVar, name, Chains()))
	}
	if name == Bare || isGateway(name) {
		return setup{name: name}
	}
	used()
	var config hauberk.Config
	if name == Hooks || name == Builtin {
		config.ExposeErrors, config.CountBytes = true, name == Builtin
	}
	return setup{
		name:   name,
		server: hauberk.Must(config.New(interceptors(name, hauberk.ServerSide)...)),
		client: hauberk.Must(config.New(interceptors(name, hauberk.ClientSide)...)),
	}
}

// isGateway reports whether a chain is a gateway in front of servers.
func isGateway(name string) bool { return name == Gateway || name == Frames }

// used leaves a mark that a chain, or a gateway, was made.
func used() {
	if file := os.Getenv(UsedVar); file != "" {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			panic(err)
		}
	}
}

func interceptors(name string, side hauberk.Side) []hauberk.Interceptor {
	switch name {
	case Hooks:
		return []hauberk.Interceptor{hauberk.Func(passAll)}
	case Builtin:
		return builtin(side)
	default:
		return nil
	}
}

// passAll has everything that makes a chain do work, and changes nothing.
func passAll(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	call.CaptureMetadata()
	call.OnReceive(func(any) (bool, error) { return true, nil })
	call.OnSend(func(msg any, emit func(any) error) error { return emit(msg) })
	return next(ctx, call)
}

// builtin returns the interceptors that need nothing of a call, in a usual order.
func builtin(side hauberk.Side) []hauberk.Interceptor {
	quiet := slog.New(slog.NewJSONHandler(io.Discard, nil))
	list := []hauberk.Interceptor{
		// Without NoEcho every response has a header, which grpc-go's own retries take
		// for the beginning of a response.
		requestid.New(requestid.Config{NoEcho: true}),
		tracing.New(tracing.Config{MessageEvents: true, ClientPeer: true},
			tracing.WithTracerProvider(trace.NewTracerProvider())),
		metrics.New(metrics.Config{ExactMessages: true, Decisions: true, CountBytes: true}),
		logging.New(logging.Config{Start: true, Messages: true, Decisions: true, ClientErrors: true, ClientPeer: true},
			logging.WithLogger(quiet), logging.State("request_id", requestid.Key)),
		recovery.New(recovery.Config{}, recovery.WithLogger(quiet)),
		transform.New(transform.Config{}),
	}
	if side == hauberk.ServerSide {
		return append(list, ratelimit.New(ratelimit.Config{Limit: math.MaxInt32, Per: time.Second}))
	}
	return append(list,
		breaker.New(breaker.Config{FailureThreshold: math.MaxInt32}),
		// No code is retried, but what a retry would send again is kept.
		retry.New(retry.Config{AllMethods: true, RetryableStatusCodes: []codes.Code{}, MaxReplayBytes: 1 << 20}),
	)
}
