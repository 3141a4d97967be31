package requestid_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

const header = requestid.DefaultHeader

var kinds = []hauberk.Kind{hauberk.Unary, hauberk.ClientStream, hauberk.ServerStream, hauberk.Bidi}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// sighting has the ids that one call showed.
type sighting struct {
	interceptor string   // the state, in an inner interceptor
	handler     string   // the state, in the handler; empty if the server has no chain
	metadata    []string // the request metadata, in the handler
}

// watch returns an interceptor and a backend that report what they see.
func watch() (hauberk.Interceptor, *hauberktest.Backend, *sighting) {
	seen := new(sighting)
	interceptor := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		seen.interceptor = requestid.FromContext(ctx)
		return next(ctx, call)
	})
	backend := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
		seen.handler = requestid.FromContext(ctx)
		seen.metadata = metadata.ValueFromIncomingContext(ctx, header)
		return hauberktest.Echo(ctx, s)
	}}
	return interceptor, backend, seen
}

func TestMade(t *testing.T) {
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		interceptor, backend, seen := watch()
		out := c.StartWith(t, backend, requestid.New(requestid.Config{}), interceptor).Call(t.Context())
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		if !uuid.MatchString(seen.interceptor) {
			t.Errorf("the state has %q; want a UUID of version 7", seen.interceptor)
		}
		if c.Side == hauberk.ServerSide {
			if seen.handler != seen.interceptor {
				t.Errorf("the handler's state has %q, the interceptor's %q", seen.handler, seen.interceptor)
			}
			equal(t, "response header", out.Header.Get(header), seen.interceptor)
		} else {
			equal(t, "request metadata", seen.metadata, seen.interceptor)
		}
	})
}

func TestGenerator(t *testing.T) {
	for _, test := range []struct{ made, want string }{
		{"made-1", "^made-1$"},
		{"not well-formed", uuid.String()},
		{"", uuid.String()},
	} {
		t.Run(test.made, func(t *testing.T) {
			hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
				interceptor, backend, seen := watch()
				x := requestid.New(requestid.Config{}, requestid.WithGenerator(func() string { return test.made }))
				if out := c.StartWith(t, backend, x, interceptor).Call(t.Context()); out.Err != nil {
					t.Fatal(out.Err)
				}
				if !regexp.MustCompile(test.want).MatchString(seen.interceptor) {
					t.Errorf("id %q, want one that matches %s", seen.interceptor, test.want)
				}
			})
		})
	}
}

func TestConfiguration(t *testing.T) {
	for _, test := range []struct {
		name string
		x    *requestid.Interceptor
		want string // in the error; empty for none
	}{
		{"zero", requestid.New(requestid.Config{}), ""},
		{"another key", requestid.New(requestid.Config{Header: "X-Correlation-ID"}), ""},
		{"space in the key", requestid.New(requestid.Config{Header: "request id"}), `Config.Header is "request id"`},
		{"pseudo-header", requestid.New(requestid.Config{Header: ":path"}), `Config.Header is ":path"`},
		{"binary key", requestid.New(requestid.Config{Header: "id-bin"}), `Config.Header is "id-bin"`},
		{"key of gRPC", requestid.New(requestid.Config{Header: "grpc-id"}), `Config.Header is "grpc-id"`},
		{"reserved key", requestid.New(requestid.Config{Header: "User-Agent"}), `Config.Header is "user-agent"`},
		{"zero Interceptor", &requestid.Interceptor{}, "make it with requestid.New"},
		{"nil generator", requestid.New(requestid.Config{}, requestid.WithGenerator(nil)), "WithGenerator was given a nil"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := hauberk.New(test.x)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v; want one with %q", err, test.want)
			}
		})
	}
}

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", what, got, want)
	}
}
