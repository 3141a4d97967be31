package ratelimitrls

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// New returns a store that asks the server at the other end of conn. The application dials it, so
// that credentials, load balancing, keepalive and interceptors are its own; the store does not close
// it. Without grpc.WaitForReady among its default call options, a request fails at once while there is
// no connection. hauberk.New reports what is wrong with the configuration.
//
// A store is for one interceptor, or for several whose calls share quotas. It is safe for concurrent
// use.
func New(conn grpc.ClientConnInterface, config Config) ratelimit.Store {
	return &store{conn: conn, config: config}
}

type store struct {
	conn   grpc.ClientConnInterface
	config Config
}

// Open returns the quotas of limits.
func (s *store) Open(limits []ratelimit.Limit) (ratelimit.Quotas, error) {
	opened, err := s.config.open(limits)
	if s.conn == nil {
		err = errors.Join(errors.New("New was given a nil connection; want one to the rate limit server"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("ratelimitrls: %w", err)
	}
	return &quotas{config: s.config, limits: opened, client: rlsv3.NewRateLimitServiceClient(s.conn)}, nil
}

// quotas are those of the limits of an interceptor. Nothing in it changes.
type quotas struct {
	config Config
	limits []limit
	client rlsv3.RateLimitServiceClient
}

// Take asks the server for the permits of all demands, in one request.
func (q *quotas) Take(
	ctx context.Context, timeout time.Duration, demands []ratelimit.Demand, decisions []ratelimit.Decision,
) error {
	resp, err := q.ask(ctx, timeout, q.request(demands))
	if err != nil {
		return err
	}
	return q.decide(resp, demands, decisions)
}

// Charge sends the permits of all demands. Whether the server takes those that are not there is up to
// it.
func (q *quotas) Charge(ctx context.Context, timeout time.Duration, demands []ratelimit.Demand) error {
	counted := make([]ratelimit.Demand, 0, len(demands))
	for _, d := range demands {
		if d.Permits > 0 || d.Permits < 0 && q.config.NegativeHits {
			counted = append(counted, d)
		}
	}
	if len(counted) == 0 {
		return nil
	}
	return q.Take(ctx, timeout, counted, make([]ratelimit.Decision, len(counted)))
}

// ask makes a request. It has its own deadline, and is cancelled with the call: a request that fails
// by a short deadline, which the client of a call chooses, would look like a server that does not
// answer. It carries none of the metadata that an outgoing call has.
func (q *quotas) ask(
	ctx context.Context, timeout time.Duration, req *rlsv3.RateLimitRequest,
) (*rlsv3.RateLimitResponse, error) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	resp, err := q.client.ShouldRateLimit(metadata.NewOutgoingContext(own, nil), req)
	switch {
	case err == nil:
		return resp, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case own.Err() != nil:
		return nil, fmt.Errorf("ratelimitrls: the server did not answer within %v: %w", timeout, err)
	default:
		return nil, fmt.Errorf("ratelimitrls: the request failed: %w", err)
	}
}

// request returns the request for demands.
func (q *quotas) request(demands []ratelimit.Demand) *rlsv3.RateLimitRequest {
	most := 0
	for i := range demands {
		most = max(most, demands[i].Permits)
	}
	most = min(most, math.MaxUint32)
	req := &rlsv3.RateLimitRequest{
		Domain: q.config.Domain, HitsAddend: uint32(most),
		Descriptors: make([]*ratelimitv3.RateLimitDescriptor, len(demands)),
	}
	for i := range demands {
		req.Descriptors[i] = q.limits[demands[i].Limit].descriptor(&demands[i])
		switch n := demands[i].Permits; {
		case n < 0:
			req.Descriptors[i].HitsAddend, req.Descriptors[i].IsNegativeHits = wrapperspb.UInt64(uint64(-n)), true
		case n == 0 || n != most:
			req.Descriptors[i].HitsAddend = wrapperspb.UInt64(uint64(n))
		}
	}
	return req
}
