package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// callMethod makes a unary call of a method through a client's chain.
func callMethod(t *testing.T, chain *hauberk.Chain, method string) {
	t.Helper()
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	err := chain.UnaryClientInterceptor()(t.Context(), method, "request", new(string), nil, invoke)
	if err != nil {
		t.Fatal(err)
	}
}

func textTo(w io.Writer) Option {
	return WithLogger(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// A client may call any number of methods. The data that is kept is bounded, and each
// record has its own method.
func TestMethodsAreBounded(t *testing.T) {
	x := New(Config{}, textTo(io.Discard))
	chain := hauberk.Must(hauberk.New(x))
	for i := range 2*methodtable.DefaultLimit + 10 {
		callMethod(t, chain, fmt.Sprintf("/pkg.Service/Method%d", i))
		if i == 9 && (x.methods.known.Len() != 10 || x.methods.named.Len() != 10) {
			t.Errorf("%d and %d kept of 10 methods", x.methods.known.Len(), x.methods.named.Len())
		}
	}
	if known, named := x.methods.known.Len(), x.methods.named.Len(); known > methodtable.DefaultLimit || named > methodtable.DefaultLimit {
		t.Errorf("%d and %d kept, want at most %d", known, named, methodtable.DefaultLimit)
	}
}

// If each call has a new hauberk.Method, as with the sidecar's routes, calls of the same
// name still share their data.
func TestMethodsShareByName(t *testing.T) {
	x := New(Config{Sampling: Sampling{First: 3}}, textTo(io.Discard))
	moving := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if err := call.SetMethod("/pkg.Service/Other"); err != nil {
			return err
		}
		return next(ctx, call)
	})
	chain := hauberk.Must(hauberk.New(moving, x))
	for range 10 {
		callMethod(t, chain, "/pkg.Service/Method")
	}
	if x.methods.named.Len() != 1 || x.SampledOut() < 4 { // the calls may fall into two seconds
		t.Errorf("%d names, %d calls sampled out of 10", x.methods.named.Len(), x.SampledOut())
	}
}

// A client may call a method with another kind. Each record has the kind of its call.
func TestKindsOfOneMethod(t *testing.T) {
	var log bytes.Buffer
	chain := hauberk.Must(hauberk.New(New(Config{}, textTo(&log))))
	no := errors.New("no")
	unary := chain.UnaryClientInterceptor()(t.Context(), "/pkg.Service/Method", "request", new(string), nil,
		func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return no })
	_, stream := chain.StreamClientInterceptor()(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, nil,
		"/pkg.Service/Method", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			return nil, no
		})
	if !errors.Is(unary, no) || !errors.Is(stream, no) {
		t.Fatal(unary, stream)
	}
	if text := log.String(); !strings.Contains(text, "kind=unary") || !strings.Contains(text, "kind=bidi_stream") {
		t.Errorf("logged %s", text)
	}
}

// When the default logger changes, the handlers of the old one are not used any more.
func TestHandlersFollowDefaultLogger(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	chain := hauberk.Must(hauberk.New(New(Config{})))
	var counts [3]int
	for i := range counts {
		slog.SetDefault(slog.New(&counting{Handler: slog.DiscardHandler, n: &counts[i]}))
		callMethod(t, chain, "/pkg.Service/Method")
		callMethod(t, chain, "/pkg.Service/Method")
	}
	if counts != [3]int{2, 2, 2} {
		t.Errorf("records by logger: %v, want two each", counts)
	}
}

type counting struct {
	slog.Handler

	n *int
}

func (c *counting) Enabled(context.Context, slog.Level) bool { return true }
func (c *counting) WithAttrs([]slog.Attr) slog.Handler       { return c }

func (c *counting) Handle(context.Context, slog.Record) error {
	*c.n++
	return nil
}
