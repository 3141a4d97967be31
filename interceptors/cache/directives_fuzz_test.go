package cache

import (
	"strings"
	"testing"
)

// FuzzParse: no value makes parse panic, a list in two values means the same as in one if no string
// is open, and no age is negative.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "no-cache", "max-age=10, private", `max-age="5"`, `x="a,b\"", no-store`, "max-age=99999999999999999999", ",,;=", `"`, `\`,
	} {
		f.Add(seed, "no-store")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		d := parse([]string{a, b})
		if d.maxAge < 0 || d.hasMaxAge != (parse([]string{a}).hasMaxAge || parse([]string{b}).hasMaxAge) {
			t.Errorf("%+v", d)
		}
		if strings.ContainsAny(a+b, `"\`) {
			return
		}
		if joined := parse([]string{a + "," + b}); joined != d {
			t.Errorf("%+v in one value; %+v in two", joined, d)
		}
	})
}
