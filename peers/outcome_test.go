package main

import (
	"slices"
	"testing"
	"time"
)

func TestDifferingTests(t *testing.T) {
	bare := results{
		"T":      {verdict: passed},
		"T/a":    {verdict: passed, took: time.Second},
		"T/b":    {verdict: passed},
		"T/b/1":  {verdict: passed},
		"T/b/2":  {verdict: passed},
		"T/c":    {verdict: failed},
		"T/skip": {verdict: skipped},
	}
	for _, tt := range []struct {
		name    string
		changes results
		want    []string
	}{
		{"equal", nil, nil},
		{"one that fails bare too", results{"T/c": {verdict: failed}}, nil},
		{"a subtest, not its parents", results{
			"T": {verdict: failed}, "T/b": {verdict: failed}, "T/b/1": {verdict: failed},
		}, []string{"T/b/1"}},
		{"one that never got to its subtests", results{
			"T": {verdict: failed}, "T/b": {verdict: failed}, "T/b/1": {}, "T/b/2": {},
		}, []string{"T/b"}},
		{"one that is skipped", results{"T/a": {verdict: skipped}}, []string{"T/a"}},
		{"one that hangs", results{"T/a": {verdict: passed, took: 11 * time.Second}}, []string{"T/a"}},
		{"one that takes longer", results{"T/a": {verdict: passed, took: 4 * time.Second}}, nil},
	} {
		other := make(results)
		other.add(bare)
		other.add(tt.changes)
		if got := differing(bare, other); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q differ; want %q", tt.name, got, tt.want)
		}
	}
}

func TestTestsThatACrashLeavesOutAreMissing(t *testing.T) {
	bare := results{"T/a": {verdict: passed}, "T/b": {verdict: passed}}
	if got, want := differing(bare, results{"T/a": {verdict: failed}}), []string{"T/a", "T/b"}; !slices.Equal(got, want) {
		t.Errorf("%q differ; want %q", got, want)
	}
}
