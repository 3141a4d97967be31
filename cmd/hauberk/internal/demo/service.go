package demo

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
)

// The ids of carts with a special behavior. All other ids are ordinary carts.
const (
	cartMissing = "missing" // NOT_FOUND
	cartOffline = "offline" // UNAVAILABLE
	cartStuck   = "stuck"   // no response until the caller gives up
	cartBroken  = "broken"  // the handler panics
	cartFlaky   = "flaky"   // UNAVAILABLE for the first attempt of each call
	cartPaid    = "paid"    // no further changes, so that a watch ends
)

// shop serves Cart and Catalog. Its only state is the index of second-hand goods. All
// ordinary carts have the same items.
type shop struct {
	shoppb.UnimplementedCartServer
	shoppb.UnimplementedCatalogServer

	secondHand index
}

func (s *shop) register(srv grpc.ServiceRegistrar) {
	shoppb.RegisterCartServer(srv, s)
	shoppb.RegisterCatalogServer(srv, s)
}

// open looks up a cart, and fails for those that fail on purpose.
func (s *shop) open(ctx context.Context, id string) error {
	switch id {
	case "":
		return status.Error(codes.InvalidArgument, "cart_id is empty; want the id of a cart")
	case cartMissing:
		return status.Errorf(codes.NotFound, "there is no cart %q", id)
	case cartOffline:
		return status.Error(codes.Unavailable, "the storage of carts is offline")
	case cartStuck:
		<-ctx.Done()
		return ctx.Err()
	case cartBroken:
		panic("the cart's total does not add up")
	case cartFlaky:
		if isFirstAttempt(ctx) {
			return status.Error(codes.Unavailable, "the storage of carts is busy")
		}
	}
	return work(ctx, time.Millisecond)
}

// isFirstAttempt reports whether a call is the first attempt. A call without a number is.
func isFirstAttempt(ctx context.Context) bool {
	number := metadata.ValueFromIncomingContext(ctx, attemptKey)
	return len(number) == 0 || number[0] == "1"
}

// work waits for a random time up to d, or until ctx is done.
func work(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Get returns the cart.
func (s *shop) Get(ctx context.Context, req *shoppb.GetRequest) (*shoppb.GetResponse, error) {
	if err := s.open(ctx, req.GetCartId()); err != nil {
		return nil, err
	}
	items := cartItems()
	return &shoppb.GetResponse{CartId: req.GetCartId(), Items: items, TotalCents: total(items)}, nil
}

// Import adds the items that the shop sells and skips all others.
func (s *shop) Import(stream grpc.ClientStreamingServer[shoppb.ImportRequest, shoppb.ImportResponse]) error {
	summary := &shoppb.ImportResponse{}
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(summary)
		}
		if err != nil {
			return err
		}
		if err := s.open(stream.Context(), req.GetCartId()); err != nil {
			return err
		}
		if sold(req.GetItem().GetSku()) {
			summary.Added++
		} else {
			summary.Skipped++
		}
	}
}

// Watch sends the changes that filled the cart. Unless the cart is paid, it then waits
// until the caller leaves.
func (s *shop) Watch(req *shoppb.WatchRequest, stream grpc.ServerStreamingServer[shoppb.WatchResponse]) error {
	ctx := stream.Context()
	if err := s.open(ctx, req.GetCartId()); err != nil {
		return err
	}
	items := cartItems()
	for i, item := range items {
		change := &shoppb.WatchResponse{
			Change: shoppb.WatchResponse_CHANGE_ADDED, Item: item, TotalCents: total(items[:i+1]),
		}
		if err := stream.Send(change); err != nil {
			return err
		}
	}
	if req.GetCartId() == cartPaid {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// Chat replies to each message before it reads the next.
func (s *shop) Chat(stream grpc.BidiStreamingServer[shoppb.ChatRequest, shoppb.ChatResponse]) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.open(stream.Context(), req.GetCartId()); err != nil {
			return err
		}
		if err := stream.Send(&shoppb.ChatResponse{From: "Wayland", Text: "Good day! " + req.GetText()}); err != nil {
			return err
		}
	}
}

// cartItems returns the items of every ordinary cart: one of each product.
func cartItems() []*shoppb.Item {
	products := catalog()
	items := make([]*shoppb.Item, 0, len(products))
	for _, p := range products {
		items = append(items, &shoppb.Item{Sku: p.GetSku(), Quantity: 1, UnitPriceCents: p.GetPriceCents()})
	}
	return items
}

func total(items []*shoppb.Item) int64 {
	var cents int64
	for _, item := range items {
		cents += int64(item.GetQuantity()) * item.GetUnitPriceCents()
	}
	return cents
}
