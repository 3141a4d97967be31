package showcases

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

// Tenant is the tenant of a call, on servers.
var Tenant = hauberk.NewKey[string]("tenant")

const tenantHeader = "x-tenant"

// GuardTenants requires a valid tenant of each call, but for public methods. Attach it to servers.
func GuardTenants(valid func(tenant string) bool) hauberk.Interceptor {
	guard := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if call.Public() {
			return next(ctx, call)
		}
		switch tenants := call.Metadata(ctx, tenantHeader); {
		case len(tenants) == 0:
			return hauberk.Reject(codes.Unauthenticated, "TENANT_MISSING", "missing tenant header")
		case len(tenants) > 1:
			return hauberk.Reject(codes.PermissionDenied, "TENANT_AMBIGUOUS", "extra tenant header")
		case !valid(tenants[0]):
			return hauberk.Reject(codes.PermissionDenied, "TENANT_UNKNOWN", "unknown tenant")
		default:
			Tenant.Set(call, tenants[0])
			return next(ctx, call)
		}
	}
	return hauberk.Named("tenants", hauberk.Declare(hauberk.Func(guard),
		hauberk.Declaration{Sides: hauberk.OnlyServers, Writes: []hauberk.StateKey{Tenant}}))
}

// SendTenant sends the tenant of the incoming call with outgoing ones. Attach it to clients.
func SendTenant() hauberk.Interceptor {
	send := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		tenant := Tenant.Or(hauberk.Incoming(ctx), "")
		if tenant != "" && len(call.Metadata(ctx, tenantHeader)) == 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, tenantHeader, tenant)
		}
		return next(ctx, call)
	}
	return hauberk.Named("send tenant", hauberk.Func(send))
}
