package ratelimitredis

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/lease"
)

// An answer that has arrived counts, although the timeout has passed as well. After the timeout nothing blocks.
func TestPatience(t *testing.T) {
	here, never := make(chan struct{}), make(chan struct{})
	close(here)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		p := newPatience(t.Context(), 0)
		if err := p.await(here); err != nil {
			t.Fatalf("%v; want the answer that is there", err)
		}
		for range 2 {
			if err := p.await(never); !errors.Is(err, errLate) {
				t.Fatalf("%v, want %v", err, errLate)
			}
			if err := p.await(here); err != nil {
				t.Fatalf("%v after the timeout; want the answer that is there", err)
			}
		}
		p.end()
	}
	p := newPatience(ended, time.Hour)
	defer p.end()
	if err := p.await(never); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the error of the context", err)
	}
}

// A call whose timeout has passed while an answer arrived waits for no place of a further request.
func TestPatienceWithoutPlace(t *testing.T) {
	store := New(Config{Name: "test", Addresses: []string{"127.0.0.1:1"}})
	defer func() { _ = store.Close() }()
	for store.connector.TryReserve() { // take all places
	}
	here := make(chan struct{})
	close(here)
	p := newPatience(t.Context(), 0)
	defer p.end()
	<-p.ctx.Done()
	if err := p.await(here); err != nil {
		t.Fatal(err)
	}
	landed := 0
	w := &work{request: newRequest(take, 1), land: func([]lease.Answer, error, bool) { landed++ }}
	if err := store.do(p, w); !errors.Is(err, ErrNoAnswer) || landed != 1 {
		t.Errorf("%v, and land was called %d times; want ErrNoAnswer and 1", err, landed)
	}
}
