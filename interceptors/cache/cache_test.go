package cache_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
	"github.com/hauberk-rpc/hauberk/internal/policypb"
)

// The second of two equal unary calls is answered from memory, with the header and the trailer of the first,
// on both sides. Streams pass.
func TestKinds(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var handled atomic.Int64
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			handled.Add(1)
			_ = grpc.SetHeader(ctx, metadata.Pairs("h", "1"))
			_ = grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))
			return hauberktest.Echo(ctx, s)
		}}
		var hooked []string
		outer := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			see := func(msg any) { hooked = append(hooked, msg.(*testpb.Response).GetText()) }
			if call.Side() == hauberk.ClientSide {
				call.OnReceive(func(msg any) (bool, error) {
					see(msg)
					msg.(*testpb.Response).Text += "!"
					return true, nil
				})
			} else {
				call.OnSend(func(msg any, emit func(any) error) error {
					see(msg)
					return emit(msg)
				})
			}
			err := next(ctx, call)
			if all := call.Decisions().Recorded(); len(all) > 0 {
				hooked = append(hooked, all[0].Rule)
			}
			return err
		})
		x := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: true})
		env := c.StartWith(t, backend, outer, x)
		var last hauberktest.Outcome
		for range 3 {
			last = env.Call(t.Context())
			if last.Err != nil || !strings.HasPrefix(last.Texts()[0], "echo:hello") ||
				strings.HasSuffix(last.Texts()[0], "!!") || last.Header.Get("h") == nil || last.Trailer.Get("t") == nil {
				t.Errorf("outcome %+v", last)
			}
			last.Responses[0].Text = "changed"
		}
		want := int64(3)
		if c.Kind == hauberk.Unary {
			want = 1
			if age := last.Header.Get("age"); len(age) != 1 || age[0] != "0" {
				t.Errorf("age %q; want 0", age)
			}
			if got := strings.Join(hooked, ","); got != "echo:hello,echo:hello,hit,echo:hello,hit" {
				t.Errorf("outer interceptors saw %s", got)
			}
		}
		if got := handled.Load(); got != want {
			t.Errorf("%d calls were handled; want %d", got, want)
		}
	})
}

// Calls share an answer only if all that it may depend on is equal.
func TestKey(t *testing.T) {
	public := hauberk.Config{Public: []string{"hauberk.test.v1.TestService/Unary"}}
	across := cache.Config{AcrossIdentities: true}
	chosen := cache.Config{AcrossIdentities: true, Metadata: []string{"M"}}
	for _, c := range []struct {
		name   string
		chain  hauberk.Config
		config cache.Config
		text   string
		first  []string
		second []string
		shared bool
	}{
		{"equal", hauberk.Config{}, cache.Config{}, "a", []string{"user", "u"}, []string{"user", "u"}, true},
		{"other request", hauberk.Config{}, cache.Config{}, "b", []string{"user", "u"}, []string{"user", "u"}, false},
		{"other user", hauberk.Config{}, cache.Config{}, "a", []string{"user", "u"}, []string{"user", "v"}, false},
		{"other scope", hauberk.Config{}, cache.Config{}, "a", []string{"user", "u", "scope", "r"}, []string{"user", "u"}, false},
		{"across", hauberk.Config{}, across, "a", []string{"user", "u"}, []string{"user", "v"}, true},
		{"public", public, cache.Config{}, "a", nil, nil, true},
		{"public, other credentials", public, cache.Config{}, "a", []string{"authorization", "1"}, nil, false},
		{"public, other API key", public, cache.Config{}, "a", []string{"apikey", "1"}, []string{"apikey", "2"}, false},
		{"public, other metadata", public, cache.Config{}, "a", []string{"m", "1"}, []string{"m", "2"}, true},
		{"public, with an identity", public, cache.Config{}, "a", nil, []string{"user", "u"}, false},
		{"other metadata", hauberk.Config{}, across, "a", []string{"user", "u", "m", "1"}, []string{"user", "u", "m", "2"}, true},
		{"chosen metadata", hauberk.Config{}, chosen, "a", []string{"user", "u", "m", "1"}, []string{"user", "u", "m", "2"}, false},
		{"number of values", hauberk.Config{}, chosen, "a", []string{"user", "u", "m", "1", "m", "2"}, []string{"user", "u", "m", "12"}, false},
		{"authority", hauberk.Config{}, across, "a", []string{"user", "u", ":authority", "x"}, []string{"user", "u", ":authority", "y"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.TTL, c.config.Methods = time.Hour, all
			s := newServer(t, c.chain, login{}, cache.New(c.config))
			s.wants("a 1", s.call(t.Context(), "a", c.first...))
			want := "a 1"
			if !c.shared {
				want = c.text + " 2"
			}
			s.wants(want, s.call(t.Context(), c.text, c.second...))
		})
	}
}

// A server without identities caches nothing, nor does a cache outside of authentication.
func TestWithoutIdentity(t *testing.T) {
	x := cache.New(cache.Config{TTL: time.Hour, Methods: all})
	s := newServer(t, hauberk.Config{}, x)
	s.call(t.Context(), "a")
	s.wants("a 2", s.call(t.Context(), "a"))

	for _, across := range []bool{false, true} {
		outside := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: across})
		s = newServer(t, hauberk.Config{}, outside, login{})
		s.wants("a 1", s.call(t.Context(), "a", "user", "u"))
		if got := s.call(t.Context(), "a"); got.err == nil {
			t.Errorf("across %t: a caller without a name got %q", across, got.text)
		}
		if findings := s.chain.Lint(hauberk.ServerSide); len(findings) != 1 {
			t.Errorf("Lint finds %v; want that the cache runs outside of login", findings)
		}
	}
	s = newServer(t, hauberk.Config{}, login{}, x)
	if findings := s.chain.Lint(hauberk.ServerSide); len(findings) != 0 {
		t.Errorf("Lint finds %v in the usual order", findings)
	}
}

// token are per-RPC credentials.
type token struct{ credentials.PerRPCCredentials }

func (token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, nil
}
func (token) RequireTransportSecurity() bool { return false }

// On a client the identity is the credentials that the call sends, and the incoming caller's.
func TestClientIdentity(t *testing.T) {
	as := func(ctx context.Context, user string) context.Context {
		return hauberktest.Context(t, hauberktest.State(hauberk.IdentityKey, &hauberk.Identity{Subject: user}))
	}
	with := func(ctx context.Context, value string) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	key := metadata.AppendToOutgoingContext
	from := func(ctx context.Context, pairs ...string) context.Context {
		return metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
	}
	ctx := t.Context()
	for _, c := range []struct {
		name          string
		first, second context.Context
		opts          []grpc.CallOption
		across        bool
		calls         int
	}{
		{"none", ctx, ctx, nil, false, 1},
		{"same token", with(ctx, "a"), with(ctx, "a"), nil, false, 1},
		{"other token", with(ctx, "a"), with(ctx, "b"), nil, false, 2},
		{"no token", with(ctx, "a"), ctx, nil, false, 2},
		{"other key", key(ctx, "x-goog-api-key", "a"), key(ctx, "x-goog-api-key", "b"), nil, false, 2},
		{"same key", key(ctx, "x_auth_token", "a"), key(ctx, "x_auth_token", "a"), nil, false, 1},
		{"key of another name", key(ctx, "x-auth-token", "a"), key(ctx, "apikey", "a"), nil, false, 2},
		{"no credentials", key(ctx, "x-request-id", "a"), key(ctx, "x-request-id", "b"), nil, false, 1},
		{"across", with(ctx, "a"), with(ctx, "b"), nil, true, 1},
		{"credentials", ctx, ctx, []grpc.CallOption{grpc.PerRPCCredentials(token{})}, false, 2},
		{"credentials, across", ctx, ctx, []grpc.CallOption{grpc.PerRPCCredentials(token{})}, true, 1},
		{"incoming user", as(ctx, "u"), as(ctx, "u"), nil, false, 1},
		{"other incoming user", as(ctx, "u"), as(ctx, "v"), nil, false, 2},
		{"same incoming token", from(ctx, "authorization", "a"), from(ctx, "authorization", "a"), nil, false, 1},
		{"other incoming token", from(ctx, "authorization", "a"), from(ctx, "authorization", "b"), nil, false, 2},
		{"other incoming metadata", from(ctx, "x-request-id", "a"), from(ctx, "x-request-id", "b"), nil, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: c.across})
			calls := 0
			conn := hauberktest.Conn{Outcome: func(string) error { calls++; return nil }}
			call := hauberktest.Direct{Conn: conn}.Client(hauberk.Must(hauberk.New(x)), c.opts...)
			for _, ctx := range []context.Context{c.first, c.second} {
				if err := call(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if calls != c.calls {
				t.Errorf("%d calls; want %d", calls, c.calls)
			}
		})
	}
}

// The methods that are cached without Config.Methods are those without side effects: by either option, or by
// what the application overrides in the policy of the chain.
func TestMethods(t *testing.T) {
	overridden, err := hauberk.FromRegistry("hauberk.policy.test.v1.Cart")
	if err != nil {
		t.Fatal(err)
	}
	err = overridden.Override("hauberk.policy.test.v1.Cart/*", func(m *hauberk.MethodPolicy) {
		m.NoSideEffects = !m.NoSideEffects
		m.Idempotent, m.Roles, m.Scopes = m.NoSideEffects, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method string
		policy *hauberk.DescriptorPolicy
		cached bool
	}{
		{policypb.Cart_Get_FullMethodName, nil, true},
		{policypb.Cart_Pay_FullMethodName, nil, false},
		{policypb.Cart_Get_FullMethodName, overridden, false},
		{policypb.Cart_Pay_FullMethodName, overridden, true},
	} {
		method, cached := c.method, c.cached
		x := cache.New(cache.Config{TTL: time.Hour, AcrossIdentities: true})
		intercept := hauberk.Must(hauberk.Config{Policy: c.policy}.New(x)).UnaryServerInterceptor()
		handled := 0
		for range 2 {
			_, err := intercept(t.Context(), &testpb.Request{}, &grpc.UnaryServerInfo{FullMethod: method},
				func(context.Context, any) (any, error) { handled++; return &emptypb.Empty{}, nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if (handled == 1) != cached {
			t.Errorf("%s was handled %d times", method, handled)
		}
	}
}

// Errors are not kept, and a key function that panics ends its call with a stable status.
func TestErrors(t *testing.T) {
	bad := func(_ context.Context, _ *hauberk.Call, request any) (string, bool) {
		switch request.(*testpb.Request).GetText() {
		case "panic":
			panic("secret")
		case "none":
			return "", false
		default:
			return "k", true
		}
	}
	x := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: true}, cache.WithKey(bad))
	s := newServer(t, hauberk.Config{}, x)
	got := s.call(t.Context(), "panic")
	if status.Code(got.err) != codes.Internal || hauberk.Reason(got.err) != cache.ReasonKeyPanicked ||
		strings.Contains(got.err.Error(), "secret") || s.handled.Load() != 0 {
		t.Errorf("%v", got.err)
	}
	s.wants("none 1", s.call(t.Context(), "none"))
	s.wants("none 2", s.call(t.Context(), "none"))
	s.handle = func(context.Context, *testpb.Request) (*testpb.Response, error) {
		return nil, fmt.Errorf("failure %d", s.handled.Load())
	}
	for _, want := range []string{"failure 3", "failure 4"} {
		if got := s.call(t.Context(), "a"); got.err == nil || status.Convert(hauberk.StatusOf(got.err).Err()).Code() != codes.Unknown {
			t.Errorf("%v; want %s", got.err, want)
		}
	}
	s.handle = nil
	s.wants("a 5", s.call(t.Context(), "a"))
	s.wants("a 5", s.call(t.Context(), "a"))
}

// Invalidate and Purge remove answers, also those of calls that run.
func TestRemove(t *testing.T) {
	x := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: true, Metadata: []string{"m"}})
	s := newServer(t, hauberk.Config{}, x)
	fill := func() {
		s.handled.Store(0)
		s.call(t.Context(), "a", "m", "1")
		s.call(t.Context(), "a", "m", "2")
		s.call(t.Context(), "b")
	}
	fill()
	if n := x.Invalidate(unary, &testpb.Request{Text: "a"}); n != 2 {
		t.Errorf("%d answers were removed; want 2", n)
	}
	s.wants("b 3", s.call(t.Context(), "b"))
	s.wants("a 4", s.call(t.Context(), "a", "m", "1"))
	if n := x.Purge("/other.Service/Method") + x.Purge(unary) + x.Purge(""); n != 2 {
		t.Errorf("%d answers were purged; want 2", n)
	}
	s.handle = func(context.Context, *testpb.Request) (*testpb.Response, error) {
		x.Invalidate(unary, &testpb.Request{Text: "a"})
		return &testpb.Response{Text: "old"}, nil
	}
	s.wants("old", s.call(t.Context(), "a"))
	s.handle = nil
	s.handled.Store(6)
	s.wants("a 7", s.call(t.Context(), "a"))
}

// The store is bounded by answers and by bytes; the least recently used one goes first.
func TestBounds(t *testing.T) {
	x := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: true, MaxEntries: 2})
	s := newServer(t, hauberk.Config{}, x)
	for _, text := range []string{"a", "b", "a", "c", "a"} {
		s.call(t.Context(), text)
	}
	s.wants("a 1", s.call(t.Context(), "a"))
	s.wants("b 4", s.call(t.Context(), "b"))
	large := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: true, MaxBytes: 8 * 1024})
	s = newServer(t, hauberk.Config{}, large)
	s.handle = func(_ context.Context, req *testpb.Request) (*testpb.Response, error) {
		return &testpb.Response{Text: req.GetText(), Payload: make([]byte, len(req.GetText())*500)}, nil
	}
	for range 2 {
		for i := range 30 {
			s.call(t.Context(), fmt.Sprint(i%10))
			s.call(t.Context(), "too large")
		}
	}
	for _, m := range large.Measurements() {
		if m.Name == "cache_bytes" && (m.Value > 8*1024 || m.Value < 7*1024) {
			t.Errorf("%v bytes are kept", m.Value)
		}
	}
	if got := s.handled.Load(); got < 60 {
		t.Errorf("%d calls were handled; answers above an eighth of MaxBytes are not kept", got)
	}
}

// New reports everything that is wrong.
func TestConfig(t *testing.T) {
	for want, x := range map[string]*cache.Interceptor{
		"TTL is 0s":                  cache.New(cache.Config{}),
		"TTL is 17520h":              cache.New(cache.Config{TTL: 2 * 8760 * time.Hour}),
		"MaxTTL is 1ns":              cache.New(cache.Config{TTL: time.Second, MaxTTL: 1}),
		"StaleWhileRevalidate is -1": cache.New(cache.Config{TTL: time.Second, StaleWhileRevalidate: -1}),
		"RefreshTimeout is -1ns":     cache.New(cache.Config{TTL: time.Second, RefreshTimeout: -1}),
		"MaxRefreshes is -1":         cache.New(cache.Config{TTL: time.Second, MaxRefreshes: -1}),
		"MaxRefreshes is 1 without":  cache.New(cache.Config{TTL: time.Second, MaxRefreshes: 1}),
		"RefreshTimeout is 1s and":   cache.New(cache.Config{TTL: time.Second, RefreshTimeout: time.Second}),
		"MaxEntries is -1":           cache.New(cache.Config{TTL: time.Second, MaxEntries: -1}),
		"MaxBytes is 1;":             cache.New(cache.Config{TTL: time.Second, MaxBytes: 1}),
		`Methods has "x"`:            cache.New(cache.Config{TTL: time.Second, Methods: []string{"x"}}),
		`Metadata has "a b"`:         cache.New(cache.Config{TTL: time.Second, Metadata: []string{"a b"}}),
		"option 1 of New is nil":     cache.New(cache.Config{TTL: time.Second}, nil),
		"WithKey was given a nil":    cache.New(cache.Config{TTL: time.Second}, cache.WithKey(nil)),
		"WithClock was given a nil":  cache.New(cache.Config{TTL: time.Second}, cache.WithClock(nil)),
		"WithLogger was given a nil": cache.New(cache.Config{TTL: time.Second}, cache.WithLogger(nil)),
		"a zero Interceptor":         new(cache.Interceptor),
	} {
		if _, err := hauberk.New(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
	chain := hauberk.Must(hauberk.New(cache.New(cache.Config{TTL: time.Second, Methods: []string{"hauberk.test.v1.TestService/Unray"}})))
	srv := chain.NewServer()
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	defer srv.Stop()
	if err := srv.Coverage().Err(); err == nil || !strings.Contains(err.Error(), "Unray") {
		t.Errorf("%v; want that a pattern matches nothing", err)
	}
}
