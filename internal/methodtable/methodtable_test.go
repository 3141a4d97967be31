package methodtable_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// A cache keeps the first value of a key, and at most as many keys as its limit.
func TestCache(t *testing.T) {
	for _, limit := range []int{1, 10, 0} {
		c := methodtable.Cache[int, string]{Limit: limit}
		if _, ok := c.Get(1); ok {
			t.Error("an empty cache has a key")
		}
		if first, second := c.Keep(1, "first"), c.Keep(1, "second"); first != "first" || second != "first" {
			t.Errorf("kept %q, then %q", first, second)
		}
		if got, ok := c.Get(1); !ok || got != "first" {
			t.Errorf("got %q, %t", got, ok)
		}
		most := limit
		if limit == 0 {
			most = methodtable.DefaultLimit
		}
		for k := range 2*most + 1 {
			c.Keep(k, "value")
			if got, ok := c.Get(k); !ok || got == "" {
				t.Fatalf("limit %d: key %d is not kept", limit, k)
			}
		}
		if n := c.Len(); n > most || n == 0 {
			t.Errorf("%d keys, limit %d", n, most)
		}
	}
}

func TestGetAllocations(t *testing.T) {
	var c methodtable.Cache[*int, *string]
	k := new(int)
	c.Keep(k, new(string))
	if n := testing.AllocsPerRun(100, func() { c.Get(k) }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}

// Names are never removed: further names are rejected.
func TestNames(t *testing.T) {
	var n methodtable.Names[string]
	add := func(name string, limit int) (string, bool) { return n.Add(name, limit, strings.ToUpper) }
	for _, c := range []struct {
		name  string
		limit int
		want  string
	}{
		{"a", 2, "A"}, {"b", 2, "B"}, {"c", 2, ""}, {"a", 2, "A"}, {"a", 0, "A"}, {"d", -1, "D"}, {"c", 3, ""},
	} {
		if got, ok := add(c.name, c.limit); got != c.want || ok != (c.want != "") {
			t.Errorf("%s with limit %d: %q, %t", c.name, c.limit, got, ok)
		}
	}
	if got, ok := n.Get("c"); ok || got != "" {
		t.Errorf("c is %q", got)
	}
	if got := slices.Sorted(slices.Values(n.All())); !slices.Equal(got, []string{"A", "B", "D"}) {
		t.Errorf("all are %q", got)
	}
}

// Concurrent goroutines get one value, which create makes once.
func TestConcurrent(t *testing.T) {
	var n methodtable.Names[*int]
	var c methodtable.Cache[int, *int]
	made := 0
	var wg sync.WaitGroup
	values := make([][2]*int, 8)
	for i := range values {
		wg.Go(func() {
			values[i][0], _ = n.Add("name", 1, func(string) *int { made++; return new(int) })
			values[i][1] = c.Keep(1, new(int))
		})
	}
	wg.Wait()
	for _, v := range values {
		if v != values[0] || v[0] == nil {
			t.Errorf("%p and %p", v, values[0])
		}
	}
	if made != 1 {
		t.Errorf("made %d values", made)
	}
}

func TestPresentable(t *testing.T) {
	for name, want := range map[string]bool{"": true, "/s/m": true, "/s/ü": true, "/s/long": false, "\xff": false} {
		if got := methodtable.Presentable(name, 5); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}
