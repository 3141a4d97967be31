package requestid_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/requestid"
)

func TestClientTakes(t *testing.T) {
	tests := []struct {
		name  string
		given []string
		taken bool
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
				link, backend, seen := watch()
				env := c.StartWith(t, backend, requestid.New(requestid.Config{}), link)
				ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("other", "kept"))
				for _, v := range test.given {
					ctx = metadata.AppendToOutgoingContext(ctx, header, v)
				}
				if out := env.Call(ctx); out.Err != nil {
					t.Fatal(out.Err)
				}
				if test.taken != slices.Equal(test.given, []string{seen.link}) {
					t.Errorf("the state has %q of %q", seen.link, test.given)
				}
				equal(t, "request metadata", seen.wire, seen.link)
			}
		})
	}
}

// An outgoing call made in a handler has the id of the incoming one, unless the
// handler gives it another.
func TestForwarded(t *testing.T) {
	for _, kind := range kinds {
		hauberktest.CheckLeaks(t)
		_, backend, seen := watch()
		c := hauberktest.Case{Side: hauberk.ClientSide, Kind: kind}
		behind := c.StartWith(t, backend, requestid.New(requestid.Config{Header: "X-Request-ID"}))
		front := &hauberktest.Backend{Handle: func(ctx context.Context, s hauberktest.Stream) error {
			if out := behind.Call(ctx); out.Err != nil {
				return out.Err
			}
			return hauberktest.Echo(ctx, s)
		}}
		c.Side = hauberk.ServerSide
		out := c.StartWith(t, front, requestid.New(requestid.Config{})).Call(t.Context())
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		equal(t, "request metadata behind", seen.wire, out.Header.Get(header)...)
	}
}
