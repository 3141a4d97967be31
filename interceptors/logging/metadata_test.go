package logging_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/logging"
)

// group returns a group of a record.
func group(t *testing.T, record map[string]any, key string) map[string]any {
	t.Helper()
	g, _ := record[key].(map[string]any)
	g = maps.Clone(g)
	maps.DeleteFunc(g, func(name string, _ any) bool { // keys that grpc-go adds
		return strings.HasPrefix(name, ":") || name == "content-type" || name == "user-agent" || name == "grpc-accept-encoding"
	})
	return g
}

func checkGroup(t *testing.T, record map[string]any, key string, want map[string]any) {
	t.Helper()
	if got := group(t, record, key); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
		t.Errorf("%s is %v, want %v", key, got, want)
	}
}

func TestMetadata(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		j := newJournal()
		config := logging.Config{Start: true, Metadata: logging.Metadata{
			Request: true, Response: true, Redact: []string{"X-Session", "*-secret"},
		}}
		backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			s.SetTrailer(metadata.Pairs("cost", "5"))
			_ = s.SetHeader(metadata.Pairs("shard", "7", "set-cookie", "id=1"))
			return hauberktest.Echo(ctx, s)
		}}
		env := c.StartWith(t, backend, logging.New(config, j.option()))
		ctx := metadata.AppendToOutgoingContext(t.Context(), "tenant", "blue", "tenant", "green", "Authorization", "Bearer x",
			"x-session", "1", "my-secret", "2", "a-token", "3", "some-key", "4", "raw-bin", "5", "tokens", "kept", "x-sessions", "kept")
		if out := env.Call(ctx); out.Err != nil {
			t.Fatal(out.Err)
		}
		env.Server.GracefulStop()
		records := j.records(t)
		request := map[string]any{
			"tenant": []any{"blue", "green"}, "authorization": "[redacted]", "x-session": "[redacted]", "my-secret": "[redacted]",
			"a-token": "[redacted]", "some-key": "[redacted]", "raw-bin": "[redacted]", "tokens": "kept", "x-sessions": "kept",
		}
		checkGroup(t, records[0], logging.KeyRequestMetadata, request)
		checkGroup(t, records[0], logging.KeyResponseHeader, nil)
		checkGroup(t, records[1], logging.KeyRequestMetadata, request)
		checkGroup(t, records[1], logging.KeyResponseHeader, map[string]any{"shard": "7", "set-cookie": "[redacted]"})
		trailer := map[string]any{"cost": "5"}
		if c.Side == hauberk.ServerSide {
			trailer = nil // grpc-go does not expose it
		}
		checkGroup(t, records[1], logging.KeyResponseTrailer, trailer)
	})
}

// Other spellings of secret names are secret, too: gateways add prefixes, and programs
// separate words in other ways.
func TestSpellingsOfSecrets(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	ctx, want := t.Context(), map[string]any{"monkey": "kept", "authorizations": "kept", "tokens": "kept", "spin": "kept"}
	for _, name := range []string{
		"authorization", "proxy-authorization", "grpcgateway-authorization", "x_forwarded_authorization", "cookie", "set-cookie",
		"grpcgateway-cookie", "token", "x-auth-token", "x_token", "x.token", "key", "x-api-key", "api_key", "X_API_KEY", "bin",
		"x-session", "x_session", "secret", "my-secret", "my_secret", "my.secret", "apikey", "x-apikey", "x-amzn-oidc-accesstoken",
		"csrftoken", "cf-access-jwt-assertion", "x-jwt", "password", "db_password", "client-secret", "pin", "my_pin",
	} {
		ctx = metadata.AppendToOutgoingContext(ctx, name, "canary")
		want[strings.ToLower(name)] = "[redacted]"
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "monkey", "kept", "authorizations", "kept", "tokens", "kept", "spin", "kept")
	config := logging.Config{Metadata: logging.Metadata{Request: true, Redact: []string{"X_Session", "*_pin"}}}
	c := hauberktest.Case{Side: hauberk.ServerSide, Kind: hauberk.Unary}
	env := c.Start(t, logging.New(config, j.option()))
	if out := env.Call(ctx); out.Err != nil {
		t.Fatal(out.Err)
	}
	env.Server.GracefulStop()
	checkGroup(t, j.only(t), logging.KeyRequestMetadata, want)
}

// The metadata of callers is logged up to a limit, and the rest is counted.
func TestMetadataIsBounded(t *testing.T) {
	hauberktest.CheckLeaks(t)
	j := newJournal()
	ctx := t.Context()
	for i := range 200 {
		ctx = metadata.AppendToOutgoingContext(ctx, fmt.Sprintf("k%03d", i), strings.Repeat("v", 96))
	}
	for range 200 {
		ctx = metadata.AppendToOutgoingContext(ctx, "a", strings.Repeat("w", 10))
	}
	c := hauberktest.Case{Side: hauberk.ClientSide, Kind: hauberk.Unary}
	config := logging.Config{Metadata: logging.Metadata{Request: true, MaxBytes: 3000}}
	env := c.Start(t, logging.New(config, j.option()))
	_ = env.Call(ctx) // the server may reject it as too large
	request := group(t, j.only(t), logging.KeyRequestMetadata)
	if values, _ := request["a"].([]any); len(values) != 200 {
		t.Errorf("%d values, want all", len(values))
	}
	if got := request["k009"]; got != strings.Repeat("v", 95)+"…" || len(request) != 12 || request["…"] != 190.0 {
		t.Errorf("the metadata is %v", request)
	}

	many := t.Context()
	for range 2000 {
		many = metadata.AppendToOutgoingContext(many, "many", "xx")
	}
	_ = env.Call(many)
	request = group(t, j.records(t)[1], logging.KeyRequestMetadata)
	if values, _ := request["many"].([]any); len(values) != (3000-4)/2+1 || values[len(values)-1] != "…" {
		t.Errorf("%d of 2000 values", len(values))
	}

	long := metadata.AppendToOutgoingContext(t.Context(), "k", strings.Repeat("v", 5000))
	for range 2000 {
		long = metadata.AppendToOutgoingContext(long, "many", "xx")
	}
	_ = env.Call(long)
	request = group(t, j.records(t)[2], logging.KeyRequestMetadata)
	if got, _ := request["k"].(string); len(got) != 3000-1+len("…") || request["…"] != 1.0 {
		t.Errorf("%d bytes of a long value: %v", len(got), request)
	}
}
