package window_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/window"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// quota is a Counter or a Log.
type quota interface {
	Allow(l *window.Limit, now time.Duration, n int) window.Decision
	Check(l *window.Limit, now time.Duration, n int) window.Decision
	Charge(l *window.Limit, now time.Duration, n int) window.Decision
}

// taken are the permits that a model remembers, in the order of time.
type taken struct {
	at []time.Duration
	in func(now, at time.Duration) bool // a permit that was taken at a time still counts
}

func (m *taken) count(now time.Duration) int {
	for len(m.at) > 0 && !m.in(now, m.at[0]) {
		m.at = m.at[1:]
	}
	return len(m.at)
}

func (m *taken) charge(now time.Duration, n, most int) {
	had := m.count(now)
	for range min(n, most-had) {
		m.at = append(m.at, now)
	}
	if n < 0 {
		m.at = m.at[:max(had+n, 0)]
	}
}

// Check decides as Allow does and takes nothing; Charge takes and gives back within its bounds.
func TestCharge(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		permits, period := rapid.IntRange(1, 9).Draw(t, "permits"), time.Duration(rapid.Int64Range(1, 100).Draw(t, "period"))
		limit := must(t, permits, period)
		var s quota = new(window.Log)
		m := &taken{in: func(now, at time.Duration) bool { return now-at < period }}
		if rapid.Bool().Draw(t, "fixed") {
			s, m.in = new(window.Counter), func(now, at time.Duration) bool { return now/period == at/period }
		}
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now += time.Duration(rapid.Int64Range(0, int64(period)).Draw(t, "step") * rapid.Int64Range(0, 1).Draw(t, "moves"))
			n := rapid.IntRange(0, permits+1).Draw(t, "n")
			checked := s.Check(limit, now, n)
			if rapid.Bool().Draw(t, "charge") {
				n = rapid.IntRange(-3*permits, 3*permits).Draw(t, "charged")
				s.Charge(limit, now, n)
				m.charge(now, n, 2*permits)
				continue
			}
			ok := m.count(now)+n <= permits
			d := s.Allow(limit, now, n)
			if d.OK != ok || d.OK != checked.OK || d.RetryAfter != checked.RetryAfter || d.Remaining != max(permits-m.count(now), 0)-given(ok, n) {
				t.Fatalf("at %d: Allow(%d) = %+v after Check = %+v, want OK %t with %d taken", now, n, d, checked, ok, m.count(now))
			}
			if ok {
				m.charge(now, n, 2*permits)
			}
		}
	})
}

func given(ok bool, n int) int {
	if ok {
		return n
	}
	return 0
}
