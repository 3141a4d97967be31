package version_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/version"
)

// agent is the context of a call with values of a metadata key.
func agent(key string, values ...string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.MD{key: values})
}

// served runs calls of a kind behind an interceptor. The function returns the outcome, and the client
// that inner interceptors find in the state.
func served(
	t *testing.T, config hauberk.Config, kind hauberk.Kind, x hauberk.Interceptor,
) func(ctx context.Context) (client string, err error) {
	t.Helper()
	seen := ""
	chain, err := config.New(x, hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		seen, _ = version.Key.Get(call)
		return next(ctx, call)
	}))
	if err != nil {
		t.Fatal(err)
	}
	serve := hauberktest.Direct{Kind: kind}.Server(chain)
	return func(ctx context.Context) (string, error) {
		seen = ""
		err := serve(ctx)
		return seen, err
	}
}

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

func method(kind hauberk.Kind) string { return strings.TrimPrefix(hauberktest.FullMethod(kind), "/") }

// The first rule that names the client and the method decides, for calls of every kind.
func TestRules(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			call := served(t, hauberk.Config{}, kind, version.New(version.Config{Rules: []version.Rule{
				{Client: "shop", Methods: []string{"other.v1.*"}, Versions: "<0"},
				{Client: "shop", Methods: []string{method(kind)}, Versions: ">=1.4, !=1.6.0", Upgrade: "shop 1.8"},
				{Client: "shop", Versions: "<0"},
				{Client: "till", Versions: ">=2 || =1.9.9"},
			}}))
			for sent, want := range map[string]codes.Code{
				"shop/1.4": codes.OK, "shop/1.5.2 grpc-go/1.85.0": codes.OK, "shop/v1.7": codes.OK,
				"shop/1.3.9": codes.FailedPrecondition, "shop/1.6.0 grpc-go/1.85.0": codes.FailedPrecondition,
				"shop/1.4-rc.1": codes.FailedPrecondition,
				"till/2":        codes.OK, "till/1.9.9": codes.OK, "till/1.9.8": codes.FailedPrecondition,
				"Shop/1": codes.OK, "shop-cli/1": codes.OK, "grpc-go/1.85.0": codes.OK,
			} {
				client, err := call(agent("user-agent", sent))
				if status.Code(err) != want {
					t.Errorf("%s: %v; want %v", sent, err, want)
				}
				product, _, _ := strings.Cut(sent, " ")
				if err == nil && client != product {
					t.Errorf("%s: inner interceptors see %q", sent, client)
				}
			}
		})
	}
}

// Versions that are not well-formed, or sent twice, are not known. Such calls are admitted, unless
// RejectUnknown is set and a rule for their client, or for all clients, names them.
func TestUnknown(t *testing.T) {
	all := version.Config{Rules: []version.Rule{{Versions: "*"}}, RejectUnknown: true}
	one := version.Config{Rules: []version.Rule{{Client: "shop", Versions: "<0"}}, RejectUnknown: true}
	lenient := version.Config{Rules: []version.Rule{{Versions: "<0"}}}
	for name, values := range map[string][]string{
		"none": nil, "empty": {""}, "no version": {"shop"}, "no name": {"/1.2"}, "a text": {"shop/latest"},
		"twice": {"shop/1.2", "shop/1.2"}, "a space": {" shop/1.2"}, "a comment": {"(shop) shop/1.2"},
		"a long name": {strings.Repeat("s", 65) + "/1.2"}, "a long version": {"shop/1." + strings.Repeat("2", 63)},
		"a control character": {"sh\x00op/1.2"}, "a line": {"shop/1.2\nshop/2"}, "64 KiB": {strings.Repeat("shop/", 13<<10)},
	} {
		for _, kind := range kinds {
			if client, err := served(t, hauberk.Config{}, kind, version.New(all))(agent("user-agent", values...)); status.Code(err) !=
				codes.FailedPrecondition || hauberk.Reason(err) != version.ReasonUnknown || client != "" {
				t.Errorf("%s, %v: %q, %v; want a rejection with %s", name, kind, client, err, version.ReasonUnknown)
			}
		}
		for i, config := range []version.Config{one, lenient} {
			if i == 0 && len(values) == 1 && strings.HasPrefix(values[0], "shop") {
				client, err := served(t, hauberk.Config{}, hauberk.Bidi, version.New(config))(agent("user-agent", values...))
				if hauberk.Reason(err) != version.ReasonUnknown || client != "" {
					t.Errorf("%s: %q, %v; want a rejection with %s, since a rule names shop", name, client, err, version.ReasonUnknown)
				}
				continue
			}
			if client, err := served(t, hauberk.Config{}, hauberk.Unary, version.New(config))(agent("user-agent", values...)); err != nil || client != "" {
				t.Errorf("%s: %q, %v; want an admitted call without client", name, client, err)
			}
		}
	}
}

// Public methods are not gated, though their client is known.
func TestPublic(t *testing.T) {
	x := version.New(version.Config{Rules: []version.Rule{{Versions: "<0"}}, RejectUnknown: true})
	call := served(t, hauberk.Config{Public: []string{method(hauberk.Unary)}}, hauberk.Unary, x)
	if client, err := call(agent("user-agent", "shop/1.2")); err != nil || client != "shop/1.2" {
		t.Errorf("%q, %v", client, err)
	}
	if _, err := call(context.Background()); err != nil {
		t.Error(err)
	}
}

// Calls of methods that the server does not know end with UNIMPLEMENTED, or are gated with GateUnknown.
func TestUnknownMethods(t *testing.T) {
	hauberktest.CheckLeaks(t)
	for gate, want := range map[bool]codes.Code{false: codes.Unimplemented, true: codes.FailedPrecondition} {
		x := version.New(version.Config{Rules: []version.Rule{{Client: "shop", Versions: ">=2"}}, GateUnknown: gate})
		env := hauberktest.Start(t, hauberktest.Setup{
			Server: hauberk.Must(hauberk.New(x)), DialOptions: []grpc.DialOption{grpc.WithUserAgent("shop/1.2")},
		})
		err := env.Conn.Invoke(t.Context(), "/shop.v1.Cart/Missing", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
		if status.Code(err) != want {
			t.Errorf("GateUnknown %t: %v; want %v", gate, err, want)
		}
	}
}

// Probes of health and tools that use reflection are not gated, without hauberk.Config.Public.
func TestProbes(t *testing.T) {
	hauberktest.CheckLeaks(t)
	x := version.New(version.Config{Rules: []version.Rule{{Versions: ">=99"}}, RejectUnknown: true})
	env := hauberktest.Start(t, hauberktest.Setup{
		Server: hauberk.Must(hauberk.New(x)),
		Register: func(srv *hauberk.Server) {
			healthpb.RegisterHealthServer(srv, health.NewServer())
			reflection.Register(srv)
		},
		DialOptions: []grpc.DialOption{grpc.WithUserAgent("kube-probe/1.33")},
	})
	if _, err := healthpb.NewHealthClient(env.Client).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(env.Client).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := &reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: ""},
	}
	if err := stream.Send(list); err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Error(err)
	}
	if out := env.Call(t.Context()); hauberk.Reason(out.Err) != version.ReasonUnsupported {
		t.Errorf("%v; want a rejection of other methods", out.Err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

// A rejection says what was sent, what is supported and what to upgrade to.
func TestRejection(t *testing.T) {
	call := served(t, hauberk.Config{ErrorDomain: "shop.example"}, hauberk.Unary, version.New(version.Config{
		Metadata: "x-client",
		Rules: []version.Rule{
			{Client: "shop", Versions: ">=1.4", Upgrade: "shop 1.8, https://shop.example/get"},
			{Client: "till", Versions: ">=2"},
		},
	}))
	_, err := call(agent("x-client", "shop/1.2.0"))
	if !errors.Is(err, version.ErrUnsupported) || hauberk.Reason(err) != version.ReasonUnsupported {
		t.Errorf("%v, reason %s", err, hauberk.Reason(err))
	}
	s := status.Convert(err)
	if want := "Version 1.2.0 of shop is not supported; upgrade to shop 1.8, https://shop.example/get"; s.Message() != want {
		t.Errorf("%q; want %q", s.Message(), want)
	}
	want := map[string]string{
		"client": "shop", "version": "1.2.0", "supported": ">=1.4", "upgrade": "shop 1.8, https://shop.example/get",
	}
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			for k, v := range want {
				if info.GetMetadata()[k] != v {
					t.Errorf("%s is %q; want %q", k, info.GetMetadata()[k], v)
				}
			}
			want = nil
		}
	}
	if want != nil {
		t.Error("no ErrorInfo")
	}
	_, err = call(agent("x-client", "till/1"))
	if want := "Version 1 of till is not supported; upgrade to a version >=2"; status.Convert(err).Message() != want {
		t.Errorf("%v; want %q", err, want)
	}
}

// Dry run counts what would be rejected, and admits it.
func TestShadow(t *testing.T) {
	x := version.New(version.Config{Rules: []version.Rule{{Client: "shop", Versions: ">=2"}}})
	call := served(t, hauberk.Config{}, hauberk.Unary, hauberk.Shadow(x))
	if _, err := call(agent("user-agent", "shop/1.2")); err != nil {
		t.Fatal(err)
	}
	want := []version.Count{{Client: version.Other}, {Client: "shop", Version: "1.2", Calls: 1, Rejected: 1}}
	if got := x.Snapshot(); !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
}

// Clients that the configuration names are counted by version, up to MaxVersions. All other calls are counted together.
func TestCounts(t *testing.T) {
	x := version.New(version.Config{
		Rules: []version.Rule{{Client: "shop", Versions: ">=2"}}, Count: []string{"till"}, MaxVersions: 3,
	})
	serve := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x)))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, sent := range []string{"shop/1.2.3", "shop/2.0.1", "shop/2.0.2", "till/1", "unknown/3", ""} {
				_ = serve(agent("user-agent", sent))
			}
		})
	}
	all.Wait()
	for i := range 1000 {
		_ = serve(agent("user-agent", "shop/9."+strconv.Itoa(i)))
	}
	want := []version.Count{
		{Client: version.Other, Calls: 1008},
		{Client: "shop", Version: "1.2", Calls: 4, Rejected: 4},
		{Client: "shop", Version: "2.0", Calls: 8},
		{Client: "till", Version: "1.0", Calls: 4},
	}
	if got := x.Snapshot(); !slices.Equal(got, want) {
		t.Errorf("%v; want %v", got, want)
	}
	sum := 0.0
	for _, m := range x.Measurements() {
		if m.Name == "version_calls_total" {
			sum += m.Value
		}
	}
	if sum != 1024 {
		t.Errorf("the measurements have %v calls; want 1024", sum)
	}
}

// WithClient replaces the metadata, and is judged by the same rules.
func TestWithClient(t *testing.T) {
	name := "shop"
	x := version.New(version.Config{Rules: []version.Rule{{Client: "shop", Versions: ">=2"}}},
		version.WithClient(func(context.Context, *hauberk.Call) (string, string) { return name, "1.0" }))
	call := served(t, hauberk.Config{}, hauberk.Bidi, x)
	if _, err := call(agent("user-agent", "shop/2")); hauberk.Reason(err) != version.ReasonUnsupported {
		t.Error(err)
	}
	name = "sh op"
	if client, err := call(context.Background()); client != "" || err != nil {
		t.Errorf("%q, %v", client, err)
	}
}

// New reports everything that is wrong at once.
func TestBadConfig(t *testing.T) {
	_, err := hauberk.New(version.New(version.Config{
		Metadata: "X Client", MaxVersions: -1, Count: []string{""}, RejectUnknown: true,
	}, nil, version.WithClient(nil)))
	wantAll(t, err, `Metadata is "X Client"`, "MaxVersions is -1", `Count[0] is ""`, "RejectUnknown has no effect without Rules",
		"option 1 of New is nil", "WithClient was given a nil function")
	_, err = hauberk.New(version.New(version.Config{Rules: []version.Rule{
		{Client: "a/b", Versions: ">=1"},
		{Client: "shop", Methods: []string{"shop"}, Versions: "latest"},
		{Client: "shop", Versions: ">=1"},
		{Client: "shop", Methods: []string{"shop.v1.*"}, Versions: ">=2"},
		{Versions: "*"},
		{Client: "till", Versions: ">=1"},
	}}))
	wantAll(t, err, `Rules[0].Client is "a/b"`, `Rules[1].Methods has "shop"; want`, `Rules[1].Versions is "latest"`,
		"Rules[3] has no effect: Rules[2] names the same calls", "Rules[5] has no effect: Rules[4] names the same calls")
	_, err = hauberk.New(new(version.Interceptor))
	wantAll(t, err, "make it with version.New")
}

func wantAll(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want an error with %s", err, text)
		}
	}
}

// A pattern that matches no method of a server is reported.
func TestUnmatched(t *testing.T) {
	x := version.New(version.Config{Rules: []version.Rule{{Methods: []string{"shop.v1.Cart/Gett"}, Versions: "*"}}})
	want := []string{`version.Config.Rules[0].Methods("shop.v1.Cart/Gett")`}
	if got := x.Declare().Unmatched(nil); !slices.Equal(got, want) {
		t.Errorf("%q; want %q", got, want)
	}
}

// A call that is admitted costs the text in the state and what it takes to store it.
func TestAllocations(t *testing.T) {
	serve := func(x ...hauberk.Interceptor) float64 {
		call := hauberktest.Direct{}.Server(hauberk.Must(hauberk.New(x...)))
		ctx := agent("user-agent", "shop/2.1.0 grpc-go/1.85.0")
		return testing.AllocsPerRun(100, func() {
			if err := call(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	idle := serve()
	if got := serve(version.New(version.Config{Rules: []version.Rule{{Client: "shop", Versions: ">=2"}}})) - idle; got > 4 {
		t.Errorf("%v allocations; want at most 4", got)
	}
}

// FuzzClient holds that a client in the state is well-formed.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{"shop/1.2", "a/v1-rc+b c", "/", "shop/1.2\r\n", "\xff/1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		call := served(t, hauberk.Config{}, hauberk.Unary, version.New(version.Config{Rules: []version.Rule{{Versions: "*"}}}))
		client, err := call(agent("user-agent", sent))
		if err != nil {
			t.Fatal(err)
		}
		name, number, ok := strings.Cut(client, "/")
		if client != "" && (!ok || !strings.HasPrefix(sent, client) || len(client) > 129 || strings.ContainsAny(client, " \r\n\x00\"\\") ||
			name == "" || number == "") {
			t.Errorf("%q: the client is %q", sent, client)
		}
	})
}
