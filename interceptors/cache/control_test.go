package cache_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/interceptors/cache"
)

// Each directive of a request has its effect, once an answer of the age of ten seconds is kept.
func TestRequestDirectives(t *testing.T) {
	const kept, made, rejected = "kept", "made", "rejected"
	for _, c := range []struct {
		values []string
		ignore bool
		got    string
		later  string // what the next call without directives gets: the first answer or the second
	}{
		{nil, false, kept, "a 1"},
		{[]string{"no-cache"}, false, made, "a 2"},
		{[]string{" No-Cache "}, false, made, "a 2"},
		{[]string{"no-cache"}, true, kept, "a 1"},
		{[]string{"no-store"}, false, made, "a 1"},
		{[]string{"max-age=9"}, false, made, "a 2"},
		{[]string{"max-age=10"}, false, kept, "a 1"},
		{[]string{"max-age=99, max-age=1"}, false, made, "a 2"},
		{[]string{"max-age=99", "max-age=1"}, false, made, "a 2"},
		{[]string{"max-age=x"}, false, made, "a 2"},
		{[]string{`max-age="20"`}, false, kept, "a 1"},
		{[]string{"max-age=99999999999999999999"}, false, kept, "a 1"},
		{[]string{"unknown, x=\"no-cache, \\\", no-store\""}, false, kept, "a 1"},
		{[]string{"only-if-cached"}, false, kept, "a 1"},
		{[]string{"only-if-cached, max-age=1"}, false, rejected, "a 1"},
		{[]string{"only-if-cached, no-cache"}, false, rejected, "a 1"},
		{[]string{"only-if-cached, no-store"}, false, rejected, "a 1"},
	} {
		clock := hauberktest.NewClock()
		x := cache.New(cache.Config{TTL: time.Hour, Methods: all, AcrossIdentities: true, IgnoreRequests: c.ignore},
			cache.WithClock(clock.Now))
		s := newServer(t, hauberk.Config{}, x)
		s.call(t.Context(), "a")
		clock.Advance(10 * time.Second)
		var pairs []string
		for _, v := range c.values {
			pairs = append(pairs, "cache-control", v)
		}
		got := s.call(t.Context(), "a", pairs...)
		outcome := map[string]string{"a 1": kept, "a 2": made}[got.text]
		if got.err != nil {
			outcome = rejected
			if status.Code(got.err) != codes.Unavailable || hauberk.Reason(got.err) != cache.ReasonNotCached ||
				!errors.Is(got.err, cache.ErrNotCached) && hauberk.RejectionOf(got.err) == nil {
				t.Errorf("%q: %v", c.values, got.err)
			}
		}
		if outcome != c.got {
			t.Errorf("%q: %s; want %s", c.values, outcome, c.got)
		}
		if outcome == kept && !slices.Equal(got.header.Get("age"), []string{"10"}) {
			t.Errorf("%q: age %q; want 10", c.values, got.header.Get("age"))
		}
		s.wants(c.later, s.call(t.Context(), "a"))
	}
}

// Each directive of a response decides how long its answer is used: fresh, stale, or not at all.
func TestResponseDirectives(t *testing.T) {
	for _, c := range []struct {
		control string
		across  bool
		fresh   time.Duration // how long; 0 for not kept
	}{
		{"", true, time.Minute},
		{"public, x", true, time.Minute},
		{"no-store", true, 0},
		{"no-cache", true, 0},
		{"private", true, 0},
		{"private", false, time.Minute},
		{"private=\"x\"", true, 0},
		{"max-age=5", true, 5 * time.Second},
		{"max-age=5, private", false, 5 * time.Second},
		{"max-age=0", true, 0},
		{"max-age=-1", true, 0},
		{"max-age=120", true, 2 * time.Minute},
		{"max-age=99999", true, 3 * time.Minute},
		{"must-revalidate", true, time.Minute},
	} {
		clock := hauberktest.NewClock()
		x := cache.New(cache.Config{
			TTL: time.Minute, MaxTTL: 3 * time.Minute, Methods: all, AcrossIdentities: c.across,
		}, cache.WithClock(clock.Now))
		s := newServer(t, hauberk.Config{}, login{}, x)
		s.answers(c.control)
		s.call(t.Context(), "a", "user", "u")
		if c.fresh > 0 {
			clock.Advance(c.fresh - 1)
			s.wants("a 1", s.call(t.Context(), "a", "user", "u"))
			clock.Advance(1)
		}
		s.wants("a 2", s.call(t.Context(), "a", "user", "u"))
	}
}

// The age of an answer begins at that which another cache reports.
func TestAge(t *testing.T) {
	clock := hauberktest.NewClock()
	x := cache.New(cache.Config{TTL: time.Minute, Methods: all, AcrossIdentities: true}, cache.WithClock(clock.Now))
	outer := cache.New(cache.Config{TTL: time.Hour, MaxTTL: time.Hour, Methods: all, AcrossIdentities: true},
		cache.WithClock(clock.Now))
	s := newServer(t, hauberk.Config{}, outer, x)
	s.call(t.Context(), "a")
	clock.Advance(40 * time.Second)
	outer.Purge("")
	if got := s.call(t.Context(), "a").header.Get("age"); !slices.Equal(got, []string{"40"}) {
		t.Errorf("age %q; want 40", got)
	}
	clock.Advance(10 * time.Second)
	if got := s.call(t.Context(), "a").header.Get("age"); !slices.Equal(got, []string{"50"}) {
		t.Errorf("age %q; want 50", got)
	}
	clock.Advance(-time.Hour)
	s.wants("a 1", s.call(t.Context(), "a"))
}
