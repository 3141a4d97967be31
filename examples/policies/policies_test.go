// Package policies_test loads, checks and runs the policies in this folder.
package policies_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/gateway"
	"github.com/hauberk-rpc/hauberk/policy"
	"github.com/hauberk-rpc/hauberk/policy/policytest"
	"github.com/hauberk-rpc/hauberk/policy/serviceconfig"
)

// TestMain checks for leaks. rueidis leaves a goroutine that sleeps for up to a second after Close.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// policies returns the names of the policies.
func policies(t *testing.T) (names []string) {
	t.Helper()
	all, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if !strings.HasSuffix(name, ".cases.yaml") {
			names = append(names, name)
		}
	}
	if len(names) < 8 {
		t.Fatalf("the policies are %q; want at least 8", names)
	}
	return names
}

func load(t *testing.T, path string, opts ...policy.Option) *policy.Policy {
	t.Helper()
	p, err := policy.Load(path, append(opts, policy.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestLint: each policy is valid as it is in this folder, and the linter finds nothing.
func TestLint(t *testing.T) {
	for _, name := range policies(t) {
		t.Run(name, func(t *testing.T) {
			p := load(t, name)
			for _, f := range slices.Concat(p.Server().Lint(hauberk.ServerSide), p.Client().Lint(hauberk.ClientSide)) {
				if name != "everything.yaml" {
					t.Errorf("%s, %s: %s", f.Outer, f.Inner, f.Message)
				}
			}
		})
	}
}

// TestSchema: each policy is valid by the JSON Schema that editors use.
func TestSchema(t *testing.T) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(policy.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema := compiler.MustCompile("schema.json")
	for _, name := range policies(t) {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var content any
			if err := yaml.Unmarshal(data, &content); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(content); err != nil {
				t.Error(err)
			}
			if !strings.HasPrefix(string(data), "# yaml-language-server: $schema=../../policy/schema.json\n") {
				t.Error("the first line does not name the schema")
			}
		})
	}
}

// TestCases: the calls of each policy have the same outcomes where the chains run in process, and where the
// server's chain runs in a gateway.
func TestCases(t *testing.T) {
	for _, name := range policies(t) {
		t.Run(name, func(t *testing.T) {
			run(t, name, map[string]place{
				"in process": inProcess, "gateway grpc": behind(gateway.TransportGRPC),
				"gateway frames": behind(gateway.TransportFrames),
			}, (*policy.Policy).Client)
		})
	}
}

// TestRun: `hauberk test` finds the same outcomes, without a server and without the keys of the callers.
func TestRun(t *testing.T) {
	for _, name := range policies(t) {
		t.Run(name, func(t *testing.T) {
			quiet := policy.WithLogger(slog.New(slog.DiscardHandler))
			report, err := policytest.Run(casesOf(t, name), func(opts ...policy.Option) (*policy.Policy, error) {
				return policy.Load(name, append(opts, quiet)...)
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range report.Results {
				if r := &report.Results[i]; !r.Passed() {
					t.Errorf("line %d: %s: the call ends with %v %q: %s, after %d calls of the service; want %+v",
						r.Line, r.Name, r.GotCode, r.GotReason, r.GotMessage, r.GotAttempts, r.Want)
				}
			}
		})
	}
}

// TestMigration: the calls of migration.yaml have the same outcomes with the chain of the service config that it replaces.
func TestMigration(t *testing.T) {
	data, err := os.ReadFile("migration.service-config.json")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "migration.yaml", map[string]place{"service config": inProcess}, func(*policy.Policy) *hauberk.Chain {
		config, err := serviceconfig.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		client := config.Client()
		return hauberk.Must(hauberk.New(slices.Concat(client.Calls, client.Repeats)...))
	})
}

// run makes the calls of a policy at each place.
func run(t *testing.T, name string, places map[string]place, client func(*policy.Policy) *hauberk.Chain) {
	t.Helper()
	cases := casesOf(t, name)
	methods := make(map[string]hauberk.Kind)
	for i := range cases {
		for _, c := range cases[i].AllCalls() {
			methods[c.Method] = c.Kind
		}
	}
	callers := newCallers(t, cases)
	dir := callers.folder(t)
	for i := range cases {
		c := &cases[i]
		for at, where := range places {
			if at == "gateway grpc" && callers.server(c).Info().SecurityProtocol == "tls" {
				continue // this transport has no TLS
			}
			t.Run(c.Name+"/"+at, func(t *testing.T) {
				start := time.Now()
				p := load(t, filepath.Join(dir, name), policy.WithClock(func() time.Time { return start }))
				w := &world{t: t, methods: methods, callers: callers, upstream: newUpstream(t)}
				w.run(p, client(p), where, c)
			})
		}
	}
}

// TestEverything: everything.yaml has every interceptor.
func TestEverything(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Properties struct {
				Use struct {
					Const string `json:"const"`
				} `json:"use"`
			} `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(policy.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for _, e := range load(t, "everything.yaml").Entries() {
		used[e.Use] = true
	}
	for name, def := range schema.Defs {
		if use := def.Properties.Use.Const; use != "" && !used[use] {
			t.Errorf("it has no %s (%s)", use, name)
		}
	}
	if len(used) < 25 {
		t.Errorf("it has %d interceptors; want at least 25", len(used))
	}
}
