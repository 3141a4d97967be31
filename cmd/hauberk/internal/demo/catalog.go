package demo

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
)

// The queries with a special behavior.
const (
	queryCorrupt    = "corrupt"     // fails with an error that has no status
	querySecondHand = "second-hand" // uses an index that goes offline from time to time
)

// index is offline for the first outage requests of each outagesIn requests. Outages
// depend on the number of requests, not on time, so that the first outage is
// deterministic: the breaker opens, and its first probe fails.
type index struct{ requests atomic.Uint64 }

const (
	outage    = maxAttempts + 1
	outagesIn = 12
)

func (x *index) query() error {
	if (x.requests.Add(1)-1)%outagesIn < outage {
		return status.Error(codes.Unavailable, "the index of second-hand goods is offline")
	}
	return nil
}

// Search takes longer than the other methods.
func (s *shop) Search(ctx context.Context, req *shoppb.SearchRequest) (*shoppb.SearchResponse, error) {
	switch req.GetQuery() {
	case queryCorrupt:
		return nil, errors.New("catalog: shard 3 of the index is corrupt") // no status: not sent to the client
	case querySecondHand:
		if err := s.secondHand.query(); err != nil {
			return nil, err
		}
	}
	if err := work(ctx, 8*time.Millisecond); err != nil {
		return nil, err
	}
	resp := &shoppb.SearchResponse{}
	for _, p := range catalog() {
		if strings.Contains(strings.ToLower(p.GetTitle()), strings.ToLower(req.GetQuery())) {
			resp.Products = append(resp.Products, p)
		}
	}
	return resp, nil
}

// catalog returns the products that the shop sells.
func catalog() []*shoppb.Product {
	return []*shoppb.Product{
		{Sku: "MAIL-001", Title: "Hauberk, riveted", PriceCents: 89900},
		{Sku: "MAIL-002", Title: "Coif", PriceCents: 15900},
		{Sku: "MAIL-003", Title: "Chausses, a pair", PriceCents: 21900},
		{Sku: "CARE-001", Title: "Barrel for scouring with sand", PriceCents: 4900},
	}
}

func sold(sku string) bool {
	for _, p := range catalog() {
		if p.GetSku() == sku {
			return true
		}
	}
	return false
}
