package field_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/field"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/hauberktest/testpb"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// repositories has methods whose requests have the storage at different paths, or none.
const repositories = `
name: "repo.proto" package: "git.v1" syntax: "proto3"
message_type { name: "Repo" field { name: "storage_name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "Get" field { name: "repository" number: 1 type: TYPE_MESSAGE type_name: ".git.v1.Repo" label: LABEL_OPTIONAL } }
message_type { name: "List" field { name: "storage_name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "Copy" field { name: "repository" number: 1 type: TYPE_MESSAGE type_name: ".git.v1.Repo" label: LABEL_REPEATED } }
message_type { name: "Ping" }
service {
  name: "Repos"
  method { name: "Get" input_type: ".git.v1.Get" output_type: ".git.v1.Ping" }
  method { name: "List" input_type: ".git.v1.List" output_type: ".git.v1.Ping" client_streaming: true }
}
service { name: "Copies" method { name: "Copy" input_type: ".git.v1.Copy" output_type: ".git.v1.Ping" } }
service { name: "Pings" method { name: "Ping" input_type: ".git.v1.Ping" output_type: ".git.v1.Ping" } }`

func services(t testing.TB, names ...string) (all []protoreflect.ServiceDescriptor) {
	t.Helper()
	var fd descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(repositories), &fd); err != nil {
		t.Fatal(err)
	}
	d, err := protodesc.NewFile(&fd, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		all = append(all, d.Services().ByName(protoreflect.Name(name)))
	}
	return all
}

// TestCheck: what does not fit the requests of services is reported with the method, the path and what would
// be right.
func TestCheck(t *testing.T) {
	cases := []struct {
		name     string
		field    field.Field
		services []string
		want     []string // in the error; none if there is no error
	}{
		{"fits", field.String("repository.storage_name", "storage_name"), []string{"Repos"}, nil},
		{
			"one method without", field.String("repository.storage_name"),
			[]string{"Repos"},
			[]string{"the requests of git.v1.Repos/List do not have repository.storage_name", "Optional", "hauberk.For"},
		},
		{"optional", field.String("repository.storage_name").Optional(), []string{"Repos", "Pings"}, nil},
		{
			"a typo", field.String("repository.storage_nam", "storage_name").Optional(),
			[]string{"Pings", "Repos"},
			[]string{"no request has the field: git.v1.Repos/Get", `"repository.storage_nam"`, "which has storage_name"},
		},
		{"only a typo", field.String("storage"), []string{"Repos"}, []string{"git.v1.Repos/List", `"storage"`, "which has storage_name"}},
		{
			"an earlier path", field.String("storage_name", "repository.storage_name", "repository"),
			[]string{"Repos"},
			[]string{`each method with the path "repository" has an earlier path`},
		},
		{
			"repeated", field.String("repository.storage_name", "storage_name"),
			[]string{"Repos", "Copies"},
			[]string{"git.v1.Copies/Copy", "repository, a repeated field"},
		},
		{
			"a message", field.String("repository", "storage_name"),
			[]string{"Repos"},
			[]string{"git.v1.Repos/Get", "ends at repository, a message of type git.v1.Repo", "such as repository.storage_name"},
		},
		{"another type", field.Enum("storage_name").Optional(), []string{"Repos"}, []string{"git.v1.Repos/List", "is string; want enum"}},
		{"a bad path", field.Bool("a..b"), []string{"Repos"}, []string{"field.Bool was given a bad path", `"a..b"`}},
		{"twice", field.String("a", "a"), []string{"Repos"}, []string{`"a" is there twice`}},
		{"the zero field", field.Field{}, []string{"Repos"}, []string{"a zero Field has no path"}},
		{"no service", field.String("a"), nil, []string{"no method"}},
		{"a nil service", field.String("a"), []string{"Nothing"}, []string{"service 1 of Check is nil"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := c.field.Check(services(t, c.services...)...)
			if c.want == nil && err != nil {
				t.Fatalf("got %v; want no error", err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error %v has no %q", err, want)
				}
			}
		})
	}
}

// coverage returns what Coverage reports about a server with the test service and health.
func coverage(t *testing.T, interceptors ...hauberk.Interceptor) string {
	t.Helper()
	srv := hauberk.Must(hauberk.New(interceptors...)).NewServer(grpc.NumStreamWorkers(0))
	testpb.RegisterTestServiceServer(srv, &hauberktest.Backend{})
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	if err := srv.Coverage().Err(); err != nil {
		return err.Error()
	}
	return ""
}

// TestServe: a server reports paths that do not fit the methods that the interceptor runs for, and no others.
func TestServe(t *testing.T) {
	bad := field.String("tex").Key()
	limit := ratelimit.Config{Limit: 1, Per: time.Second}
	by := func(key callkey.Key) ratelimit.Config {
		l := limit
		l.By = key
		return l
	}
	also := limit
	also.Also = []ratelimit.Config{by(bad)}
	for name, c := range map[string]struct {
		x    hauberk.Interceptor
		want []string
	}{
		"fits":         {field.Set(projectKey, field.String("text")), nil},
		"key fits":     {ratelimit.New(by(field.String("text").Key())), nil},
		"set":          {field.Set(projectKey, field.String("tex")), []string{"field.Set(project, tex): no request has the field", "which has text"}},
		"in dry run":   {hauberk.Shadow(field.Set(projectKey, field.String("tex"))), []string{"which has text"}},
		"ratelimit":    {ratelimit.New(by(bad)), []string{"ratelimit.Config.By: no request has the field: hauberk.test.v1.TestService/", "which has text"}},
		"also":         {ratelimit.New(also), []string{"ratelimit.Config.Also[0].By: "}},
		"all":          {ratelimit.New(by(callkey.All(callkey.Method(), bad))), []string{"ratelimit.Config.By: "}},
		"concurrency":  {concurrency.New(concurrency.Config{Limit: 1, By: bad}), []string{"concurrency.Config.By: "}},
		"tenants":      {concurrency.New(concurrency.Config{Limit: 1, MaxWaiting: 1, Tenant: bad}), []string{"concurrency.Config.Tenant: "}},
		"other method": {hauberk.For("hauberk.test.v1.TestService/Unary", field.Set(projectKey, field.Int("text"))), []string{"TestService/Unary: ", "want integer"}},
		"health":       {hauberk.For("grpc.health.v1.Health/*", field.Set(projectKey, field.String("tex"))), nil},
		"health fits":  {hauberk.For("grpc.health.v1.Health/*", field.Set(projectKey, field.String("text"))), nil},
	} {
		t.Run(name, func(t *testing.T) {
			hauberktest.CheckLeaks(t)
			got := coverage(t, c.x)
			if len(c.want) == 0 && got != "" {
				t.Errorf("got %q; want no error", got)
			}
			for _, want := range append(c.want, "") {
				if !strings.Contains(got, want) {
					t.Errorf("the error %q has no %q", got, want)
				}
			}
		})
	}
}

// TestConfiguration: New reports fields, keys and settings that do not work.
func TestConfiguration(t *testing.T) {
	text := field.String("text")
	limit := func(c ratelimit.Cost) hauberk.Interceptor {
		return ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Second, By: text.PerMessage().Key(), Cost: c})
	}
	for name, c := range map[string]struct {
		x    hauberk.Interceptor
		want string
	}{
		"bad path":            {field.Set(projectKey, field.String("")), "the path is empty"},
		"zero field":          {field.Set(projectKey, field.Field{}), "a zero Field"},
		"zero key":            {field.Set(hauberk.Key[string]{}, text), "a key without a name"},
		"zero interceptor":    {&field.Interceptor{}, "a zero Field"},
		"per message":         {field.Set(projectKey, text.PerMessage()), "want one without PerMessage"},
		"bad key":             {ratelimit.New(ratelimit.Config{Limit: 1, Per: 1, By: field.String("a b").Key()}), `"a b"`},
		"zero field's key":    {ratelimit.New(ratelimit.Config{Limit: 1, Per: 1, By: field.Field{}.Key()}), "a zero Field"},
		"call":                {limit(ratelimit.Cost{Call: 1, Message: 1}), "want Cost.Message or Cost.Byte only"},
		"no message":          {limit(ratelimit.Cost{}), "want Cost.Message or Cost.Byte only"},
		"charged":             {limit(ratelimit.Cost{Message: 1, Charged: true}), "want Cost.Message or Cost.Byte only"},
		"methods":             {limit(ratelimit.Cost{Message: 1, Methods: map[string]int{"*": 1}}), "Cost.Methods counts calls"},
		"responses":           {limit(ratelimit.Cost{Message: 1, Messages: ratelimit.BothMessages}), "want Requests"},
		"concurrency":         {concurrency.New(concurrency.Config{Limit: 1, By: text.PerMessage().Key()}), "is of messages, and calls are counted"},
		"concurrency tenants": {concurrency.New(concurrency.Config{Limit: 1, MaxWaiting: 1, Tenant: text.PerMessage().Key()}), "is of messages"},
		"mixed":               {ratelimit.New(ratelimit.Config{Limit: 1, Per: 1, By: callkey.All(text.Key(), text.PerMessage().Key())}), "a key of messages and one of the first request"},
		"breaker":             {breaker.New(breaker.Config{Key: text.PerMessage().Key()}), "is of messages"},
		"tenant":              {field.Tenant(text), "reads the state \"identity\" before it is written"},
	} {
		if _, err := hauberk.New(c.x); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if _, err := hauberk.New(ratelimit.New(ratelimit.Config{Limit: 1, Per: 1, By: callkey.FromRequest("x", nil, false)})); err == nil {
		t.Error("a nil Request has no error")
	}
}

// TestOrder: Lint reports a field that is read before authentication, and New a key that is read before Set.
func TestOrder(t *testing.T) {
	authn := hauberk.Declare(hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(ctx, call)
	}), hauberk.Declaration{Name: "authn", Phase: hauberk.PhaseAuthn, Writes: []hauberk.StateKey{hauberk.IdentityKey}, Authenticates: true})
	set := field.Set(projectKey, field.String("text"))
	key := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Second, By: field.String("text").Key()})
	state := ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Second, By: callkey.State(projectKey)})
	circuit := breaker.New(breaker.Config{Key: callkey.State(projectKey)})
	for name, c := range map[string]struct {
		side hauberk.Side
		list []hauberk.Interceptor
		want int
	}{
		"inside":     {hauberk.ServerSide, []hauberk.Interceptor{authn, set, state, key}, 0},
		"outside":    {hauberk.ServerSide, []hauberk.Interceptor{set, authn}, 1},
		"key":        {hauberk.ServerSide, []hauberk.Interceptor{key, authn}, 1},
		"on clients": {hauberk.ClientSide, []hauberk.Interceptor{set, circuit, key}, 0},
	} {
		if got := hauberk.Must(hauberk.New(c.list...)).Lint(c.side); len(got) != c.want {
			t.Errorf("%s: Lint returns %v; want %d findings", name, got, c.want)
		}
	}
	if _, err := hauberk.New(authn, state, set); err == nil || !strings.Contains(err.Error(), `"project"`) {
		t.Errorf("a key that is read before Set has the error %v", err)
	}
}

// TestOtherMethods: methods without the field, of which Serve was not used, fail; unknown methods and those of
// the package grpc pass.
func TestOtherMethods(t *testing.T) {
	hauberktest.CheckLeaks(t)
	chain := hauberk.Must(hauberk.New(field.Set(projectKey, field.String("secret.text"))))
	serve := hauberktest.Direct{}.Server(chain)
	wantOutcome(t, hauberktest.Outcome{Err: serve(t.Context())}, codes.Internal, "")

	env := hauberktest.Start(t, hauberktest.Setup{
		Server:   hauberk.Must(hauberk.New(field.Set(projectKey, field.String("text")))),
		Register: func(srv *hauberk.Server) { grpc_health_v1.RegisterHealthServer(srv, health.NewServer()) },
	})
	if _, err := grpc_health_v1.NewHealthClient(env.Client).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("a check of health ends with %v", err)
	}
	err := env.Client.Invoke(t.Context(), "/hauberk.test.v1.TestService/Nothing", &testpb.Request{}, &testpb.Response{})
	wantOutcome(t, hauberktest.Outcome{Err: err}, codes.Unimplemented, "")
}

// Methods with the same error are named together, so that the error of a large server is short.
func TestSameErrors(t *testing.T) {
	err := field.Int("text").Check(testpb.File_hauberktest_testpb_test_proto.Services().Get(0))
	const want = `field: hauberk.test.v1.TestService/Unary, hauberk.test.v1.TestService/ServerStream, ` +
		`hauberk.test.v1.TestService/ClientStream, hauberk.test.v1.TestService/Bidi: the path "text" ends at text, ` +
		`which is string; want integer`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
