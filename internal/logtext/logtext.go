// Package logtext bounds and cleans untrusted texts for log records.
package logtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Cut cuts a text to at most limit bytes, at the border of a character, and cleans it with
// [Clean]. A text that was cut ends with "…".
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return Clean(text)
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return Clean(text[:limit]) + "…"
}

// Clean replaces characters that control terminals, and that slog's JSON handler does not
// escape, with "?": the control characters beyond ASCII, and the characters that change the
// direction of text.
func Clean(text string) string {
	for i := range len(text) {
		if text[i] >= 0x7f {
			return cleanRunes(text)
		}
	}
	return text
}

func cleanRunes(text string) string {
	if !strings.ContainsFunc(text, commands) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if commands(r) {
			return '?'
		}
		return r
	}, text)
}

func commands(r rune) bool {
	return r >= 0x7f && r <= 0x9f || r >= 0x61c && unicode.Is(unicode.Bidi_Control, r)
}
