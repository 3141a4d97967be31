package callexpr_test

import (
	"context"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callexpr"
	"github.com/hauberk-rpc/hauberk/callkey"
)

// FuzzCompile looks for an expression that panics, or that has a value although it does not compile.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		`identity.tenant + "/" + method`, `"plan" in metadata ? metadata.plan.last() : "free"`, `int(identity.claims.account) * 2`,
		`client_addr.in_cidr("10.0.0.0/8") ? 1.5 : 0.0 / 0.0`, `method.matches("^(a{1000}){1000}$")`, `metadata.map(k, metadata[k].last()).last()`,
		`identity.roles.filter(r, r.startsWith("x")).last()`, `now.getHours("Europe/Berlin")`, `request.text`, `((((`, "\x00", `[[1]].last().last()`,
		`{"a": 1}.map(k, k).last()`, `string(b"\xff")`, `hauberk.Identity{subject: "x"}.subject`, `dyn(metadata)["x"].last()`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, cost := callexpr.Key("k", text), callexpr.Cost(text)
		if key.Err() == nil && cost.Err() == nil && text == "" {
			t.Error("an empty expression compiles")
		}
		if all := callkey.All(key); (all.Err() == nil) != (key.Err() == nil) {
			t.Errorf("All: %v, Key: %v", all.Err(), key.Err())
		}
		for _, r := range []request{{}, benchmarked} {
			inside(t, r, func(ctx context.Context, call *hauberk.Call) {
				if value, ok := key.Of(ctx, call); ok != (value != "") || ok && key.Err() != nil {
					t.Errorf("key %q, %t, with the error %v", value, ok, key.Err())
				}
				if n, ok := cost.Of(ctx, call); n < 0 || ok && cost.Err() != nil {
					t.Errorf("cost %d, with the error %v", n, cost.Err())
				}
			})
		}
	})
}
