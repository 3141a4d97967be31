package ratelimit_test

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/callkey"
	"github.com/hauberk-rpc/hauberk/interceptors/ratelimit"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// model says what an algorithm should do, for one key, in the plainest way.
type model interface {
	// admits reports whether a call would be admitted at a time not before others.
	admits(now time.Duration) bool
	// charge takes a permit for a call that was admitted at that time.
	charge(now time.Duration)
}

// tokens is a bucket that is filled continuously. It counts in parts of a token:
// per of them are one, and limit of them come in each nanosecond.
type tokens struct {
	limit, per, burst int64
	parts             int64
	last              time.Duration
	used              bool
}

func (m *tokens) at(now time.Duration) int64 {
	if !m.used {
		return m.burst * m.per
	}
	return min(m.burst*m.per, m.parts+int64(now-m.last)*m.limit)
}

func (m *tokens) admits(now time.Duration) bool { return m.at(now) >= m.per }
func (m *tokens) charge(now time.Duration)      { m.parts, m.last, m.used = m.at(now)-m.per, now, true }

// sliding remembers every call.
type sliding struct {
	limit int
	per   time.Duration
	calls []time.Duration
}

func (m *sliding) admits(now time.Duration) bool {
	recent := 0
	for _, at := range m.calls {
		if now-at < m.per {
			recent++
		}
	}
	return recent < m.limit
}

func (m *sliding) charge(now time.Duration) { m.calls = append(m.calls, now) }

// fixed counts by the number of the window.
type fixed struct {
	limit int
	per   time.Duration
	calls map[time.Duration]int
}

func (m *fixed) admits(now time.Duration) bool { return m.calls[now/m.per] < m.limit }
func (m *fixed) charge(now time.Duration)      { m.calls[now/m.per]++ }

func modelOf(c ratelimit.Config) model {
	switch c.Algorithm {
	case ratelimit.SlidingWindow:
		return &sliding{limit: c.Limit, per: c.Per}
	case ratelimit.FixedWindow:
		return &fixed{limit: c.Limit, per: c.Per, calls: make(map[time.Duration]int)}
	default:
		return &tokens{limit: int64(c.Limit), per: int64(c.Per), burst: int64(c.Burst)}
	}
}

func drawConfig(t *rapid.T) ratelimit.Config {
	c := ratelimit.Config{
		Limit:     rapid.IntRange(1, 7).Draw(t, "limit"),
		Per:       time.Duration(rapid.Int64Range(1, 1000).Draw(t, "per")) * time.Millisecond,
		Algorithm: ratelimit.Algorithm(rapid.IntRange(0, 2).Draw(t, "algorithm")),
		By:        callkey.State(userKey),
	}
	c.Burst = c.Limit
	if c.Algorithm == ratelimit.GCRA {
		c.Burst = rapid.IntRange(1, 9).Draw(t, "burst")
	}
	return c
}

// TestModel compares a limiter with a model for each key, over any calls of some
// users and of no one from some peers, by a clock that moves as it likes: each call
// must be admitted or rejected as the model says, and a rejection's RetryAfter must be
// the first moment at which the model would admit it.
func TestModel(t *testing.T) {
	testseed.Check(t, func(r *rapid.T) {
		c := drawConfig(r)
		now := time.Duration(rapid.Int64Range(0, 5000).Draw(r, "start"))
		clock := func() time.Time { return time.Unix(0, int64(now)) }
		serve := server(t, login{}, ratelimit.New(c, ratelimit.WithClock(clock)))
		models := make(map[[2]string]model)
		for range rapid.IntRange(1, 60).Draw(r, "calls") {
			now += time.Duration(rapid.Int64Range(0, int64(c.Per)).Draw(r, "step") * rapid.Int64Range(0, 1).Draw(r, "moves"))
			id, ctx := drawCaller(r)
			m := models[id]
			if m == nil {
				m = modelOf(c)
				models[id] = m
			}
			check(r, m, now, serve(ctx))
		}
	})
}

func drawCaller(t *rapid.T) (id [2]string, ctx context.Context) {
	ip := rapid.SampledFrom([]string{"192.0.2.1", "2001:db8::1"}).Draw(t, "peer")
	switch user := rapid.SampledFrom([]string{"", "alice", "bob", "192.0.2.1"}).Draw(t, "user"); user {
	case "":
		return [2]string{"peer", ip}, from(tcp(ip))
	default:
		return [2]string{"user", user}, from(tcp(ip), "user", user)
	}
}

func check(t *rapid.T, m model, now time.Duration, err error) {
	t.Helper()
	switch {
	case m.admits(now) != (err == nil):
		t.Fatalf("at %v: got %v, the model admits: %t", now, err, m.admits(now))
	case err == nil:
		m.charge(now)
	default:
		wait := retryAfter(err)
		if wait <= 0 || !m.admits(now+wait) || m.admits(now+wait-1) {
			t.Fatalf("at %v: rejected for %v; that is not the first moment", now, wait)
		}
	}
}
