package ratelimitredis

import (
	"context"
	"errors"
	"testing"
	"time"
)

// An answer that has arrived counts, although the timeout has passed as well. After the timeout nothing blocks.
func TestPatience(t *testing.T) {
	here, never := make(chan struct{}), make(chan struct{})
	close(here)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		p := newPatience(0)
		if err := p.await(t.Context(), here); err != nil {
			t.Fatalf("%v; want the answer that is there", err)
		}
		for range 2 {
			if err := p.await(t.Context(), never); !errors.Is(err, errLate) {
				t.Fatalf("%v, want %v", err, errLate)
			}
			if err := p.await(t.Context(), here); err != nil {
				t.Fatalf("%v after the timeout; want the answer that is there", err)
			}
		}
		p.end()
	}
	p := newPatience(time.Hour)
	defer p.end()
	if err := p.await(ended, never); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the error of the context", err)
	}
}
