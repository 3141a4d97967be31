// Package semver compares versions and checks them against ranges.
//
// A version is one to four numbers, with an optional pre-release and build: "1.2", "1.2.3-rc.1+abc". A
// leading "v" is ignored, and missing numbers are 0. The order is that of Semantic Versioning 2.0.0: a
// pre-release comes before its version, and builds do not count.
package semver

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// MaxLength is the greatest number of bytes of a version.
const MaxLength = 64

// Version is a version. The zero value is version 0.
type Version struct {
	numbers [4]uint64
	pre     string // without "-"; "" is none
}

// Parse returns the version that a text has.
func Parse(text string) (v Version, ok bool) {
	if len(text) > MaxLength {
		return Version{}, false
	}
	text, build, hasBuild := strings.Cut(strings.TrimPrefix(text, "v"), "+")
	numbers, pre, hasPre := strings.Cut(text, "-")
	if hasBuild && !identifiers(build, false) || hasPre && !identifiers(pre, true) {
		return Version{}, false
	}
	v.pre = pre
	for i := 0; ; i++ {
		number, rest, more := strings.Cut(numbers, ".")
		n, ok := parseNumber(number)
		if i == len(v.numbers) || !ok {
			return Version{}, false
		}
		v.numbers[i] = n
		if !more {
			return v, true
		}
		numbers = rest
	}
}

// parseNumber returns a number without sign and needless zeros.
func parseNumber(text string) (n uint64, ok bool) {
	if text == "" || len(text) > 1 && text[0] == '0' || !digits(text) {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

func digits(text string) bool {
	return strings.Trim(text, "0123456789") == "" && text != ""
}

// identifiers reports whether a text is a list of identifiers with dots between them. strict rejects
// numbers with needless zeros.
func identifiers(text string, strict bool) bool {
	for id := range strings.SplitSeq(text, ".") {
		for i := range len(id) {
			c := id[i]
			if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				return false
			}
		}
		if id == "" || strict && len(id) > 1 && id[0] == '0' && digits(id) {
			return false
		}
	}
	return true
}

// Compare returns -1, 0 or 1 if v is before, equal to or after w.
func (v Version) Compare(w Version) int {
	for i := range v.numbers {
		if c := cmp.Compare(v.numbers[i], w.numbers[i]); c != 0 {
			return c
		}
	}
	switch {
	case v.pre == w.pre:
		return 0
	case v.pre == "":
		return 1
	case w.pre == "":
		return -1
	default:
		return comparePre(v.pre, w.pre)
	}
}

// comparePre compares two pre-releases, identifier by identifier: numbers by value, before texts; the one
// with fewer identifiers is before the other.
func comparePre(a, b string) int {
	for {
		x, restA, moreA := strings.Cut(a, ".")
		y, restB, moreB := strings.Cut(b, ".")
		if c := compareIdentifier(x, y); c != 0 {
			return c
		}
		if !moreA || !moreB {
			return cmp.Compare(len(restA), len(restB))
		}
		a, b = restA, restB
	}
}

func compareIdentifier(x, y string) int {
	switch numberX, numberY := digits(x), digits(y); {
	case numberX && numberY:
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) // they have no needless zeros
	case numberX:
		return -1
	case numberY:
		return 1
	default:
		return cmp.Compare(x, y)
	}
}

// MajorMinor returns the first two numbers: "1.2".
func (v Version) MajorMinor() string {
	return strconv.FormatUint(v.numbers[0], 10) + "." + strconv.FormatUint(v.numbers[1], 10)
}

// Range is a set of versions. The zero value has all.
type Range struct {
	any [][]bound // one of them holds, and all of its bounds
}

type bound struct {
	operator string
	version  Version
}

// operators, the longer ones first.
func operators() []string { return []string{">=", "<=", "!=", ">", "<", "="} }

// ParseRange returns the range that a text has: comparisons with commas between them, all of which hold,
// such as ">=1.4, <2"; "||" between such lists, one of which holds; "*" is all versions. The operators
// are =, !=, <, <=, > and >=.
func ParseRange(text string) (Range, error) {
	var r Range
	for list := range strings.SplitSeq(text, "||") {
		all, err := parseBounds(list)
		if err != nil {
			return Range{}, err
		}
		r.any = append(r.any, all)
	}
	return r, nil
}

func parseBounds(list string) (all []bound, err error) {
	if strings.TrimSpace(list) == "*" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		b, ok := parseBound(strings.TrimSpace(text))
		if !ok {
			return nil, fmt.Errorf(`%.100q is no comparison; want an operator and a version, such as ">=1.4", `+
				`with commas between comparisons that all hold and "||" between alternatives, or "*" for all; `+
				`the operators are =, !=, <, <=, > and >=`, text)
		}
		all = append(all, b)
	}
	return all, nil
}

func parseBound(text string) (bound, bool) {
	for _, operator := range operators() {
		if rest, ok := strings.CutPrefix(text, operator); ok {
			v, ok := Parse(strings.TrimSpace(rest))
			return bound{operator, v}, ok
		}
	}
	return bound{}, false
}

// Has reports whether the range has a version.
func (r Range) Has(v Version) bool {
	for _, all := range r.any {
		if holdAll(all, v) {
			return true
		}
	}
	return len(r.any) == 0
}

func holdAll(all []bound, v Version) bool {
	for _, b := range all {
		if !b.holds(v) {
			return false
		}
	}
	return true
}

func (b bound) holds(v Version) bool {
	c := v.Compare(b.version)
	switch b.operator {
	case ">=":
		return c >= 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case "<":
		return c < 0
	case "!=":
		return c != 0
	default:
		return c == 0
	}
}
