package main

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// verdict is how a test ended.
type verdict string

const (
	passed  verdict = "pass"
	failed  verdict = "fail"
	skipped verdict = "skip"
	slow    verdict = "slow"    // it passed, seconds later than bare
	missing verdict = "missing" // it did not run
)

// outcome is that of one test.
type outcome struct {
	verdict verdict
	took    time.Duration
	output  string
}

// results are the outcomes of tests, by name.
type results map[string]outcome

// add puts the outcomes of other into r, in place of those it has.
func (r results) add(other results) { maps.Copy(r, other) }

// count returns how many tests ended in a way.
func (r results) count(v verdict) int {
	n := 0
	for _, o := range r {
		if o.verdict == v {
			n++
		}
	}
	return n
}

// tooSlow reports whether a test took so much longer than bare that something in it
// hangs until a deadline. A chain that works for each of a test's 300,000 messages,
// on a loaded computer, takes less.
func tooSlow(bare, took time.Duration) bool { return took > 5*bare+4*time.Second }

// difference returns how a test differs from bare, and whether it does. Only tests
// that pass bare are compared.
func difference(bare, other outcome) (verdict, bool) {
	switch {
	case bare.verdict != passed:
		return "", false
	case other.verdict == "":
		return missing, true
	case other.verdict != passed:
		return other.verdict, true
	case tooSlow(bare.took, other.took):
		return slow, true
	default:
		return "", false
	}
}

// differing returns the tests that differ from bare, without those that differ
// only because of their subtests, and without subtests of those that never got
// there.
func differing(bare, other results) []string {
	var all []string
	for name, b := range bare {
		if _, differs := difference(b, other[name]); differs {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	var own []string
	for _, name := range all {
		if v, _ := difference(bare[name], other[name]); v == missing {
			if !hasEnded(other, name) {
				own = append(own, name)
			}
		} else if !slices.ContainsFunc(all, func(sub string) bool {
			return strings.HasPrefix(sub, name+"/") && other[sub].verdict != ""
		}) {
			own = append(own, name)
		}
	}
	return own
}

// hasEnded reports whether a test has a parent that ended without it.
func hasEnded(r results, name string) bool {
	for {
		at := strings.LastIndexByte(name, '/')
		if at < 0 {
			return false
		}
		if name = name[:at]; r[name].verdict != "" {
			return true
		}
	}
}
