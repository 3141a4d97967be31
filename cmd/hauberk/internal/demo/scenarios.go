package demo

import (
	"context"

	"google.golang.org/grpc"

	"github.com/hauberk-rpc/hauberk/cmd/hauberk/internal/demo/shoppb"
)

// shopper is a client of the shop.
type shopper struct {
	cart    shoppb.CartClient
	catalog shoppb.CatalogClient
	conn    grpc.ClientConnInterface
}

func newShopper(conn grpc.ClientConnInterface) *shopper {
	return &shopper{shoppb.NewCartClient(conn), shoppb.NewCatalogClient(conn), conn}
}

// crowd has all shoppers by name.
type crowd map[string]*shopper

// scenario is one call or a sequence of calls. Its outcome is that of the last call. In
// the first round the outcome is known in advance.
type scenario struct {
	name  string
	who   string
	play  func(ctx context.Context, s *shopper) error
	calls int
}

// round returns the scenarios of one round: two successes for each failure.
func round() []scenario {
	good, bad := successes(), failures()
	all := make([]scenario, 0, 3*len(bad))
	for i, sc := range bad {
		all = append(all, good[2*i%len(good)], good[(2*i+1)%len(good)], sc)
	}
	return all
}

func successes() []scenario {
	return []scenario{
		{"get", anna, get("anna"), 1},
		{"search", anna, search("coif"), 1},
		{"import", anna, importItems("anna", 1, 2), 1},
		{"watch to the end", anna, watch(cartPaid), 1},
		{"chat", anna, chat("anna"), 1},
		{"get from a flaky storage", anna, get(cartFlaky), 1},
		{"get another", anna, get("frida"), 1},
		{"search for everything", anna, search(""), 1},
		{"import more", anna, importItems("frida", 1, 1, 1), 1},
		{"search without a result", anna, search("helmet"), 1},
	}
}

// failures returns a scenario for each kind of failure.
func failures() []scenario {
	return []scenario{
		{"get a missing cart", anna, get(cartMissing), 1},
		{"import too much", anna, importItems("greta", 60, 60), 1},
		{"leave while watching", anna, leaveWatching, 1},
		{"get from an offline store", anna, get(cartOffline), 1},
		{"call an unknown method", anna, unknown("/shop.v1.Cart/Checkout"), 1},
		{"get a broken cart", anna, get(cartBroken), 1},
		{"watch a missing cart", anna, watch(cartMissing), 1},
		{"search a corrupt index", anna, search(queryCorrupt), 1},
		{"give up on a stuck cart", anna, giveUp, 1},
		{"chat about a broken cart", anna, chat(cartBroken), 1},
		{"call an unknown service", anna, unknown("/shop.v1.Wishlist/Get"), 1},
		{"import to an offline store", anna, importItems(cartOffline, 1), 1},
		{"run out of time", anna, runOutOfTime, 1},
		{"get a cart without id", anna, get(""), 1},
		{"abandon a chat", anna, abandonChat, 1},
		{"call without a token", noToken, get("anna"), 1},
		{"call with a forged token", eve, chat("anna"), 1},
		{"call with a token of a retired key", felix, search("coif"), 1},
		{"call with an expired token", dora, watch("anna"), 1},
		{"call while suspended", gerda, importItems("gerda", 1), 1},
		{"exceed the rate limit", bertha, times(trialCalls+1, get("bertha")), trialCalls + 1},
		{"search second-hand goods", carla, times(2, search(querySecondHand)), 2},
	}
}
