package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/examples/shop/shoppb"
	"github.com/hauberk-rpc/hauberk/interceptors/authn"
)

// shop is the service. It knows nothing about the chain except the keys of its state.
type shop struct {
	shoppb.UnimplementedShopServer

	mu     sync.Mutex // guards items and orders
	items  map[string]*shoppb.Item
	orders map[string]*shoppb.Order
}

func newShop() *shop {
	return &shop{
		items:  map[string]*shoppb.Item{"tea": {Name: "tea", PriceCents: 350, Stock: 5}},
		orders: make(map[string]*shoppb.Order),
	}
}

// ListItems sends the items in the order of their names.
func (s *shop) ListItems(req *shoppb.ListItemsRequest, stream grpc.ServerStreamingServer[shoppb.Item]) error {
	s.mu.Lock()
	items := maps.Clone(s.items) // an item is replaced, never changed
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(items)) {
		if !strings.Contains(name, req.GetContains()) {
			continue
		}
		if err := stream.Send(items[name]); err != nil {
			return err
		}
	}
	return nil
}

// Buy buys an item for the user and the tenant of the call.
func (s *shop) Buy(ctx context.Context, req *shoppb.BuyRequest) (*shoppb.Order, error) {
	user := authn.User.Or(ctx, "")
	key := user + "/" + req.GetOrderId()
	s.mu.Lock()
	defer s.mu.Unlock()
	if order, ok := s.orders[key]; ok {
		return order, nil
	}
	item, ok := s.items[req.GetItem()]
	if !ok || item.GetStock() == 0 {
		return nil, status.Errorf(codes.NotFound, "there is no %q", req.GetItem())
	}
	s.items[item.GetName()] = &shoppb.Item{
		Name: item.GetName(), PriceCents: item.GetPriceCents(), Stock: item.GetStock() - 1,
	}
	order := &shoppb.Order{
		Id: req.GetOrderId(), User: user, Tenant: Tenant.Or(ctx, ""), PriceCents: item.GetPriceCents(),
	}
	s.orders[key] = order
	return order, nil
}

// Restock replaces items of the stock.
func (s *shop) Restock(stream grpc.ClientStreamingServer[shoppb.Item, shoppb.RestockResponse]) error {
	for n := int32(0); ; n++ {
		item, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&shoppb.RestockResponse{Items: n})
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.items[item.GetName()] = item
		s.mu.Unlock()
	}
}

// Quote answers each request with a price.
func (s *shop) Quote(stream grpc.BidiStreamingServer[shoppb.QuoteRequest, shoppb.Quotation]) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		price := s.items[req.GetItem()].GetPriceCents()
		s.mu.Unlock()
		err = stream.Send(&shoppb.Quotation{Item: req.GetItem(), PriceCents: price * int64(req.GetCount())})
		if err != nil {
			return err
		}
	}
}
