package validate

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzShorten holds that a text of valid UTF-8 stays valid, and that every text is bounded.
func FuzzShorten(f *testing.F) {
	f.Add("items[0].sku")
	f.Add(strings.Repeat("é", 200))
	f.Add("a" + strings.Repeat("\U0001f375", 100))
	f.Add(strings.Repeat("\x80", 300))
	f.Fuzz(func(t *testing.T, text string) {
		short := shorten(text)
		if len(short) > maxText || utf8.ValidString(text) && !utf8.ValidString(short) {
			t.Errorf("shorten(%q) is %q", text, short)
		}
		if len(text) <= maxText && short != text {
			t.Errorf("shorten(%q) is %q; want it unchanged", text, short)
		}
	})
}
