package errs

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A text is cut to the limit, in UTF-8; a text within it that is valid is unchanged.
func FuzzCut(f *testing.F) {
	f.Add("item not found", 16)
	f.Add(strings.Repeat("é", 20), 17)
	f.Add(strings.Repeat("\xff", 20), 16)
	f.Add("0123456789abc\xe2\x80", 16)
	f.Fuzz(func(t *testing.T, text string, most int) {
		if most < minMaxText || most > maxMaxText {
			t.Skip("not a limit")
		}
		got := cut(text, most)
		switch {
		case len(got) > most, !utf8.ValidString(got):
			t.Fatalf("%q of at most %d bytes became %q", text, most, got)
		case utf8.ValidString(text) && len(text) <= most && got != text:
			t.Fatalf("%q was changed to %q", text, got)
		case utf8.ValidString(text) && len(text) > most && len(got) < most-6:
			t.Fatalf("%q of at most %d bytes has only %q", text, most, got)
		}
	})
}
