package showcases

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/interceptors/forward"
)

const orgHeader = "x-org-id"

// RequireOrg requires an organization of each call. Attach it to servers.
func RequireOrg() hauberk.Interceptor {
	return hauberk.Named("org", hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		if !call.Public() && len(call.Metadata(ctx, orgHeader)) != 1 {
			return hauberk.Reject(codes.Unauthenticated, "ORG_MISSING", "the call must have one "+orgHeader)
		}
		return next(ctx, call)
	}))
}

// SendOrg sends the organization of the incoming call with outgoing ones. Attach it to clients.
func SendOrg() []hauberk.Interceptor {
	return []hauberk.Interceptor{
		forward.New(forward.Config{Metadata: []string{orgHeader}}),
		hauberk.Named("one org", hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
			if len(call.Metadata(ctx, orgHeader)) != 1 {
				return hauberk.Reject(codes.Internal, "ORG_MISSING", "an outgoing call must have one "+orgHeader)
			}
			return next(ctx, call)
		})),
	}
}
