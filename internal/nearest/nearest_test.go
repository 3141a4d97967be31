package nearest_test

import (
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/nearest"
)

// The most similar name is found, and none is guessed for one that is unlike all of them.
func TestOf(t *testing.T) {
	names := []string{"limit", "burst", "algorithm", "max_keys", "headers"}
	for name, want := range map[string]string{
		"limt": "limit", "limits": "limit", "brust": "burst", "maxkeys": "max_keys",
		"header": "headers", "colour": "", "x": "", "": "",
	} {
		if got := nearest.Of(name, names); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := nearest.Distance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
