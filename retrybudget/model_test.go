package retrybudget_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/testseed"
	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// model is a budget in the plainest way: it remembers every call and every extra attempt.
type model struct {
	share, reserve, balance float64 // multiples of 1/4, so that sums are exact
	step                    time.Duration
	calls, extra, failures  []time.Duration
	failing                 float64 // the ratio of failures; 0 for none
	made, pending           int     // all calls, and those since the clock was last read
	most, each, tokens      int     // in thousandths
}

// recent returns how many of the times are in the window at now: the step of now and the nine
// before it.
func (m *model) recent(times []time.Duration, now time.Duration) float64 { return m.in(10, times, now) }

// in returns how many of the times are in the last steps at now.
func (m *model) in(steps time.Duration, times []time.Duration, now time.Duration) float64 {
	n := 0
	for _, at := range times {
		if at/m.step > now/m.step-steps {
			n++
		}
	}
	return float64(n)
}

// fails reports whether too many calls fail.
func (m *model) fails(now time.Duration) bool {
	failures := m.in(2, m.failures, now)
	return m.failing > 0 && failures > 20 && failures > m.failing*m.in(2, m.calls, now)
}

func (m *model) bound(now time.Duration) float64 {
	return max(m.reserve, m.share*m.recent(m.calls, now))
}

// read counts the calls since the clock was last read.
func (m *model) read(now time.Duration) {
	for range m.pending {
		m.calls = append(m.calls, now)
		m.balance += m.share
	}
	m.pending = 0
	m.balance = min(m.balance, m.bound(now))
}

func (m *model) call(now time.Duration) {
	m.made++
	m.pending++
	if m.made%16 == 0 {
		m.read(now)
	}
}

func (m *model) take(now time.Duration) bool {
	if m.most > 0 && m.tokens*2 <= m.most {
		return false
	}
	m.read(now)
	if m.fails(now) || m.balance < 1 || m.bound(now)-m.recent(m.extra, now) < 1 {
		return false
	}
	m.balance--
	m.extra = append(m.extra, now)
	return true
}

// TestAgainstModel: a budget decides as the model does.
func TestAgainstModel(t *testing.T) {
	testseed.Check(t, func(t *rapid.T) {
		config := retrybudget.Config{
			Ratio:   rapid.SampledFrom([]float64{0.25, 0.5, 1}).Draw(t, "ratio"),
			Reserve: rapid.IntRange(0, 3).Draw(t, "reserve"),
			Window:  10 * time.Second,
		}
		config.NoReserve = config.Reserve == 0
		config.NoFailureRatio = !rapid.Bool().Draw(t, "failures")
		if !config.NoFailureRatio {
			config.FailureRatio = 0.5
		}
		if rapid.Bool().Draw(t, "tokens") {
			config.MaxTokens, config.TokenRatio = rapid.IntRange(1, 8).Draw(t, "max"), 0.5
		}
		now := time.Duration(0)
		begin := time.Unix(1_700_000_000, 0)
		b := retrybudget.New(config, retrybudget.WithClock(func() time.Time { return begin.Add(now) }))
		if b.Err() != nil {
			t.Fatal(b.Err())
		}
		m := &model{
			failing: config.FailureRatio, share: config.Ratio, reserve: float64(config.Reserve), balance: float64(config.Reserve), step: time.Second,
			most: config.MaxTokens * 1000, each: 500, tokens: config.MaxTokens * 1000,
		}
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) { now += time.Duration(rapid.Int64Range(0, int64(4*time.Second)).Draw(t, "passes")) },
			"long": func(*rapid.T) { now += 25 * time.Second },
			"calls": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					b.Call()
					m.call(now)
				}
			},
			"take": func(t *rapid.T) {
				if got, want := b.Take(), m.take(now); got != want {
					t.Fatalf("at %v: Take returned %t, want %t of %+v", now, got, want, m)
				}
			},
			"return": func(*rapid.T) {
				if b.Take() {
					b.Return()
				}
				if m.take(now) {
					m.balance++
					m.extra = m.extra[:len(m.extra)-1]
				}
			},
			"success": func(*rapid.T) {
				b.Success()
				m.tokens = min(m.tokens+m.each, m.most)
			},
			"failures": func(t *rapid.T) {
				m.read(now) // Failure reads the clock
				for range rapid.IntRange(1, 15).Draw(t, "n") {
					b.Failure()
					m.tokens = max(m.tokens-1000, 0)
					m.failures = append(m.failures, now)
				}
			},
			"": func(t *rapid.T) {
				s := b.Snapshot()
				m.read(now)
				want := retrybudget.Snapshot{
					Calls: int(m.recent(m.calls, now)), Extra: int(m.recent(m.extra, now)), Available: s.Available,
					Tokens: float64(m.tokens) / 1000,
				}
				if m.failing > 0 {
					want.Failures = int(m.in(2, m.failures, now))
				}
				if s != want || m.fails(now) && s.Available != 0 {
					t.Fatalf("snapshot %+v, want %+v", s, want)
				}
			},
		})
	})
}
