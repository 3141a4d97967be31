package requestid_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func TestClientAccepts(t *testing.T) {
	tests := []struct {
		name     string
		given    []string
		accepted bool
	}{
		{"nothing", nil, false},
		{"one", []string{"abc-DEF_1.2"}, true},
		{"malformed", []string{"not an id"}, false},
		{"two", []string{"a", "b"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, kind := range kinds {
				hauberktest.CheckLeaks(t)
				c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
				interceptor, backend, seen := watch()
				env := c.StartWith(t, backend, requestid.New(requestid.Config{}), interceptor)
				ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("other", "kept"))
				for _, v := range test.given {
					ctx = metadata.AppendToOutgoingContext(ctx, header, v)
				}
				if out := env.Call(ctx); out.Err != nil {
					t.Fatal(out.Err)
				}
				if test.accepted != slices.Equal(test.given, []string{seen.interceptor}) {
					t.Errorf("the state has %q of %q", seen.interceptor, test.given)
				}
				equal(t, "request metadata", seen.metadata, seen.interceptor)
			}
		})
	}
}

// An outgoing call of a handler has the id of the incoming call, under the client's own
// key, for all kinds of both.
func TestForwarded(t *testing.T) {
	for _, outer := range kinds {
		for _, inner := range kinds {
			for _, sent := range []string{"", "theirs"} {
				testForwarded(t, outer, inner, sent)
			}
		}
	}
}

func testForwarded(t *testing.T, outer, inner hauberk.Kind, sent string) {
	t.Helper()
	hauberktest.CheckLeaks(t)
	interceptor, backend, seen := watch()
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: inner}
	behind := c.StartWith(t, backend, requestid.New(requestid.Config{Header: "X-Request-ID"}), interceptor)
	out := frontOf(t, behind, outer, nil).Call(metadata.NewOutgoingContext(t.Context(), metadata.Pairs(header, sent)))
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	if sent != "" {
		equal(t, "response header", out.Header.Get(header), sent)
	}
	equal(t, "request metadata behind", seen.metadata, out.Header.Get(header)...)
	equal(t, "the state of the outgoing call", []string{seen.interceptor}, seen.metadata...)
}

// frontOf starts a server whose handler first makes an outgoing call with its context, or
// with the result of change.
func frontOf(
	t *testing.T, behind *hauberktest.Env, kind hauberk.Kind, change func(context.Context) context.Context,
) *hauberktest.Env {
	t.Helper()
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		outgoing := ctx
		if change != nil {
			outgoing = change(ctx)
		}
		if out := behind.Call(outgoing); out.Err != nil {
			return out.Err
		}
		return hauberktest.Echo(ctx, s)
	}}
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: kind}
	return c.StartWith(t, backend, requestid.New(requestid.Config{}))
}

// The id in the outgoing metadata takes precedence, if it is well-formed.
func TestForwardedUnlessGiven(t *testing.T) {
	for name, test := range map[string]struct {
		change func(ctx context.Context) context.Context
		want   string // empty for a new id
	}{
		"another id": {func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(ctx, header, "another")
		}, "another"},
		"no id": {func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(ctx, header, "no id at all")
		}, "theirs"},
		"without cancellation": {context.WithoutCancel, "theirs"},
		"another context":      {func(context.Context) context.Context { return t.Context() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range kinds {
				hauberktest.CheckLeaks(t)
				interceptor, backend, seen := watch()
				c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
				behind := c.StartWith(t, backend, requestid.New(requestid.Config{}), interceptor)
				ctx := metadata.AppendToOutgoingContext(t.Context(), header, "theirs")
				if out := frontOf(t, behind, kind, test.change).Call(ctx); out.Err != nil {
					t.Fatal(out.Err)
				}
				if test.want == "" {
					wantOwn(t, seen.interceptor)
					continue
				}
				equal(t, "request metadata behind", seen.metadata, test.want)
			}
		})
	}
}

// Attempts of a call have its id.
func TestAttemptsShareTheID(t *testing.T) {
	for _, kind := range kinds {
		hauberktest.CheckLeaks(t)
		var ids []string
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			ids = append(ids, metadata.ValueFromIncomingContext(ctx, header)...)
			if len(ids) < 3 {
				return status.Error(codes.Unavailable, "down")
			}
			return hauberktest.Echo(ctx, s)
		}}
		again := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			call.Replayable(1 << 10)
			err := next(ctx, call)
			for err != nil && call.CanAttempt() {
				err = next(ctx, call)
			}
			return err
		})
		c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		if out := c.StartWith(t, backend, requestid.New(requestid.Config{}), again).Call(t.Context()); out.Err != nil {
			t.Fatal(out.Err)
		}
		equal(t, kind.String()+": ids of the attempts", ids, ids[0], ids[0], ids[0])
	}
}
