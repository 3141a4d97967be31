package logtext_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/hauberk-rpc/hauberk/internal/logtext"
)

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 8, ""},
		{"12345678", 8, "12345678"},
		{"123456789", 8, "12345678…"},
		{"1234567é", 8, "1234567…"},
		{"ééééé", 8, "éééé…"},
		{"\u2029\u2029\u2029", 8, "\u2029\u2029…"},
		{"\x7f\u0085\u009f", 8, "???"},
		{"a\u202eb\u2066c", 16, "a?b?c"},
		{"\xff\x80", 8, "\xff\x80"},                   // slog's handlers escape it
		{"é\x80\x80\x80\x80\x80\x80\x80\x80", 8, "…"}, // only the first character begins within the limit
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 8, "\xff\xff\xff\xff\xff\xff\xff\xff…"},
		{"one\ntwo\t\x1b[31m", 32, "one\ntwo\t\x1b[31m"}, // slog's handlers escape it
		{"æøå", 0, "…"},
	} {
		if got := logtext.Cut(test.text, test.limit); got != test.want {
			t.Errorf("Cut(%q, %d) is %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("a\u202e\u0085\xffæøå", 5)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = min(max(limit, 0), 64)
		got := logtext.Cut(text, limit)
		if len(got) > 3*limit+len("…") { // what is not UTF-8 may become U+FFFD
			t.Errorf("%q has %d bytes of %d", got, len(got), limit)
		}
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%q was valid, %q is not", text, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) || r >= 0x7f && r <= 0x9f }) {
			t.Errorf("%q commands a terminal", got)
		}
	})
}

func TestCleanAllocations(t *testing.T) {
	if got := testing.AllocsPerRun(100, func() { logtext.Cut("/shop.v1.Cart/Get", 256) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
