package gcra_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/gcra"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// indebted is a bucket of tokens that is filled continuously and may be in debt. It counts in
// parts of a token: per of them are one, and permits of them come in each nanosecond.
type indebted struct {
	permits, per, burst, parts int64
	last                       time.Duration
}

func (m *indebted) at(now time.Duration) int64 {
	m.parts, m.last = min(m.burst*m.per, m.parts+int64(now-m.last)*m.permits), now
	return m.parts
}

func (m *indebted) charge(now time.Duration, n int) {
	m.parts = min(max(m.at(now)-int64(n)*m.per, -m.burst*m.per), m.burst*m.per)
}

// Check decides as Allow does and takes nothing; Charge takes and gives back within its bounds.
func TestCharge(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		permits, per := rapid.IntRange(1, 9).Draw(t, "permits"), rapid.Int64Range(1, 1000).Draw(t, "per")
		burst := rapid.IntRange(1, 9).Draw(t, "burst")
		limit := must(t, permits, time.Duration(per), burst).WithDebt()
		m := &indebted{int64(permits), per, int64(burst), int64(burst) * per, 0}
		var b gcra.Bucket
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now += time.Duration(rapid.Int64Range(0, per).Draw(t, "step") * rapid.Int64Range(0, 1).Draw(t, "moves"))
			n := rapid.IntRange(0, burst+1).Draw(t, "n")
			ok := m.at(now) >= int64(n)*per && n <= burst
			checked := b.Check(limit, now, n)
			if rapid.Bool().Draw(t, "charge") {
				n = rapid.IntRange(-3*burst, 3*burst).Draw(t, "charged")
				b.Charge(limit, now, n)
				m.charge(now, n)
				continue
			}
			d := b.Allow(limit, now, n)
			if d != checked || d.OK != ok {
				t.Fatalf("at %d: Allow(%d) = %+v after Check = %+v, want OK %t", now, n, d, checked, ok)
			}
			if ok {
				m.charge(now, n)
			}
			if want := max(m.at(now)/per, 0); int64(d.Remaining) != want {
				t.Fatalf("at %d: %d remaining, want %d", now, d.Remaining, want)
			}
		}
	})
}

// However many permits are charged or given back, a drained bucket is not whole, and a whole one not in debt.
func TestChargeOfAny(t *testing.T) {
	for _, limit := range []*gcra.Limit{
		must(t, 1021, 20*24*time.Hour, 1021), must(t, 1, 40*365*24*time.Hour, 1), must(t, 1001, 21*24*time.Hour, 1001),
		must(t, 1, time.Second, 3), must(t, 1, time.Second, 1<<31-1),
	} {
		for _, limit := range []*gcra.Limit{limit, limit.WithDebt()} {
			for _, n := range []int{1, 2042, math.MaxInt32, math.MaxInt} {
				var b gcra.Bucket
				b.Charge(limit, 0, math.MaxInt)
				b.Charge(limit, 0, n)
				if d := b.Allow(limit, 0, 1); d.OK || d.RetryAfter <= 0 {
					t.Errorf("%+v: drained, and charged %d: %+v", limit, n, d)
				}
				b.Charge(limit, 0, math.MinInt)
				b.Charge(limit, 0, -n)
				if d := b.Allow(limit, 0, 1); !d.OK || d.Remaining < 0 {
					t.Errorf("%+v: whole, and given back %d: %+v", limit, n, d)
				}
			}
		}
	}
}

// Without WithDebt, and at the greatest capacity, nothing overflows.
func TestChargeBounds(t *testing.T) {
	plain := must(t, 1, time.Second, 3)
	var b gcra.Bucket
	if d := b.Charge(plain, 0, 100); d.Remaining != 0 || d.ResetAfter != 3*time.Second {
		t.Errorf("without a debt: %+v", d)
	}
	if d := b.Charge(plain, 0, -100); d.Remaining != 3 || d.ResetAfter != 0 {
		t.Errorf("given back: %+v", d)
	}
	great := must(t, 1, time.Second, 1<<31-1).WithDebt()
	b = gcra.Bucket{}
	for range 4 {
		b.Charge(great, 0, 1<<31-1)
	}
	if d := b.Allow(great, 0, 1); d.OK || d.RetryAfter <= 0 {
		t.Errorf("in debt: %+v", d)
	}
}
