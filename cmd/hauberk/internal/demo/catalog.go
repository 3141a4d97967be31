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

// Queries for which the catalog does something known.
const (
	queryCorrupt    = "corrupt"     // it fails with an error that has no status
	querySecondHand = "second-hand" // an index that is offline from time to time
)

// index is offline for the first few of so many requests, and again of the next.
// It goes by requests and not by time so that its first outage is known: a breaker
// opens in it, and stays open for another turn after the first probe.
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
		return nil, errors.New("catalog: shard 3 of the index is corrupt") // no status: the client is not told
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

// catalog returns what the shop sells.
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
