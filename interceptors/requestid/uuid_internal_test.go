package requestid

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFormatUUIDv7(t *testing.T) {
	for _, test := range []struct {
		name   string
		now    time.Time
		random uint64
		want   string
	}{
		// RFC 9562, A.6: rand_a is cc3, here the fraction 0xcc3/4096 of a millisecond.
		{
			"RFC 9562", time.UnixMilli(0x017f22e279b0).Add(0xcc3*time.Millisecond/4096 + 1), 0x18c4dc0c0c07398f,
			"017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
		},
		{"epoch", time.Unix(0, 0), 0, "00000000-0000-7000-8000-000000000000"},
		{"end of a millisecond", time.Unix(0, 999_999), 1<<64 - 1, "00000000-0000-7fff-bfff-ffffffffffff"},
		{"next millisecond", time.Unix(0, 1_000_000), 1, "00000000-0001-7000-8000-000000000001"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := formatUUIDv7(test.now, test.random); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestUUIDv7SortsByTime(t *testing.T) {
	var ids []string
	for i := range 10_000 {
		now := time.Unix(1_800_000_000, int64(i)*250)
		ids = append(ids, formatUUIDv7(now, ^uint64(i)))
	}
	if !slices.IsSorted(ids) {
		t.Error("ids made 250 ns apart do not sort by time")
	}
}

func TestUUIDv7IsUnique(t *testing.T) {
	const workers, each = 8, 10_000
	var all [workers][]string
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				all[w] = append(all[w], UUIDv7())
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, ids := range all {
		for _, id := range ids {
			if seen[id] || !Valid(id) {
				t.Fatalf("%q was made before, or is not well-formed", id)
			}
			seen[id] = true
		}
	}
}

func TestUUIDv7Allocations(t *testing.T) {
	if got := testing.AllocsPerRun(1000, func() { _ = UUIDv7() }); got > 1 {
		t.Errorf("%v allocations, budget 1", got)
	}
}

// FuzzValid compares the validator with the expression that defines it.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{
		"", "a", "A-z_0.9", "a b", "a\n", "é", "\x00", "\x7f", "a/b", "`", "[", "@", "{",
		strings.Repeat("x", MaxLength), strings.Repeat("x", MaxLength+1),
	} {
		f.Add(seed)
	}
	want := regexp.MustCompile(`\A[A-Za-z0-9._-]{1,128}\z`)
	f.Fuzz(func(t *testing.T, id string) {
		if got := Valid(id); got != want.MatchString(id) {
			t.Errorf("Valid(%q) = %t", id, got)
		}
		if _, ok := single([]string{id}); ok != Valid(id) {
			t.Errorf("single(%q) is %t", id, ok)
		}
	})
}
