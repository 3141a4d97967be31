package main

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// TestTenants: for each kind of call and on both sides, calls for a known tenant are
// admitted, with the tenant in their state, and all others are rejected.
func TestTenants(t *testing.T) {
	tests := []struct {
		name   string
		values []string
		want   string // the reason
	}{
		{"known", []string{"acme"}, ""},
		{"missing", nil, "UNKNOWN_TENANT"},
		{"unknown", []string{"nemo"}, "UNKNOWN_TENANT"},
		{"two", []string{"acme", "umbra"}, "UNKNOWN_TENANT"},
	}
	hauberktest.Matrix(t, func(t *testing.T, c hauberktest.Case) {
		var inner string
		env := c.Start(t, tenants{"acme", "umbra"}, hauberk.Func(
			func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
				inner, _ = Tenant.Get(call)
				return next(ctx, call)
			}))
		for _, test := range tests {
			inner = ""
			out := env.Call(metadata.NewOutgoingContext(t.Context(), metadata.MD{tenantHeader: test.values}))
			if got := hauberk.Reason(out.Err); got != test.want || (out.Err == nil) != (test.want == "") {
				t.Errorf("%s: got %v with reason %q, want reason %q", test.name, out.Err, got, test.want)
			}
			if admitted := inner == "acme"; admitted != (test.want == "") {
				t.Errorf("%s: inner interceptors got the tenant %q", test.name, inner)
			}
		}
	})
}

// TestTenantsConfig: a list without tenants is an error of the chain.
func TestTenantsConfig(t *testing.T) {
	if _, err := hauberk.New(tenants{}); err == nil || !strings.Contains(err.Error(), "tenant") {
		t.Errorf("hauberk.New returned %v", err)
	}
}
