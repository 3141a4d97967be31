package showcases

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/hauberk-rpc/hauberk"
)

const clusterHeader = "x-cluster"

// SendCluster names the cluster that a client means to call.
func SendCluster(cluster string) hauberk.Interceptor {
	send := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		return next(metadata.AppendToOutgoingContext(ctx, clusterHeader, cluster), call)
	}
	return hauberk.Named("send cluster", hauberk.Func(send))
}

// GuardCluster rejects calls that are meant for another cluster. In soft mode it only records them, for the
// time until all clients send the header. Log, metrics and reports see the rejections in both modes.
func GuardCluster(soft bool, clusters ...string) hauberk.Interceptor {
	guard := func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		meant := call.Metadata(ctx, clusterHeader)
		if len(meant) != 1 || !slices.Contains(clusters, meant[0]) {
			return hauberk.Reject(codes.FailedPrecondition, "WRONG_CLUSTER",
				fmt.Sprintf("the call is meant for %q; this is %q", meant, clusters))
		}
		return next(ctx, call)
	}
	x := hauberk.Named("cluster", hauberk.Declare(hauberk.Func(guard),
		hauberk.Declaration{Sides: hauberk.OnlyServers, Decides: true}))
	if soft {
		x = hauberk.Shadow(x)
	}
	return hauberk.Except(hauberk.Health, x)
}
