package metricsprom_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/breaker"
	"github.com/hauberk-rpc/hauberk/interceptors/concurrency"
	"github.com/hauberk-rpc/hauberk/interceptors/metrics/metricsprom"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
)

// The interceptors of a chain report their numbers, while a call is in flight too, and the metrics
// satisfy Prometheus' linter.
func TestChainCollector(t *testing.T) {
	during := make(chan struct{})
	var collector *metricsprom.ChainCollector
	var running string
	inside := hauberk.Func(func(ctx context.Context, call *hauberk.Call, next hauberk.Next) error {
		defer close(during)
		running = text(t, gather(t, collector))
		return next(ctx, call)
	})
	chain := hauberk.Must(hauberk.New(
		ratelimit.New(ratelimit.Config{Limit: 1, Per: time.Hour}),
		ratelimit.New(ratelimit.Config{Limit: 9, Per: time.Hour}),
		concurrency.New(concurrency.Config{Limit: 3, Load: &concurrency.Load{High: 2, Low: 1}}, concurrency.WithProbe(func() float64 { return 0.5 })),
		hauberk.Shadow(concurrency.New(concurrency.Config{Limit: 1, By: callkey.Method()})),
		inside,
	))
	collector = metricsprom.NewChainCollector(chain)
	serve := hauberktest.Direct{}.Server(chain)
	if err := serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-during
	for _, want := range []string{
		`hauberk_ratelimit_keys{interceptor="ratelimit(peer)"} 1`,
		`hauberk_ratelimit_keys{interceptor="ratelimit(peer)#2"} 1`,
		`hauberk_concurrency_running{interceptor="concurrency(everything)"} 1`,
		`hauberk_concurrency_running{interceptor="concurrency(method)"} 1`,
		`hauberk_concurrency_limit{interceptor="concurrency(everything)"} 3`,
		`hauberk_concurrency_load{interceptor="concurrency(everything)"} 0.5`,
		`hauberk_concurrency_rejected_total{interceptor="concurrency(method)",reason="CONCURRENCY_FULL"} 0`,
	} {
		if !strings.Contains(running, want+"\n") {
			t.Errorf("no %s in\n%s", want, running)
		}
	}
	if now := text(t, gather(t, collector)); !strings.Contains(now, `hauberk_concurrency_running{interceptor="concurrency(method)"} 0`) {
		t.Errorf("after the call:\n%s", now)
	}
	problems, err := promlint.NewWithMetricFamilies(gather(t, collector)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// The circuits of a breaker are counted by state.
func TestChainCollectorOfBreakers(t *testing.T) {
	chain := hauberk.Must(hauberk.New(breaker.New(breaker.Config{})))
	if err := (hauberktest.Direct{}).Client(chain)(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := text(t, gather(t, metricsprom.NewChainCollector(chain)))
	for _, want := range []string{`state="closed"} 1`, `state="open"} 0`, `state="half_open"} 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestNilChain(t *testing.T) {
	err := prometheus.NewRegistry().Register(metricsprom.NewChainCollector(nil))
	if err == nil || !strings.Contains(err.Error(), "the *hauberk.Chain is nil") {
		t.Error(err)
	}
}
