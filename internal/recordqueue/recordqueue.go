// Package recordqueue passes records to a goroutine that writes them.
package recordqueue

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Queue is a bounded queue of records. Its goroutine starts with the first record, and ends with Close.
// Safe for concurrent use.
type Queue[T any] struct {
	waiting chan T
	flushes chan chan struct{}
	ended   chan struct{} // closed by the goroutine
	write   func(T)
	dropped *atomic.Int64

	mu      sync.RWMutex // held to put into waiting; guards started and closed
	started bool
	closed  bool
}

// New returns a queue for size records, which calls write for each one, in their order. It adds to dropped
// the records for which there is no room, and those for which write panics.
func New[T any](size int, dropped *atomic.Int64, write func(T)) *Queue[T] {
	return &Queue[T]{
		waiting: make(chan T, size), flushes: make(chan chan struct{}), ended: make(chan struct{}),
		write: write, dropped: dropped,
	}
}

// Len returns the number of records that wait.
func (q *Queue[T]) Len() int { return len(q.waiting) }

// Add puts a record into the queue, or drops it if the queue is full or closed. It never waits. It reports
// whether the record is in the queue.
func (q *Queue[T]) Add(record T) bool {
	q.mu.RLock()
	if !q.started {
		q.mu.RUnlock()
		q.start()
		q.mu.RLock()
	}
	defer q.mu.RUnlock()
	if !q.closed {
		select {
		case q.waiting <- record:
			return true
		default:
		}
	}
	q.dropped.Add(1)
	return false
}

func (q *Queue[T]) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.started {
		q.started = true
		go q.run()
	}
}

// run writes until the queue is closed and empty.
func (q *Queue[T]) run() {
	defer close(q.ended)
	for {
		select {
		case record, open := <-q.waiting:
			if !open {
				return
			}
			q.contained(record)
		case flushed := <-q.flushes:
			for range len(q.waiting) {
				if record, open := <-q.waiting; open {
					q.contained(record)
				}
			}
			close(flushed)
		}
	}
}

// contained writes a record. A panic would end the process here.
func (q *Queue[T]) contained(record T) {
	defer func() {
		if recover() != nil {
			q.dropped.Add(1)
		}
	}()
	q.write(record)
}

// Flush waits until the records in the queue are written, or returns the error of ctx.
func (q *Queue[T]) Flush(ctx context.Context) error {
	q.mu.RLock()
	started := q.started
	q.mu.RUnlock()
	if !started {
		return nil
	}
	flushed := make(chan struct{})
	select {
	case q.flushes <- flushed:
	case <-q.ended:
		return nil
	case <-ctx.Done():
		return q.unwritten(ctx)
	}
	select {
	case <-flushed:
		return nil
	case <-ctx.Done():
		return q.unwritten(ctx)
	}
}

// Close writes the records in the queue and ends the goroutine. Later records are dropped. If ctx ends
// first, Close returns its error, and the goroutine writes the rest concurrently.
func (q *Queue[T]) Close(ctx context.Context) error {
	if !q.shut() {
		return nil
	}
	select {
	case <-q.ended:
		return nil
	case <-ctx.Done():
		return q.unwritten(ctx)
	}
}

// shut closes the queue and reports whether its goroutine runs.
func (q *Queue[T]) shut() (running bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.waiting)
	}
	running = q.started
	q.started = true // so that Add does not start the goroutine
	if !running {
		close(q.ended)
	}
	return running
}

func (q *Queue[T]) unwritten(ctx context.Context) error {
	return fmt.Errorf("%d records in the queue are not written yet: %w", len(q.waiting), ctx.Err())
}
