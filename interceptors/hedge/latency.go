package hedge

import (
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
)

// latency is the recent latency of a method.
type latency struct{ *quantile.Live }

// setup prepares the latency of a method that is called for the first time.
func (h *Interceptor) setup(_ string, l *latency) { l.Live = quantile.NewLive(h.config.live()) }

// latencyOf returns the latency of a call's method, or nil without DelayQuantile.
func (h *Interceptor) latencyOf(call *hauberk.Call) *latency {
	if h.latency == nil {
		return nil
	}
	return h.latency.Get(call.Method().FullName(), h.now())
}

// delay returns the delay for a method.
func (h *Interceptor) delay(l *latency) time.Duration {
	if h.config.NoDelay {
		return 0
	}
	if l == nil {
		return h.config.Delay
	}
	d, ok := l.Value(h.now())
	if !ok {
		return h.config.Delay
	}
	return min(max(d, h.config.MinDelay), h.config.MaxDelay)
}

// Delays returns the delay that the next call of each method would have, by full name such as
// "/shop.v1.Cart/Get", for the methods whose latency is known. It returns nil without
// [Config].DelayQuantile. Safe for concurrent use.
//
// The latency is that of the first attempts of hedged calls: until their response, or in a
// stream of responses until the application receives the first message. An attempt that ends in
// another way counts if it took the delay or longer, with the time until then. So neither
// quick failures nor attempts that were cancelled for a hedge make the quantile shorter.
func (h *Interceptor) Delays() map[string]time.Duration {
	if h.latency == nil {
		return nil
	}
	delays := make(map[string]time.Duration)
	for method, l := range h.latency.All() {
		if _, ok := l.Value(h.now()); ok {
			delays[method] = h.delay(l)
		}
	}
	return delays
}

// stopwatch measures the latency of the first attempt of a call.
type stopwatch struct {
	of      *latency
	now     func() time.Duration
	began   time.Duration
	delay   time.Duration // of the call
	stopped atomic.Bool   // the first message of a stream has arrived
}

// watch returns a stopwatch for the first attempt, or nil if no latency is kept.
func (r *race) watch(attempt *hauberk.Call) *stopwatch {
	if r.latency == nil {
		return nil
	}
	w := &stopwatch{of: r.latency, now: r.hedge.now, began: r.hedge.now(), delay: r.delay}
	if attempt.Kind().ServerStreams() {
		attempt.OnReceive(func(any) (bool, error) {
			w.stop(true)
			return true, nil
		})
	}
	return w
}

// stop records the latency of an attempt that has answered, or that took the delay or longer.
func (w *stopwatch) stop(answered bool) {
	if w == nil || w.stopped.Load() {
		return
	}
	now := w.now()
	if elapsed := now - w.began; (answered || elapsed >= w.delay) && w.stopped.CompareAndSwap(false, true) {
		w.of.Record(now, elapsed)
	}
}
