package tokencache_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/tokencache"
)

// TestUntil: a value is found before its time is over.
func TestUntil(t *testing.T) {
	now := time.Unix(1000, 0)
	c := tokencache.New[string, int](10)
	c.Put("a", 1, now.Add(time.Second))
	for _, test := range []struct {
		token string
		now   time.Time
		value int
		ok    bool
	}{
		{"a", now, 1, true},
		{"a", now.Add(time.Second - 1), 1, true},
		{"a", now.Add(time.Second), 0, false},
		{"b", now, 0, false},
	} {
		if value, ok := c.Get(test.token, test.now); value != test.value || ok != test.ok {
			t.Errorf("Get(%q, %v) = %d, %t; want %d, %t", test.token, test.now, value, ok, test.value, test.ok)
		}
	}
	var none *tokencache.Cache[string, int]
	none.Put("a", 1, now.Add(time.Hour))
	if _, ok := none.Get("a", now); ok || none.Len() != 0 {
		t.Error("a nil cache keeps a token")
	}
}

// TestBounded: however many tokens there are, the cache keeps those in use, and its size.
func TestBounded(t *testing.T) {
	now, later := time.Unix(1000, 0), time.Unix(2000, 0)
	c := tokencache.New[string, string](100)
	c.Put("in use", "kept", later)
	for i := range 10_000 {
		c.Put(fmt.Sprint("token ", i), "", later)
		if value, ok := c.Get("in use", now); !ok || value != "kept" {
			t.Fatalf("the token in use was displaced after %d others", i)
		}
		if c.Len() > 100 {
			t.Fatalf("%d tokens are kept", c.Len())
		}
	}
}

// TestLastPutHolds: a lookup at the same time never brings an earlier value back, nor one that was deleted.
func TestLastPutHolds(t *testing.T) {
	now, later := time.Unix(1000, 0), time.Unix(2000, 0)
	for i := range 20_000 {
		c := tokencache.New[string, int](4)
		c.Put("a", 1, later)
		for k := range 2 {
			c.Put(fmt.Sprint("other ", k), 0, later) // "a" becomes old
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _, _ = c.Get("a", now) })
		}
		deletes := i%2 == 0
		if deletes {
			c.Delete("a")
		} else {
			c.Put("a", 2, later)
		}
		all.Wait()
		if value, ok := c.Get("a", now); ok == deletes || ok && value != 2 {
			t.Fatalf("round %d: %d, %t; want the last value, or none after Delete", i, value, ok)
		}
	}
	var none *tokencache.Cache[string, int]
	none.Delete("a")
}
