package forward_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/forward"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/interceptors/transform"
)

var (
	user   = hauberk.NewKey[string]("user")
	tenant = hauberk.NewKey[string]("tenant")
)

// seen is what the second server and its client's chain found.
type seen struct {
	md   metadata.MD
	user string
}

// through makes a call of a kind to a server whose handler calls a second server of that
// kind, and returns what arrives there.
func through(
	t *testing.T, kind hauberk.Kind, x hauberk.Interceptor, incoming []string, prepare func(context.Context) context.Context,
	server ...hauberk.Interceptor,
) seen {
	t.Helper()
	var got seen
	last := hauberktest.Start(t, hauberktest.Setup{
		Kind: kind,
		Backend: &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			got.md, _ = metadata.FromIncomingContext(ctx)
			return hauberktest.Echo(ctx, s)
		}},
		Client: hauberk.Must(hauberk.New(x, hauberk.Func(
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				got.user, _ = user.Get(call)
				return next(ctx, call)
			}))),
	})
	login := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		user.Set(call, "alice")
		return next(ctx, call)
	})
	first := hauberktest.Case{Kind: kind}.StartWith(t, &hauberktest.Backend{
		Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if err := last.Call(prepare(ctx)).Err; err != nil {
				return err
			}
			return hauberktest.Echo(ctx, s)
		},
	}, append(server, login)...)
	ctx := metadata.AppendToOutgoingContext(t.Context(), incoming...)
	if err := first.Call(ctx).Err; err != nil {
		t.Fatal(err)
	}
	return got
}

func asIs(ctx context.Context) context.Context { return ctx }

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

// What is named travels, and nothing else.
func TestForwards(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			x := forward.New(forward.Config{Metadata: []string{"X-Tenant", "trace-bin", "absent"}},
				forward.State(user), forward.State(tenant))
			got := through(t, kind, x, []string{"x-tenant", "a", "x-tenant", "b", "trace-bin", "\x00\xff", "authorization", "Bearer s"}, asIs)
			if !slices.Equal(got.md["x-tenant"], []string{"a", "b"}) || !slices.Equal(got.md["trace-bin"], []string{"\x00\xff"}) {
				t.Errorf("metadata %v", got.md)
			}
			if len(got.md["authorization"])+len(got.md["absent"]) > 0 {
				t.Errorf("metadata that was not named or not there travels: %v", got.md)
			}
			if got.user != "alice" {
				t.Errorf("user %q", got.user)
			}
		})
	}
}

// The metadata that is forwarded is what the handler receives: the interceptors of the server
// may have removed or replaced what the caller sent.
func TestForwardsWhatTheHandlerReceives(t *testing.T) {
	for name, test := range map[string]struct {
		config transform.Metadata
		want   []string
	}{
		"removed":  {transform.Metadata{Remove: []string{"x-tenant"}}, nil},
		"replaced": {transform.Metadata{Set: metadata.MD{"x-tenant": {"trusted"}}}, []string{"trusted"}},
		"renamed":  {transform.Metadata{Rename: map[string]string{"x-raw": "x-tenant"}}, []string{"victim", "raw"}},
	} {
		for _, kind := range kinds {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				x := forward.New(forward.Config{Metadata: []string{"x-tenant"}})
				got := through(t, kind, x, []string{"x-tenant", "victim", "x-raw", "raw"}, asIs,
					transform.New(transform.Config{Metadata: test.config}))
				if !slices.Equal(got.md["x-tenant"], test.want) {
					t.Errorf("x-tenant %q; want %q", got.md["x-tenant"], test.want)
				}
			})
		}
	}
}

// What the handler sets for the outgoing call is kept.
func TestOwnMetadataIsKept(t *testing.T) {
	for _, kind := range kinds {
		x := forward.New(forward.Config{Metadata: []string{"x-tenant"}})
		got := through(t, kind, x, []string{"x-tenant", "a"}, func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(ctx, "x-tenant", "own")
		})
		if !slices.Equal(got.md["x-tenant"], []string{"own"}) {
			t.Errorf("%s: x-tenant %v", kind, got.md["x-tenant"])
		}
	}
}

// A context that does not come from a handler forwards nothing.
func TestOutsideOfCalls(t *testing.T) {
	for _, kind := range kinds {
		x := forward.New(forward.Config{Metadata: []string{"x-tenant"}}, forward.State(user))
		got := through(t, kind, x, []string{"x-tenant", "a"}, func(context.Context) context.Context { return t.Context() })
		if len(got.md["x-tenant"]) > 0 || got.user != "" {
			t.Errorf("%s: %v, user %q", kind, got.md, got.user)
		}
	}
}

// State that an outer interceptor of the outgoing call has set is kept.
func TestOwnStateIsKept(t *testing.T) {
	x := forward.New(forward.Config{}, forward.State(user))
	own := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		user.Set(call, "service")
		return x.Intercept(ctx, call, next)
	})
	if got := through(t, hauberk.Unary, own, nil, asIs); got.user != "service" {
		t.Errorf("user %q", got.user)
	}
}

func TestConfiguration(t *testing.T) {
	for want, x := range map[string]hauberk.Interceptor{
		"it forwards nothing":                     forward.New(forward.Config{}),
		`Config.Metadata[1] is "bad key"; want a`: forward.New(forward.Config{Metadata: []string{"x", "bad key"}}),
		`Config.Metadata[0] is "grpc-timeout"`:    forward.New(forward.Config{Metadata: []string{"grpc-timeout"}}),
		`Config.Metadata[0] is "user-agent"`:      forward.New(forward.Config{Metadata: []string{"User-Agent"}}),
		`Config.Metadata[0] is ":path"`:           forward.New(forward.Config{Metadata: []string{":path"}}),
		"option 1 of New is nil":                  forward.New(forward.Config{Metadata: []string{"x"}}, nil),
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	if _, err := hauberk.New(new(forward.Interceptor)); err == nil {
		t.Error("New takes a zero Interceptor")
	}
	if d := forward.New(forward.Config{}).Declare(); d.Sides != hauberk.OnlyClients {
		t.Errorf("declaration %+v", d)
	}
}

// BenchmarkForward is what the interceptor costs an outgoing call, beyond that of a chain
// that does nothing.
func BenchmarkForward(b *testing.B) {
	idle := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) })
	for name, x := range map[string]hauberk.Interceptor{
		"idle": idle, "forward": forward.New(forward.Config{Metadata: []string{"x-tenant"}}, forward.State(user)),
	} {
		b.Run(name, func(b *testing.B) {
			call := hauberktest.Direct{}.Client(hauberk.Must(hauberk.New(x)))
			serve := hauberktest.Direct{Service: &hauberktest.Backend{Handle: func(ctx context.Context, _ hauberktest.Stream) error {
				for b.Loop() {
					if err := call(ctx); err != nil {
						return err
					}
				}
				return nil
			}}}.Server(hauberk.Must(hauberk.New()))
			_ = serve(metadata.NewIncomingContext(b.Context(), metadata.Pairs("x-tenant", "a")))
		})
	}
}

// TestStateForInner: an inner interceptor may read the state that is forwarded, an outer one
// may not.
func TestStateForInner(t *testing.T) {
	f := forward.New(forward.Config{}, forward.State(user))
	limit := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.State(user)})
	if _, err := hauberk.New(f, limit); err != nil {
		t.Errorf("a limit by user inside: %v", err)
	}
	if _, err := hauberk.New(limit, f); err == nil || !strings.Contains(err.Error(), "runs inside it") {
		t.Errorf("a limit by user outside: %v", err)
	}
	other := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour, By: callkey.State(tenant)})
	if _, err := hauberk.New(f, other); err == nil {
		t.Error("a limit by state that is not forwarded was accepted")
	}
}
