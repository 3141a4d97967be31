package hauberk_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk"
)

// gauge measures itself.
type gauge struct{ value float64 }

func (g *gauge) Declare() hauberk.Declaration {
	return hauberk.Declaration{Name: "gauge", Decides: true, Repeatable: true}
}

func (g *gauge) Intercept(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
	return next(ctx, call)
}

func (g *gauge) Measurements() []hauberk.Measurement {
	return []hauberk.Measurement{{Name: "gauge_value", Value: g.value}, {Name: "gauge_total", Counter: true}}
}

// Interceptors are found under names, scopes, conditions and dry run; each is measured once. The calls of
// servers come last.
func TestMeasurements(t *testing.T) {
	twice := &gauge{5}
	always := func(*hauberk.Call) bool { return true }
	chain := hauberk.Must(hauberk.New(
		hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error { return next(ctx, call) }),
		&gauge{1}, hauberk.Named("mine", &gauge{2}), hauberk.For("a.B/*", &gauge{3}),
		hauberk.Shadow(&gauge{4}), hauberk.When(always, twice), twice,
		hauberk.Declare(&gauge{6}, hauberk.Declaration{Name: "declared"}),
	))
	var got []string
	for name, m := range chain.Measurements() {
		if !m.Counter {
			got = append(got, fmt.Sprint(name, " ", m.Name, " ", m.Value))
		}
	}
	want := []string{
		"gauge gauge_value 1", "mine gauge_value 2", "gauge#2 gauge_value 3", "gauge#3 gauge_value 4",
		"gauge#4 gauge_value 5", "declared gauge_value 6", "server server_running 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range chain.Measurements() {
		break // ends
	}
}
