package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk"
)

// count is how many methods' handlers are kept.
func (b *bound) count() (n int) {
	b.handlers.Range(func(any, any) bool {
		n++
		return true
	})
	return n
}

// call makes a unary call of a method through a client's chain.
func callMethod(t *testing.T, chain *hauberk.Chain, method string) {
	t.Helper()
	invoke := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	err := chain.UnaryClientInterceptor()(t.Context(), method, "request", new(string), nil, invoke)
	if err != nil {
		t.Fatal(err)
	}
}

// A client may call any number of methods; what is kept of them is bounded, and
// each record names its own.
func TestBoundIsBounded(t *testing.T) {
	x := New(Config{}, WithLogger(slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	chain := hauberk.Must(hauberk.New(x))
	for i := range 2*maxBound + 10 {
		callMethod(t, chain, fmt.Sprintf("/pkg.Service/Method%d", i))
		if i == 9 && x.good.count() != 10 {
			t.Errorf("%d handlers kept of 10 methods", x.good.count())
		}
	}
	if got := x.good.count(); got > maxBound {
		t.Errorf("%d handlers kept, want at most %d", got, maxBound)
	}
}

// When the default logger is replaced, the handlers made of the old one are not
// used any more.
func TestBoundFollowsDefaultLogger(t *testing.T) {
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
