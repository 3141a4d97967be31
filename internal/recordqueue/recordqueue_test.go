package recordqueue_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hauberk-rpc/hauberk/internal/recordqueue"
)

// Records are written in their order. Those without room, those that are added after Close and those whose
// write panics are counted.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped atomic.Int64
		var written []int
		block := make(chan struct{})
		q := recordqueue.New(3, &dropped, func(n int) {
			<-block
			if n == 2 {
				panic("write")
			}
			written = append(written, n)
		})
		for n := range 6 {
			synctest.Wait() // the first record is no longer in the queue
			if added := q.Add(n); added != (n < 4) {
				t.Errorf("record %d is in the queue: %t", n, added)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Flush(ended); !errors.Is(err, context.Canceled) || q.Len() != 3 {
			t.Errorf("%v, %d records wait", err, q.Len())
		}
		close(block)
		if err := q.Flush(t.Context()); err != nil || q.Len() != 0 {
			t.Errorf("%v, %d records wait", err, q.Len())
		}
		for range 2 {
			if err := q.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if q.Add(7) {
			t.Error("a closed queue has accepted a record")
		}
		if !slices.Equal(written, []int{0, 1, 3}) || dropped.Load() != 4 {
			t.Errorf("written %v, dropped %d; want 0, 1, 3 and 4", written, dropped.Load())
		}
	})
}

// A queue without records needs no goroutine.
func TestUnused(t *testing.T) {
	q := recordqueue.New(1, new(atomic.Int64), func(int) {})
	if err := errors.Join(q.Flush(t.Context()), q.Close(t.Context()), q.Close(t.Context())); err != nil || q.Add(1) {
		t.Errorf("%v; want no error, and no record", err)
	}
}
