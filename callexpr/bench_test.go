package callexpr_test

import (
	"context"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callexpr"
	"github.com/hauberk-rpc/hauberk/callkey"
)

// measured are the keys that budgets of allocations hold for. Those of package callkey are for
// comparison.
func measured() []measuredKey {
	return []measuredKey{
		{"callkey.User", callkey.User(), 1}, // of an identity with an issuer
		{"subject", callexpr.Key("k", `identity.subject`), 1},
		{"method", callexpr.Key("k", `method`), 1},
		{"constant", callexpr.Key("k", `"a"`), 0},
		{"choice", callexpr.Key("k", `"buyer" in identity.roles ? identity.tenant : identity.subject`), 3},
		{"joined", callexpr.Key("k", `identity.tenant + "/" + identity.subject`), 6},
		{"callkey.Metadata", callkey.Metadata("plan"), 1},
		{"metadata", callexpr.Key("k", `metadata.plan.last()`), 6},
		{"claim", callexpr.Key("k", `string(identity.claims.plan)`), 2},
	}
}

type measuredKey struct {
	name  string
	key   callkey.Key
	allow float64 // allocations
}

var benchmarked = request{id: alice, md: md("plan", "gold", "x-a", "1", "x-b", "2")}

// BenchmarkKey is what the key of a call costs, next to those of package callkey.
func BenchmarkKey(b *testing.B) {
	for _, m := range measured() {
		b.Run(m.name, func(b *testing.B) {
			inside(b, benchmarked, func(ctx context.Context, call *hauberk.Call) {
				var room [64]byte
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := m.key.Append(ctx, call, room[:0]); !ok {
						b.Fatal("no key")
					}
				}
			})
		})
	}
}

// BenchmarkCost is what the cost of a call by an expression costs.
func BenchmarkCost(b *testing.B) {
	cost := callexpr.Cost(`"buyer" in identity.roles ? 1 : 10`)
	inside(b, benchmarked, func(ctx context.Context, call *hauberk.Call) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := cost.Of(ctx, call); !ok {
				b.Fatal("no cost")
			}
		}
	})
}
