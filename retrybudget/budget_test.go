package retrybudget_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hauberk-rpc/hauberk/retrybudget"
)

func budget(t *testing.T, config retrybudget.Config, opts ...retrybudget.Option) *retrybudget.Budget {
	t.Helper()
	b := retrybudget.New(config, opts...)
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	return b
}

// taken returns how many extra attempts a budget allows now.
func taken(b *retrybudget.Budget) int {
	n := 0
	for b.Take() {
		n++
	}
	return n
}

func calls(b *retrybudget.Budget, n int) {
	for range n {
		b.Call()
	}
}

// TestRate: at any rate of calls that all fail, all extra attempts are within the reserve and
// the ratio of the calls.
func TestRate(t *testing.T) {
	for _, every := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second, time.Minute} {
		t.Run(every.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := budget(t, retrybudget.Config{})
				extra := 0
				for range 10_000 {
					b.Call()
					extra += taken(b)
					<-time.After(every)
				}
				if extra > 2010 || extra < 2000 {
					t.Errorf("%d extra attempts for 10,000 calls; want 2,000 and up to 10 of the reserve", extra)
				}
			})
		})
	}
}

// TestReserve: a quiet client can use the reserve at once, and calls restore it.
func TestReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := budget(t, retrybudget.Config{})
		for _, want := range []int{10, 0} {
			if got := taken(b); got != want {
				t.Errorf("%d extra attempts, want %d", got, want)
			}
		}
		for range 25 {
			<-time.After(time.Minute)
			b.Call()
		}
		if got := taken(b); got != 5 {
			t.Errorf("%d extra attempts after 25 calls, want 5", got)
		}
	})
}

// TestWindow: calls of the last 10 s allow extra attempts at once, and earlier ones do not.
func TestWindow(t *testing.T) {
	for after, want := range map[time.Duration]int{0: 200, 9 * time.Second: 200, 10 * time.Second: 10, time.Hour: 10} {
		synctest.Test(t, func(t *testing.T) {
			b := budget(t, retrybudget.Config{})
			calls(b, 1000)
			<-time.After(after)
			if got := taken(b); got != want {
				t.Errorf("%d extra attempts %v after 1,000 calls, want %d", got, after, want)
			}
		})
	}
}

// TestSettings: NoReserve allows no extra attempt before the first call, and a call counts for Window.
func TestSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for window, want := range map[time.Duration]int{time.Second: 0, time.Minute: 20} {
			b := budget(t, retrybudget.Config{NoReserve: true, Window: window})
			if got := taken(b); got != 0 {
				t.Errorf("%d extra attempts before the first call; want 0", got)
			}
			calls(b, 100)
			<-time.After(30 * time.Second)
			if got := taken(b); got != want {
				t.Errorf("%d extra attempts after 30s with a window of %v; want %d", got, window, want)
			}
		}
	})
}

// TestFailureRatio: extra attempts stop while most calls fail, at any rate of calls but a low one, and start again one to
// two steps later.
func TestFailureRatio(t *testing.T) {
	for _, c := range []struct {
		name            string
		config          retrybudget.Config
		calls, failures int
		want            int // extra attempts
	}{
		{"few calls fail", retrybudget.Config{}, 1000, 330, 200},
		{"80 %", retrybudget.Config{}, 1000, 800, 200},
		{"more than 80 %", retrybudget.Config{}, 1000, 801, 0},
		{"20 failures", retrybudget.Config{}, 0, 20, 10},
		{"21 failures", retrybudget.Config{}, 0, 21, 0},
		{"another ratio", retrybudget.Config{FailureRatio: 0.25}, 1000, 251, 0},
		{"more failures than calls", retrybudget.Config{FailureRatio: 1}, 1000, 1001, 0},
		{"turned off", retrybudget.Config{NoFailureRatio: true}, 1000, 2000, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := budget(t, c.config)
				for range c.failures {
					b.Failure()
				}
				calls(b, c.calls)
				if s := b.Snapshot(); s.Available != c.want {
					t.Errorf("%+v, want %d available", s, c.want)
				}
				<-time.After(1999 * time.Millisecond) // the rest of the second step
				if got := taken(b); got != c.want {
					t.Errorf("%d extra attempts, want %d", got, c.want)
				}
				<-time.After(time.Millisecond)
				if want := max(200*c.calls/1000, 10); c.want == 0 && taken(b) != want {
					t.Errorf("the failures are not forgotten: %+v, want %d extra attempts", b.Snapshot(), want)
				}
			})
		})
	}
}

// TestReturn: an extra attempt that was not made is available again.
func TestReturn(t *testing.T) {
	for _, after := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := budget(t, retrybudget.Config{})
			if got := taken(b); got != 10 {
				t.Errorf("%d extra attempts, want 10", got)
			}
			<-time.After(after)
			for range 3 {
				b.Return()
			}
			if got := taken(b); got != 3 {
				t.Errorf("%d extra attempts %v after 3 were returned, want 3", got, after)
			}
		})
	}
}

// TestTokens are the examples of gRFC A6: extra attempts stop while at most half of the
// tokens is left.
func TestTokens(t *testing.T) {
	b := budget(t, retrybudget.Config{NoRatio: true, MaxTokens: 10, TokenRatio: 0.1})
	for n := range 5 {
		if !b.Take() {
			t.Fatalf("no extra attempt after %d failures", n)
		}
		b.Failure()
	}
	for n := range 10 {
		if got := b.Take(); got != (n > 0) {
			t.Errorf("Take returned %t after %d successes", got, n)
		}
		b.Success()
	}
	for range 100 {
		b.Failure()
	}
	if got := b.Snapshot().Tokens; got != 0 {
		t.Errorf("%v tokens after many failures, want 0", got)
	}
	for range 1000 {
		b.Success()
	}
	if got := b.Snapshot().Tokens; got != 10 {
		t.Errorf("%v tokens after many successes, want 10", got)
	}
}

// TestBothBounds: with tokens and a ratio, either can reject.
func TestBothBounds(t *testing.T) {
	b := budget(t, retrybudget.Config{Reserve: 1, MaxTokens: 2})
	if !b.Take() || b.Take() {
		t.Error("the reserve of 1 does not bound")
	}
	calls(b, 100)
	b.Failure()
	if b.Take() {
		t.Error("half of the tokens does not bound")
	}
}

// TestNil: a nil budget allows everything.
func TestNil(t *testing.T) {
	var b *retrybudget.Budget
	b.Call()
	b.Return()
	b.Success()
	b.Failure()
	if !b.Take() || b.Err() != nil || b.Snapshot() != (retrybudget.Snapshot{}) {
		t.Errorf("a nil budget: %v, %+v", b.Err(), b.Snapshot())
	}
}

// TestNotMade: a budget that cannot work says so, allows nothing and does not panic.
func TestNotMade(t *testing.T) {
	for name, b := range map[string]*retrybudget.Budget{"zero": {}, "wrong": retrybudget.New(retrybudget.Config{Ratio: -1})} {
		b.Call()
		b.Return()
		b.Success()
		b.Failure()
		_ = b.Snapshot()
		if b.Take() || b.Err() == nil {
			t.Errorf("%s: allowed, or no error: %v", name, b.Err())
		}
	}
}

// TestClockSetBack: a clock that is set back does not disturb the window.
func TestClockSetBack(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	b := budget(t, retrybudget.Config{}, retrybudget.WithClock(func() time.Time { return at }))
	calls(b, 500)
	for _, d := range []time.Duration{-time.Hour, -1 << 62} {
		at = time.Unix(1_700_000_000, 0).Add(d)
		calls(b, 250)
	}
	if got := taken(b); got != 200 {
		t.Errorf("%d extra attempts for 1,000 calls, want 200", got)
	}
}

func TestBadConfig(t *testing.T) {
	year := 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		config retrybudget.Config
		want   string
	}{
		"negative ratio":    {retrybudget.Config{Ratio: -0.1}, "Ratio is -0.1"},
		"ratio above 1":     {retrybudget.Config{Ratio: 20}, "Ratio is 20"},
		"tiny ratio":        {retrybudget.Config{Ratio: 1e-9}, "Ratio is 1e-09"},
		"NaN":               {retrybudget.Config{Ratio: math.NaN()}, "Ratio is NaN"},
		"infinity":          {retrybudget.Config{Ratio: math.Inf(1)}, "Ratio is +Inf"},
		"window of a year":  {retrybudget.Config{Window: year}, "Window is 8760h0m0s; want 1ms to 24h0m0s"},
		"negative window":   {retrybudget.Config{Window: -1}, "Window is -1ns"},
		"short window":      {retrybudget.Config{Window: 1}, "Window is 1ns"},
		"negative reserve":  {retrybudget.Config{Reserve: -1}, "Reserve is -1"},
		"huge reserve":      {retrybudget.Config{Reserve: math.MaxInt}, "Reserve is"},
		"reserve and none":  {retrybudget.Config{Reserve: 1, NoReserve: true}, "Reserve is 1 with NoReserve"},
		"failure ratio":     {retrybudget.Config{FailureRatio: 1.5}, "FailureRatio is 1.5; want 0.000001 to 1"},
		"NaN failures":      {retrybudget.Config{FailureRatio: math.NaN()}, "FailureRatio is NaN"},
		"failures and none": {retrybudget.Config{FailureRatio: 1, NoFailureRatio: true}, "FailureRatio is 1 with NoFailureRatio"},
		"negative tokens":   {retrybudget.Config{MaxTokens: -1}, "MaxTokens is -1"},
		"too many tokens":   {retrybudget.Config{MaxTokens: 1001}, "MaxTokens is 1001"},
		"NaN tokens":        {retrybudget.Config{MaxTokens: 10, TokenRatio: math.NaN()}, "TokenRatio is NaN"},
		"token ratio alone": {retrybudget.Config{TokenRatio: 0.1}, "TokenRatio is 0.1 without MaxTokens"},
		"no bound":          {retrybudget.Config{NoRatio: true}, "NoRatio without MaxTokens"},
		"failures alone":    {retrybudget.Config{NoRatio: true, MaxTokens: 1, FailureRatio: 1}, "NoRatio with Ratio"},
		"contradiction":     {retrybudget.Config{NoRatio: true, MaxTokens: 1, Ratio: 0.1}, "NoRatio with Ratio"},
	} {
		if err := retrybudget.New(c.config).Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	err := retrybudget.New(retrybudget.Config{Ratio: 2, MaxTokens: -1, Window: 1}, nil, retrybudget.WithClock(nil)).Err()
	for _, want := range []string{"Ratio", "MaxTokens", "Window", "option 1 of New is nil", "WithClock"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
}

// TestConcurrent: concurrent use never allows more than the bound.
func TestConcurrent(t *testing.T) {
	const goroutines, each = 8, 5000
	b := budget(t, retrybudget.Config{})
	var extra atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				b.Call()
				for b.Take() {
					extra.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := extra.Load(); got > goroutines*each/5+10 || got < goroutines*each/10 {
		t.Errorf("%d extra attempts for %d calls", got, goroutines*each)
	}
}

func TestAllocations(t *testing.T) {
	b := budget(t, retrybudget.Config{MaxTokens: 10})
	if n := testing.AllocsPerRun(1000, func() {
		b.Call()
		b.Take()
		b.Return()
		b.Success()
		b.Failure()
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkBudget(b *testing.B) {
	budget := retrybudget.New(retrybudget.Config{MaxTokens: 10})
	for name, f := range map[string]func(){
		"Call": budget.Call, "Take": func() { budget.Take() }, "Success": budget.Success, "Failure": budget.Failure,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	b.Run("Call in parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				budget.Call()
			}
		})
	})
}

func ExampleBudget() {
	budget := retrybudget.New(retrybudget.Config{})
	extra := 0
	for range 100 { // calls that fail, each of which would like two retries
		budget.Call()
		for range 2 {
			if budget.Take() {
				extra++
			}
		}
	}
	fmt.Println(extra, "extra attempts for 100 calls")
	// Output: 20 extra attempts for 100 calls
}
