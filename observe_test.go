package hauberk_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hauberk-rpc/hauberk"
)

// However a call ends, end gets the outcome once, and the call ends in the same way.
func TestObserve(t *testing.T) {
	failure, bomb := errors.New("failure"), errors.New("bomb")
	for _, c := range []struct {
		name     string
		next     hauberk.Next
		outcome  error // passed to end
		returned bool
		panicked any
	}{
		{"succeeds", func(context.Context, *hauberk.Call) error { return nil }, nil, true, nil},
		{"fails", func(context.Context, *hauberk.Call) error { return failure }, failure, true, nil},
		{"panics", func(context.Context, *hauberk.Call) error { panic(bomb) }, hauberk.ErrUnwound, false, bomb},
		{"exits", func(context.Context, *hauberk.Call) error { runtime.Goexit(); return nil }, hauberk.ErrUnwound, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var outcomes []error
			var err error
			var panicked any
			returned := false
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { panicked = recover() }()
				err = hauberk.Observe(t.Context(), nil, c.next, func(err error) {
					outcomes = append(outcomes, err)
					if v := recover(); v != nil {
						t.Errorf("end could recover %v", v)
					}
				})
				returned = true
			}()
			<-done
			if len(outcomes) != 1 || !errors.Is(outcomes[0], c.outcome) {
				t.Errorf("end got %v, want %v once", outcomes, c.outcome)
			}
			if returned != c.returned || returned && !errors.Is(err, c.outcome) || panicked != c.panicked {
				t.Errorf("returned: %t with %v, panicked with %v", returned, err, panicked)
			}
		})
	}
}

func TestErrUnwound(t *testing.T) {
	if got := hauberk.CodeOf(hauberk.ErrUnwound); got != codes.Internal {
		t.Errorf("code %s, want INTERNAL", got)
	}
}

func TestObserveAllocations(t *testing.T) {
	ctx, ended := t.Context(), 0
	next := func(context.Context, *hauberk.Call) error { return nil }
	if n := testing.AllocsPerRun(100, func() {
		_ = hauberk.Observe(ctx, nil, next, func(error) { ended++ })
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
