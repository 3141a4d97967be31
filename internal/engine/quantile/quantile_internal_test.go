package quantile

import (
	"math"
	"math/big"
	"sync"
	"testing"
	"time"
)

// Together with the next test this proves RelativeError for every duration, not
// for samples: index never decreases, so a bucket is an interval, and the error
// of an interval is greatest at one of its ends.
func TestEveryBucket(t *testing.T) {
	var worst float64
	for i := range buckets {
		least, greatest := interval(i)
		if index(least) != i || index(greatest) != i {
			t.Fatalf("bucket %d is not [%d, %d]", i, least, greatest)
		}
		switch v := value(i); {
		case i == overflow:
			if least != uint64(Max) || v != Max {
				t.Errorf("overflow from %d has value %d", least, v)
			}
		case i < linear:
			if off := max(distance(v, least), distance(v, greatest)); off > 128 {
				t.Errorf("bucket %d is off by %v ns", i, off)
			}
		default:
			off := max(distance(v, least)/float64(least), distance(v, greatest)/float64(greatest))
			if least >= 100_000 && off > 0.01284 {
				t.Errorf("bucket %d, from 100 µs up, is off by %v", i, off)
			}
			worst = max(worst, off)
		}
	}
	t.Logf("worst relative error %.4f %%", 100*worst)
	if worst > RelativeError {
		t.Errorf("worst relative error %v, want at most %v", worst, RelativeError)
	}
}

// Within a cell part is an addition and a shift, which never decrease. So it is
// exact if it steps at each edge, and the values at both ends of cells agree.
func TestCells(t *testing.T) {
	const cell = 1 << cellFracBits
	next := 1
	for c := range uint64(len(cells)) {
		want := uint32(next-1) << cellFracBits
		if e := edge(next); e < (c+1)*cell {
			want += uint32((c+1)*cell - e)
			if part(uint32(e)) != next || e > c*cell && part(uint32(e-1)) != next-1 {
				t.Errorf("no step at edge %d, %#x", next, e)
			}
			next++
		}
		if cells[c] != want {
			t.Errorf("cells[%d] = %#08x, want %#08x", c, cells[c], want)
		}
		if got := part(uint32((c+1)*cell - 1)); got != next-1 {
			t.Errorf("cell %d ends at part %d, want %d", c, got, next-1)
		}
	}
	if next != perOctave {
		t.Errorf("cells hold %d edges, want %d", next-1, perOctave-1)
	}
}

func TestAddCarries(t *testing.T) {
	for _, c := range []struct{ before, n, want uint64 }{
		{0, 1, 1},
		{half - 1, 1, half},
		{half - 1, half, 2*half - 1},
		{2*half - 1, 1, 2 * half},
		{10_000_000_000, 10_000_000_000, 20_000_000_000},
		{maxCount - 1, 1, maxCount},
		{maxCount, 1, maxCount},
		{maxCount - 7, 3 * half, maxCount},
		{maxCount, maxCount, maxCount},
	} {
		for i := range 2 * perHigh {
			var h Histogram
			h.add(i, c.before)
			h.add(i, c.n)
			if got := h.load(i); got != c.want {
				t.Errorf("bucket %d: %d + %d = %d, want %d", i, c.before, c.n, got, c.want)
			}
			if got := h.Count(); got != c.want {
				t.Errorf("bucket %d spills: count %d, want %d", i, got, c.want)
			}
		}
	}
}

// A reader sees the highest bit of low before the carry that belongs to it.
func TestLoadBeforeCarry(t *testing.T) {
	for _, before := range []uint64{half - 1, 2*half - 1, 7*half - 1} {
		var h Histogram
		h.add(3, before)
		h.low[3].Add(1)
		if got := h.load(3); got != before+1 {
			t.Errorf("load = %d before the carry, want %d", got, before+1)
		}
	}
}

func TestRecordCarries(t *testing.T) {
	const i = 500
	var h Histogram
	for n := range uint64(9) {
		h.add(i, half-1)
		h.Record(value(i))
		if got := h.load(i); got != (n+1)*half {
			t.Errorf("load = %d, want %d", got, (n+1)*half)
		}
	}
}

func TestAddSumCarries(t *testing.T) {
	var h Histogram
	for range 9 { // adds 1.5·2^63 each time
		h.addSum(1, sumHalf+sumHalf/2)
	}
	if s := h.Snapshot(); s.sumHalves != 13 || s.sum != sumHalf+sumHalf/2 {
		t.Errorf("sum is %d halves, %#x, want 13, 2^63 + 2^62", s.sumHalves, s.sum)
	}
}

func TestSumBeforeCarry(t *testing.T) {
	var h Histogram
	h.Record(math.MaxInt64)
	h.sum.Add(1)
	if s := h.Snapshot(); s.sumHalves != 1 || s.sum != sumHalf {
		t.Errorf("sum is %d halves, %d before the carry, want 1, 2^63", s.sumHalves, s.sum)
	}
}

func TestRoomOfBucket(t *testing.T) {
	if maxCount < 540_000_000_000 {
		t.Errorf("a bucket stops at %d, before what the package promises", uint64(maxCount))
	}
}

func TestRecordStopsAtMaxCount(t *testing.T) {
	const d = 20 * time.Millisecond
	var h Histogram
	h.add(index(uint64(d)), maxCount-2)
	for range 5 {
		h.Record(d)
	}
	h.Record(time.Second)
	if got := h.Count(); got != maxCount+1 {
		t.Errorf("count = %d, want %d", got, uint64(maxCount+1))
	}
	if got := h.Quantile(1); distance(got, uint64(time.Second)) > RelativeError*float64(time.Second) {
		t.Errorf("greatest = %v, want 1s", got)
	}
}

// A Snapshot beside Record may hold a sum whose durations it has not counted.
func TestMeanOfSumAheadOfCount(t *testing.T) {
	s := Snapshot{count: 1, sum: 5, sumHalves: 2}
	if got := s.Mean(); got != math.MaxInt64 {
		t.Errorf("mean = %d, want the greatest Duration", got)
	}
}

func TestConcurrentCarry(t *testing.T) {
	const recorders, each = 8, 10_000
	for _, before := range []uint64{half - recorders*each/2, 2*half - recorders*each/2} {
		var h Histogram
		for i := range perHigh { // neighbours in one word of high
			h.add(linear+i, before)
		}
		var recording sync.WaitGroup
		for range recorders {
			recording.Go(func() {
				for i := range each * perHigh {
					h.Record(value(linear + i%perHigh))
				}
			})
		}
		want := perHigh * (before + recorders*each)
		for last := uint64(0); last < want; {
			count := h.Count()
			if count < last || count > want {
				t.Fatalf("count went from %d to %d, end %d", last, count, want)
			}
			last = count
		}
		recording.Wait()
	}
}

// interval returns the least and the greatest nanoseconds of bucket i.
func interval(i int) (least, greatest uint64) {
	return search(i), search(i+1) - 1
}

// search returns the least nanoseconds whose bucket is i or above, 2^63 if none.
func search(i int) uint64 {
	low, high := uint64(0), uint64(1)<<63
	for low < high {
		if middle := (low + high) / 2; index(middle) < i {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// edge returns the least mantissa of part i: 2^32·(2^(i/27) - 1), rounded up, by
// exact arithmetic on 27th powers.
func edge(i int) uint64 {
	power := new(big.Int).Lsh(big.NewInt(1), uint(32*perOctave+i))
	low, high := uint64(1)<<32, uint64(1)<<33
	for low < high {
		middle := (low + high) / 2
		if new(big.Int).Exp(new(big.Int).SetUint64(middle), big.NewInt(perOctave), nil).Cmp(power) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - 1<<32
}

func distance(d time.Duration, ns uint64) float64 {
	return float64(max(uint64(d), ns) - min(uint64(d), ns))
}
