package lru_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hauberk-rpc/hauberk/internal/engine/lru"
)

// TestModel: a store behaves like a list in the order of use, of which the first ones are removed while
// there are too many or too large ones.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			key, value int
			size       int64
		}
		const entries, bytes = 4, 20
		var model []item
		var evicted uint64
		total := func() (n int64) {
			for _, i := range model {
				n += i.size
			}
			return n
		}
		drop := func(is func(item) bool) int {
			before := len(model)
			model = slices.DeleteFunc(model, is)
			return before - len(model)
		}
		s := lru.New[int, int](lru.Config{MaxEntries: entries, MaxBytes: bytes})
		key := func(t *rapid.T) int { return rapid.IntRange(0, 6).Draw(t, "key") }
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				k := key(t)
				at := slices.IndexFunc(model, func(i item) bool { return i.key == k })
				v, ok := s.Get(k)
				if ok != (at >= 0) || ok && v != model[at].value {
					t.Fatalf("Get(%d) = %d, %t; model %v", k, v, ok, model)
				}
				if ok {
					used := model[at]
					model = append(slices.Delete(model, at, at+1), used)
				}
			},
			"put": func(t *rapid.T) {
				i := item{key(t), rapid.Int().Draw(t, "value"), rapid.Int64Range(0, 25).Draw(t, "size")}
				drop(func(old item) bool { return old.key == i.key })
				fits := i.size <= bytes
				for fits && (len(model) >= entries || total()+i.size > bytes) {
					model = model[1:]
					evicted++
				}
				if fits {
					model = append(model, i)
				}
				if got := s.Put(i.key, i.value, i.size); got != fits {
					t.Fatalf("Put of %d bytes: %t", i.size, got)
				}
			},
			"remove": func(t *rapid.T) {
				k, even := key(t), func(v int) bool { return v%2 == 0 }
				drop(func(i item) bool { return i.key == k && even(i.value) })
				s.Remove(k, even)
			},
			"remove all": func(t *rapid.T) {
				odd := func(v int) bool { return v%2 != 0 }
				want := drop(func(i item) bool { return odd(i.value) })
				if got := s.RemoveAll(odd); got != want {
					t.Fatalf("removed %d; want %d", got, want)
				}
			},
			"": func(t *rapid.T) {
				want := lru.Stats{Entries: len(model), Bytes: total(), Evicted: evicted}
				if got := s.Stats(); got != want {
					t.Fatalf("%+v; want %+v", got, want)
				}
			},
		})
	})
}
