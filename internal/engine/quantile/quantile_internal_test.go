package quantile

import (
	"math"
	"math/big"
	"testing"
	"time"
)

// This test and the next one prove RelativeError for every duration, not only for samples:
// index never decreases, so a bucket is an interval, and the error of an interval is greatest
// at one of its ends.
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

// A Snapshot concurrent with Record may contain a sum whose durations it has not counted.
func TestMeanOfSumAheadOfCount(t *testing.T) {
	s := Snapshot{count: 1, sum: 5, sumHalves: 2}
	if got := s.Mean(); got != math.MaxInt64 {
		t.Errorf("mean = %d, want the greatest Duration", got)
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
