package logging

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what callers have a hand in, in bytes.
const (
	maxName = 256  // of a service, a method, a peer, a reason
	maxText = 4096 // of an error, and of state that is a string
)

// cut bounds a text, at the border of a character, and cleans it.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return clean(text)
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return clean(text[:limit]) + "…"
}

// clean takes out of a text what commands terminals and is not escaped by slog's
// JSON handler: the control characters beyond ASCII, and those that turn the
// direction of what follows.
func clean(text string) string {
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
