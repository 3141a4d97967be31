package tracing_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/tracing"
)

// version00 matches a valid traceparent of version 00, except that it also matches IDs of zeros.
var version00 = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$`)

// FuzzPropagation checks that the headers of an outgoing call of a handler are well formed, within the
// bounds and unique, for all headers of the incoming call.
func FuzzPropagation(f *testing.F) {
	f.Add(sampled, "", "a=1,b=2", "", "k=v;p=1,l=%20")
	f.Add(unsampled, unsampled, "a@b=1", "c=2", "k")
	f.Add("ff"+sampled[2:], "", strings.Repeat("k=v,", 40), "x", ",,=")
	f.Add("cc"+sampled[2:]+"-x", "", strings.Repeat("long", 300), "", strings.Repeat("k=v,", 3000))
	f.Add("", "", "a=1", "", "\xff=\x00")
	f.Fuzz(func(t *testing.T, parent, another, state, moreState, bag string) {
		md := metadata.MD{"traceparent": {parent}, "tracestate": {state}, "baggage": {bag}}
		if another != "" {
			md.Append("traceparent", another)
		}
		if moreState != "" {
			md.Append("tracestate", moreState)
		}
		s := record()
		sent := carry(t, s, metadata.NewIncomingContext(t.Context(), md))
		checkParent(t, s, md["traceparent"], sent)
		checkSent(t, sent)
	})
}

// carry serves a call whose handler makes another call, and returns the metadata of that call.
func carry(t *testing.T, s *spans, ctx context.Context) (sent metadata.MD) { //nolint:revive // the context is that of the call
	t.Helper()
	chain := hauberk.Must(hauberk.New(tracing.New(tracing.Config{}, s.option())))
	invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		sent, _ = metadata.FromOutgoingContext(ctx)
		return nil
	}
	onward := inside(func(ctx context.Context, _ *hauberk.Call) {
		err := chain.UnaryClientInterceptor()(ctx, hauberktest.FullMethod(hauberk.Unary), "", new(string), nil, invoke)
		if err != nil {
			t.Error(err)
		}
	})
	if err := served(hauberk.Must(hauberk.New(tracing.New(tracing.Config{}, s.option()), onward)), ctx)(); err != nil {
		t.Error(err)
	}
	return sent
}

// checkParent checks that the caller's trace was accepted if Trace Context permits the traceparent.
func checkParent(t *testing.T, s *spans, parents []string, sent metadata.MD) {
	t.Helper()
	server := s.Ended()[1]
	good := len(parents) == 1 && version00.MatchString(parents[0]) &&
		parents[0][3:35] != strings.Repeat("0", 32) && parents[0][36:52] != strings.Repeat("0", 16)
	if good != server.Parent().IsValid() && (good || strings.HasPrefix(parents[0], "00")) {
		t.Errorf("%q resulted in the parent %v", parents, server.Parent())
	}
	if good && sent["traceparent"][0][3:35] != parents[0][3:35] {
		t.Errorf("%q became %q", parents, sent["traceparent"])
	}
}

func checkSent(t *testing.T, sent metadata.MD) {
	t.Helper()
	for key, values := range sent {
		if len(values) != 1 || !printable(values[0]) {
			t.Errorf("%s is %q", key, values)
		}
	}
	if p := sent["traceparent"]; len(p) != 1 || !version00.MatchString(p[0]) {
		t.Errorf("traceparent is %q", p)
	}
	state, err := trace.ParseTraceState(strings.Join(sent["tracestate"], ","))
	if err != nil || state.Len() > 32 || len(state.String()) > tracing.DefaultMaxTraceState {
		t.Errorf("tracestate %q: %v", state, err)
	}
	bag, err := baggage.Parse(strings.Join(sent["baggage"], ","))
	if err != nil || bag.Len() > 64 || len(bag.String()) > 8192 {
		t.Errorf("baggage %q: %v", bag, err)
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}
