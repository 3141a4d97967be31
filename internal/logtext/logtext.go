// Package logtext makes texts that anyone may have written fit for a log record.
package logtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Cut bounds a text to limit bytes, at the border of a character, marks where it
// was cut with "…", and cleans it.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return Clean(text)
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return Clean(text[:limit]) + "…"
}

// Clean puts "?" in place of what commands terminals and is not escaped by slog's
// JSON handler: the control characters beyond ASCII, and those that turn the
// direction of what follows.
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
