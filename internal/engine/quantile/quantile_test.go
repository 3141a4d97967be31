package quantile_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/hauberk-rpc/hauberk/internal/engine/quantile"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(quantile.Histogram{}); size > 6544 {
		t.Errorf("Histogram takes %d bytes, want at most 6544", size)
	}
}

func TestZeroValue(t *testing.T) {
	var h quantile.Histogram
	if h.Count() != 0 || h.Sum() != 0 || h.Mean() != 0 || h.Quantile(0.5) != 0 {
		t.Errorf("count %d, sum %v, mean %v, median %v, want zeros",
			h.Count(), h.Sum(), h.Mean(), h.Quantile(0.5))
	}
	if h.Snapshot() != (quantile.Snapshot{}) {
		t.Error("Snapshot of a zero Histogram is not the zero Snapshot")
	}
}

func TestAllocations(t *testing.T) {
	var h, other quantile.Histogram
	for name, f := range map[string]func(){
		"Record":   func() { h.Record(3 * time.Millisecond) },
		"Snapshot": func() { s := h.Snapshot(); s.Quantile(0.99); s.Mean() },
		"Quantile": func() { h.Quantile(0.5) },
		"Merge":    func() { other.Merge(&h) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// Quantiles are within their error on a distribution like that of latencies.
func TestQuantileOfLogNormal(t *testing.T) {
	const median = 5 * time.Millisecond
	for _, sigma := range []float64{0.05, 0.25, 0.5, 1, 1.5, 2, 3} {
		t.Run(fmt.Sprintf("sigma=%v", sigma), func(t *testing.T) {
			t.Parallel()
			var h quantile.Histogram
			samples := logNormal(testseed.Rand(t, 0), 1_000_000, median, sigma)
			for _, d := range samples {
				h.Record(d)
			}
			slices.Sort(samples)
			s := h.Snapshot()
			for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
				checkQuantile(t, &s, samples, q)
			}
		})
	}
}

func TestQuantileArgument(t *testing.T) {
	var h quantile.Histogram
	for _, d := range []time.Duration{time.Millisecond, time.Second, time.Minute} {
		h.Record(d)
	}
	least, greatest := h.Quantile(0), h.Quantile(1)
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{
		{math.NaN(), 0},
		{math.Inf(-1), least},
		{-0.1, least},
		{math.SmallestNonzeroFloat64, least},
		{1.0 / 3, least},
		{0.67, greatest},
		{1.1, greatest},
		{math.Inf(1), greatest},
	} {
		if got := h.Quantile(c.q); got != c.want {
			t.Errorf("Quantile(%v) = %v, want %v", c.q, got, c.want)
		}
	}
}

func TestNegativeCountsAsZero(t *testing.T) {
	var negative, zero quantile.Histogram
	for _, d := range []time.Duration{-1, -time.Hour, math.MinInt64} {
		negative.Record(d)
		zero.Record(0)
	}
	if negative.Snapshot() != zero.Snapshot() {
		t.Error("negative durations were not recorded as 0")
	}
}

func TestBeyondMax(t *testing.T) {
	var h quantile.Histogram
	h.Record(time.Hour)
	h.Record(3 * time.Hour)
	if got := h.Quantile(0); got != quantile.Max {
		t.Errorf("quantile = %v, want Max", got)
	}
	if h.Mean() != 2*time.Hour || h.Sum() != 4*time.Hour {
		t.Errorf("mean %v, sum %v, want 2h and 4h", h.Mean(), h.Sum())
	}
}

func TestSumOfCenturies(t *testing.T) {
	var h quantile.Histogram
	for range 7 { // passes 2^63 six times, and 2^64 three times
		h.Record(math.MaxInt64)
	}
	if h.Sum() != math.MaxInt64 || h.Mean() != math.MaxInt64 {
		t.Errorf("sum %d, mean %d, want both the greatest Duration", h.Sum(), h.Mean())
	}
	for range 7 {
		h.Record(1)
	}
	if want := time.Duration(1 << 62); h.Mean() != want {
		t.Errorf("mean = %d, want %d", h.Mean(), want)
	}
}

func TestMerge(t *testing.T) {
	var all, odd, even quantile.Histogram
	samples := logNormal(testseed.Rand(t, 0), 9_994, time.Millisecond, 2)
	samples = append(samples, slices.Repeat([]time.Duration{1 << 62}, 6)...) // so that sums carry
	for i, d := range samples {
		all.Record(d)
		[]*quantile.Histogram{&even, &odd}[i%2].Record(d)
	}
	even.Merge(&odd)
	if even.Snapshot() != all.Snapshot() {
		t.Error("two merged halves differ from the whole")
	}
	all.Merge(&all)
	if got := all.Count(); got != 20_000 {
		t.Errorf("count merged with itself = %d, want 20000", got)
	}
}

func TestConcurrent(t *testing.T) {
	const recorders, each = 8, 50_000
	var h, sink quantile.Histogram
	var recording sync.WaitGroup
	for i := range recorders {
		recording.Go(func() {
			for j := range each {
				h.Record(time.Duration(i*each+j) * time.Microsecond)
			}
		})
	}
	for last := uint64(0); last < recorders*each; {
		s := h.Snapshot()
		if s.Count() < last || s.Count() > recorders*each {
			t.Fatalf("count went from %d to %d", last, s.Count())
		}
		last = s.Count()
		sink.Merge(&h)
	}
	recording.Wait()
	const n = recorders * each
	if want := n * (n - 1) / 2 * time.Microsecond; h.Sum() != want || h.Count() != n {
		t.Errorf("count %d, sum %v, want %d and %v", h.Count(), h.Sum(), n, want)
	}
}

// A bucket counts beyond the range of a 32-bit counter.
func TestManyOfOneDuration(t *testing.T) {
	const doublings = 40
	var h quantile.Histogram
	h.Record(time.Millisecond)
	for range doublings {
		h.Merge(&h)
	}
	if got := h.Count(); got != 1<<doublings {
		t.Errorf("count = %d, want 2^%d", got, doublings)
	}
	if h.Mean() != time.Millisecond {
		t.Errorf("mean = %v, want 1ms", h.Mean())
	}
}

// FuzzRecord compares a Histogram, and a merge of two, with sorted samples.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{}, 0.5)
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 0.0)
	f.Add([]byte("\x21latency!\x0bmicrosec\x28moments."), 0.99)
	f.Add([]byte{0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0x7f, 3, 2, 1, 0, 0, 0, 1}, 1.0)
	f.Fuzz(func(t *testing.T, data []byte, q float64) {
		samples := decode(data)
		var h, first, second quantile.Histogram
		for i, d := range samples {
			h.Record(d)
			[]*quantile.Histogram{&first, &second}[i%2].Record(d)
			samples[i] = max(d, 0)
		}
		slices.Sort(samples)
		s := h.Snapshot()
		checkTotals(t, &s, samples)
		for _, q := range []float64{0, q, 0.5, 0.99, 1} {
			checkQuantile(t, &s, samples, q)
		}
		first.Merge(&second)
		if first.Snapshot() != s {
			t.Error("two merged halves differ from the whole")
		}
	})
}

// decode reads durations of 9 bytes: a shift, which makes all magnitudes likely, and a
// big-endian integer.
func decode(data []byte) []time.Duration {
	var samples []time.Duration
	for record := range slices.Chunk(data, 9) {
		var ns int64
		for _, b := range record[1:] {
			ns = ns<<8 | int64(b)
		}
		samples = append(samples, time.Duration(ns>>(record[0]%64)))
	}
	return samples
}

// checkTotals compares count, sum and mean with those of samples, exactly.
func checkTotals(t *testing.T, s *quantile.Snapshot, samples []time.Duration) {
	t.Helper()
	sum, mean := new(big.Int), new(big.Int)
	for _, d := range samples {
		sum.Add(sum, big.NewInt(int64(d)))
	}
	if len(samples) > 0 {
		mean.Quo(sum, big.NewInt(int64(len(samples))))
	}
	if !sum.IsInt64() {
		sum.SetInt64(math.MaxInt64)
	}
	if s.Count() != uint64(len(samples)) || int64(s.Sum()) != sum.Int64() || int64(s.Mean()) != mean.Int64() {
		t.Errorf("count %d, sum %d, mean %d, want %d, %v, %v",
			s.Count(), s.Sum(), s.Mean(), len(samples), sum, mean)
	}
}

// checkQuantile compares a quantile with that of samples, which must be sorted
// and not negative.
func checkQuantile(t *testing.T, s *quantile.Snapshot, samples []time.Duration, q float64) {
	t.Helper()
	got := s.Quantile(q)
	if len(samples) == 0 || math.IsNaN(q) {
		if got != 0 {
			t.Errorf("Quantile(%v) = %v of %d samples, want 0", q, got, len(samples))
		}
		return
	}
	rank := int(math.Ceil(min(max(q, 0), 1) * float64(len(samples))))
	exact := min(samples[max(rank, 1)-1], quantile.Max)
	if off := (got - exact).Abs(); off > tolerance(exact) {
		t.Errorf("Quantile(%v) = %v, exact %v: off by %v (%.3f %%)",
			q, got, exact, off, 100*float64(off)/float64(exact))
	}
}

func tolerance(exact time.Duration) time.Duration {
	switch {
	case exact >= quantile.Max:
		return 0
	case exact < time.Microsecond:
		return 128
	}
	return time.Duration(quantile.RelativeError * float64(exact))
}

func logNormal(random *rand.Rand, n int, median time.Duration, sigma float64) []time.Duration {
	samples := make([]time.Duration, n)
	for i := range samples {
		samples[i] = time.Duration(float64(median) * math.Exp(sigma*random.NormFloat64()))
	}
	return samples
}
