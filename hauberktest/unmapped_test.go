package hauberktest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
)

// recorder is a test that records how it fails.
type recorder struct {
	testing.TB

	failures []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// The test fails at its end, once for each error.
func TestUnmapped(t *testing.T) {
	r := &recorder{TB: t}
	report := hauberktest.Unmapped(r)
	call := hauberk.FromContext(hauberktest.Context(t))
	for range 3 {
		report(context.Background(), call, errors.New("no row"))
		report(context.Background(), call, fmt.Errorf("load: %w", errors.New("no row")))
	}
	for i := range 100 {
		report(context.Background(), call, fmt.Errorf("item %d", i))
	}
	if len(r.failures) > 0 {
		t.Errorf("%q before the end", r.failures)
	}
	for _, end := range r.cleanups {
		end()
	}
	const begin = "hauberktest: a handler returned an error without a status: hauberk.test.v1.TestService/Unary: "
	for _, want := range []string{begin + "*errors.errorString: no row", begin + "*fmt.wrapError: load: no row"} {
		if !slices.Contains(r.failures, want) {
			t.Errorf("no failure %q in %q", want, r.failures)
		}
	}
	if len(r.failures) != 50 {
		t.Errorf("%d failures; want 50", len(r.failures))
	}
}
