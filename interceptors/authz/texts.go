package authz

import (
	"fmt"
	"slices"
	"strings"
)

// texts are the text patterns of a field. The zero value matches nothing.
type texts struct {
	all      bool     // "*"
	few      []string // whole values, if they are few
	many     map[string]struct{}
	prefixes []string
	suffixes []string
}

// fewTexts is the greatest number of values for which a search through a slice costs less
// than one in a map.
const fewTexts = 8

// parseTexts parses patterns. The empty pattern, which matches the empty value, is an error
// unless empty is set.
func parseTexts(patterns []string, empty bool) (*texts, error) {
	t := new(texts)
	var whole []string
	for i, p := range patterns {
		text, kind, err := parseText(p)
		if err == nil && p == "" && !empty {
			err = fmt.Errorf(`%q is empty; want a value, "*" for any`, p)
		}
		if err == nil && len(p) > MaxValue {
			err = fmt.Errorf("%.20q… has %d bytes; want at most %d", p, len(p), MaxValue)
		}
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		switch kind {
		case anyText:
			t.all = true
		case prefixText:
			t.prefixes = append(t.prefixes, text)
		case suffixText:
			t.suffixes = append(t.suffixes, text)
		default:
			whole = append(whole, text)
		}
	}
	t.setWhole(whole)
	return t, nil
}

func (t *texts) setWhole(values []string) {
	if len(values) <= fewTexts {
		t.few = values
		return
	}
	t.many = make(map[string]struct{}, len(values))
	for _, v := range values {
		t.many[v] = struct{}{}
	}
}

// textKind is the kind of a text pattern.
type textKind uint8

const (
	wholeText textKind = iota
	prefixText
	suffixText
	anyText
)

// parseText parses one pattern into its literal part and its kind.
func parseText(p string) (text string, kind textKind, err error) {
	if p == "*" {
		return "", anyText, nil
	}
	if !strings.ContainsAny(p, `*\`) {
		return p, wholeText, nil
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\':
			i++
			if i == len(p) || p[i] != '\\' && p[i] != '*' {
				return "", 0, fmt.Errorf(`%q has a backslash; want "\\" for a backslash or "\*" for a star`, p)
			}
			b.WriteByte(p[i])
		case c != '*':
			b.WriteByte(c)
		case i == 0:
			kind = suffixText
		case i == len(p)-1 && kind == wholeText:
			kind = prefixText
		default:
			return "", 0, fmt.Errorf(`%q has a star at a place that has no meaning; want "abc*", "*abc", "*", `+
				`or "\*" for a star itself`, p)
		}
	}
	return b.String(), kind, nil
}

// quoteText returns the pattern that matches only a text.
func quoteText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`).Replace(text)
}

// match reports whether a whole value matches a pattern.
func (t *texts) match(value string) bool {
	if t.all && value != "" {
		return true
	}
	if slices.Contains(t.few, value) {
		return true
	}
	if t.many != nil {
		if _, ok := t.many[value]; ok {
			return true
		}
	}
	for _, p := range t.prefixes {
		if strings.HasPrefix(value, p) {
			return true
		}
	}
	for _, s := range t.suffixes {
		if strings.HasSuffix(value, s) {
			return true
		}
	}
	return false
}

// matchAny reports whether one of several values matches.
func (t *texts) matchAny(values []string) bool { return slices.ContainsFunc(values, t.match) }

// matchAll reports whether there are values and each matches.
func (t *texts) matchAll(values []string) bool {
	for _, v := range values {
		if !t.match(v) {
			return false
		}
	}
	return len(values) > 0
}
