package report

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
)

// limit bounds the reports: one of a kind in Config.Every, and Config.PerMinute of all. Safe for concurrent
// use.
type limit struct {
	every time.Duration
	kinds *keyed.Map[kind]
	rate  *gcra.Limit
	all   gcra.Bucket
	epoch atomic.Pointer[time.Time] // of the first incident

	reported, suppressed, panics atomic.Uint64
}

// kind is the incidents that are alike.
type kind struct {
	mu         sync.Mutex
	reported   bool
	last       time.Duration // when the last one was reported
	suppressed uint64        // since then
}

func newLimit(config Config) (*limit, error) {
	rate, err := gcra.New(config.PerMinute, time.Minute, config.PerMinute)
	if err != nil {
		return nil, err
	}
	kinds, err := keyed.New[kind](keyed.Config{MaxKeys: config.MaxKinds}, nil)
	if err != nil {
		return nil, err
	}
	return &limit{every: config.Every, kinds: kinds, rate: rate}, nil
}

// admit reports whether an incident is to be reported, with the number of those like it since the last
// one.
func (l *limit) admit(i *Incident) (suppressed uint64, ok bool) {
	if l.epoch.Load() == nil {
		first := i.Time // a pointer into the incident would keep all of it
		l.epoch.CompareAndSwap(nil, &first)
	}
	now := max(0, i.Time.Sub(*l.epoch.Load()))
	k := l.kinds.Get(i.kind(), now)
	k.mu.Lock()
	defer k.mu.Unlock()
	passed := now - k.last
	if again := k.reported && passed >= 0 && passed < l.every; again || !l.all.Allow(l.rate, now, 1).OK {
		k.suppressed++
		l.suppressed.Add(1)
		return 0, false
	}
	suppressed = k.suppressed
	k.reported, k.last, k.suppressed = true, now, 0
	l.reported.Add(1)
	return suppressed, true
}

// kind returns a key that incidents have in common if they are alike.
func (i *Incident) kind() string {
	return strconv.Itoa(int(i.Side)) + " " + strconv.Itoa(int(i.Code)) + " " + strconv.FormatBool(i.Panic) + " " +
		i.Method + "\n" + i.Reason + "\n" + i.PanicAt
}

// Measurements returns the numbers of incidents: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	if x.limit == nil {
		return nil
	}
	counter := func(name, help string, n *atomic.Uint64) hauberk.Measurement {
		return hauberk.Measurement{Name: name, Help: help, Counter: true, Value: float64(n.Load())}
	}
	return []hauberk.Measurement{
		counter("report_reported_total", "Incidents that were reported.", &x.limit.reported),
		counter("report_suppressed_total", "Incidents that were counted only.", &x.limit.suppressed),
		counter("report_panics_total", "Panics of functions that the interceptor calls.", &x.limit.panics),
	}
}
