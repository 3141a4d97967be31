package main

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// Tenant is the key of the tenant that a call is for.
var Tenant = hauberk.NewKey[string]("tenant")

const tenantHeader = "x-tenant"

// tenants is an interceptor that requires the metadata x-tenant with one of these names,
// and stores it under [Tenant]. It runs on both sides: a client rejects a call before it
// sends anything.
type tenants []string

// Declare describes the interceptor to the checks of a chain.
func (t tenants) Declare() hauberk.Declaration {
	d := hauberk.Declaration{Name: "tenant", Decides: true, Writes: []hauberk.StateKey{Tenant}}
	if len(t) == 0 {
		d.Err = errors.New("there are 0 tenants; want at least 1")
	}
	return d
}

// Intercept runs around one call, of any kind and on both sides.
func (t tenants) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	values := call.Metadata(ctx, tenantHeader)
	if len(values) != 1 || !slices.Contains(t, values[0]) {
		return hauberk.Reject(codes.InvalidArgument, "UNKNOWN_TENANT", "x-tenant must name one known tenant")
	}
	Tenant.Set(call, values[0])
	return next(ctx, call)
}
