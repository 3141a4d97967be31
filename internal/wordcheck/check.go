package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// finding is one use of a word.
type finding struct {
	path         string
	line, column int // from 1; the column counts bytes
	text, want   string
}

func (f finding) String() string {
	if f.text == "" {
		return fmt.Sprintf("%s:%d:%d: %s", f.path, f.line, f.column, f.want)
	}
	return fmt.Sprintf("%s:%d:%d: %q: want %s", f.path, f.line, f.column, f.text, f.want)
}

// marker is a comment that allows the words on its line and on the line below.
var marker = regexp.MustCompile(`(//|#|<!--)\s*wordcheck:ignore`)

// check returns the findings of a file in the order of their places.
func check(path string, kind kind, src string) []finding {
	passages := plainPassages
	if kind == kindGo {
		passages = goPassages
	}
	lines := newLineIndex(src)
	markers := lines.with(marker)
	var findings []finding
	for _, p := range passages(src) {
		for _, m := range matches(p, kind) {
			line, column := lines.place(m.offset)
			if ignoredBy(markers, line) {
				continue
			}
			findings = append(findings, finding{path, line, column, m.text, m.want})
		}
	}
	for line, used := range markers {
		if !used {
			findings = append(findings, finding{path, line, 1, "", "wordcheck:ignore suppresses no finding; remove it"})
		}
	}
	slices.SortFunc(findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return findings
}

// ignoredBy reports whether a marker is on a line or on the line above, and marks it as used.
func ignoredBy(markers map[int]bool, line int) bool {
	for _, at := range []int{line, line - 1} {
		if _, ok := markers[at]; ok {
			markers[at] = true
			return true
		}
	}
	return false
}

type match struct {
	offset     int
	text, want string
}

// matches returns where the rules match a passage.
func matches(p passage, kind kind) []match {
	var all []match
	for _, r := range rules {
		if r.where&placeOf(p, kind) == 0 {
			continue
		}
		var excepted [][]int
		if r.except != nil {
			excepted = r.except.FindAllIndex(p.text, -1)
		}
		for _, span := range r.match.FindAllIndex(p.text, -1) {
			if overlaps(excepted, span) || r.near != nil && r.near.Match(around(p.text, span)) {
				continue
			}
			all = append(all, match{p.source[span[0]], string(p.text[span[0]:span[1]]), r.want})
		}
	}
	return all
}

func placeOf(p passage, kind kind) place {
	switch {
	case p.name:
		return inNames
	case kind == kindGo:
		return inGoText
	default:
		return inPlain
	}
}

func overlaps(spans [][]int, span []int) bool {
	return slices.ContainsFunc(spans, func(s []int) bool { return s[0] < span[1] && span[0] < s[1] })
}

// around returns what is within 80 bytes of a match.
func around(text []byte, span []int) []byte {
	return text[max(0, span[0]-80):min(len(text), span[1]+80)]
}

// lineIndex finds lines by offset.
type lineIndex struct {
	lines  []string
	starts []int
}

func newLineIndex(src string) lineIndex {
	var x lineIndex
	offset := 0
	for line := range strings.Lines(src) {
		x.lines = append(x.lines, line)
		x.starts = append(x.starts, offset)
		offset += len(line)
	}
	return x
}

// with returns the numbers of the lines that match.
func (x lineIndex) with(match *regexp.Regexp) map[int]bool {
	numbers := map[int]bool{}
	for i, line := range x.lines {
		if match.MatchString(line) {
			numbers[i+1] = false
		}
	}
	return numbers
}

func (x lineIndex) place(offset int) (line, column int) {
	i, exact := slices.BinarySearch(x.starts, offset)
	if !exact {
		i--
	}
	return i + 1, offset - x.starts[i] + 1
}
