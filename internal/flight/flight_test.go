package flight_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/hauberk-rpc/hauberk/internal/flight"
)

// TestRun: each end of the function is a result, which is landed once, before it is returned.
func TestRun(t *testing.T) {
	bad := errors.New("bad")
	for name, test := range map[string]struct {
		f    func() (int, error)
		want int
		err  string
	}{
		"value":  {func() (int, error) { return 1, nil }, 1, ""},
		"error":  {func() (int, error) { return 0, bad }, 0, "bad"},
		"panic":  {func() (int, error) { panic("p") }, 0, "it panicked: p"},
		"Goexit": {func() (int, error) { runtime.Goexit(); return 1, nil }, 0, "it ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			r := flight.New[int]()
			landed := 0
			go r.Run(test.f, func(how string) error { return errors.New("it " + how) }, func(int, error) { landed++ })
			for range 2 {
				value, err := r.Wait(t.Context())
				text := ""
				if err != nil {
					text = err.Error()
				}
				if text != test.err {
					t.Errorf("%q; want %q", text, test.err)
				}
				if value != test.want || landed != 1 {
					t.Errorf("%d, landed %d times; want %d, once", value, landed, test.want)
				}
			}
		})
	}
}

// TestWait: a caller that gives up does not wait for the function.
func TestWait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := flight.New[int]().Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want %v", err, context.Canceled)
	}
}
