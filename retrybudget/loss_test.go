package retrybudget_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/retrybudget"
)

// losing returns which part of the calls fail that a client makes in even gaps, with up to three attempts, after the
// time from. fails returns the probability at which an attempt fails at a time.
func losing(config retrybudget.Config, gap, length, from time.Duration, fails func(at time.Duration) float64) float64 {
	lost, all := 0, 0
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		begin, now := time.Unix(0, 0), time.Duration(0)
		b := retrybudget.New(config, retrybudget.WithClock(func() time.Time { return begin.Add(now) }))
		for at := time.Duration(0); at < length; at += gap {
			now = at
			b.Call()
			ok := false
			for attempt, wait := 1, 100*time.Millisecond; !ok; attempt, wait = attempt+1, 2*wait {
				if ok = random.Float64() >= fails(now); ok {
					b.Success()
					break
				}
				b.Failure()
				if attempt == 3 || !b.Take() {
					break
				}
				now += wait
			}
			if at >= from {
				all++
				if !ok {
					lost++
				}
			}
		}
	}
	return float64(lost) / float64(all)
}

// TestLoss: FailureRatio costs a client no calls if up to half of its attempts fail, at any rate of calls, nor after an
// outage. ADR 0021 has these numbers, and those of ten tokens.
func TestLoss(t *testing.T) {
	const s = time.Second
	always := func(p float64) func(time.Duration) float64 { return func(time.Duration) float64 { return p } }
	outage := func(from, to time.Duration) func(time.Duration) float64 {
		return func(at time.Duration) float64 {
			if at >= from && at < to {
				return 1
			}
			return 0.05
		}
	}
	for _, c := range []struct {
		name              string
		gap, length, from time.Duration
		fails             func(time.Duration) float64
	}{
		{"a call a second, 10 % fail", s, 600 * s, 0, always(0.1)},
		{"a call a second, 20 % fail", s, 600 * s, 0, always(0.2)},
		{"a call a second, half fail", s, 600 * s, 0, always(0.5)},
		{"100 calls a second, 20 % fail", s / 100, 30 * s, 0, always(0.2)},
		{"100 calls a second, half fail", s / 100, 30 * s, 0, always(0.5)},
		{"a call a second, after 3 s of outage", s, 70 * s, 10 * s, outage(5*s, 8*s)},
		{"a call a second, after 30 s of outage", s, 95 * s, 35 * s, outage(5*s, 35*s)},
		{"100 calls a second, 2 s after 30 s of outage", s / 100, 60 * s, 37 * s, outage(5*s, 35*s)},
		{"a call a minute, after 5 min of outage", 60 * s, 66 * 60 * s, 360 * s, outage(60*s, 360*s)},
	} {
		loss := func(config retrybudget.Config) float64 { return losing(config, c.gap, c.length, c.from, c.fails) }
		with, without := loss(retrybudget.Config{}), loss(retrybudget.Config{NoFailureRatio: true})
		tokens := loss(retrybudget.Config{NoFailureRatio: true, MaxTokens: 10})
		t.Logf("%-45s lost with FailureRatio %.2f %%, without %.2f %%, with tokens %.2f %%", c.name, 100*with, 100*without, 100*tokens)
		if with > without+0.001 {
			t.Errorf("%s: %.4f of the calls are lost, want at most %.4f", c.name, with, without)
		}
		if with > tokens {
			t.Errorf("%s: %.4f of the calls are lost, and %.4f with tokens", c.name, with, tokens)
		}
	}
}
