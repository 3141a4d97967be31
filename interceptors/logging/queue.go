package logging

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// queue passes records to a goroutine that writes them. The goroutine starts with the
// first record, and ends with close.
type queue struct {
	waiting chan entry
	flushes chan chan struct{}
	ended   chan struct{} // closed by the goroutine
	dropped *atomic.Int64

	mu      sync.RWMutex // held to put into waiting; guards started and closed
	started bool
	closed  bool
}

// entry is a record with its handler and the context whose values handlers read.
type entry struct {
	ctx     context.Context //nolint:containedctx // slog's handlers need its values, not its end
	handler slog.Handler
	record  slog.Record
}

func newQueue(size int, dropped *atomic.Int64) *queue {
	return &queue{
		waiting: make(chan entry, size), flushes: make(chan chan struct{}), ended: make(chan struct{}),
		dropped: dropped,
	}
}

// add puts a record into the queue, or drops it. It never waits.
func (q *queue) add(e entry) {
	q.mu.RLock()
	if !q.started {
		q.mu.RUnlock()
		q.start()
		q.mu.RLock()
	}
	defer q.mu.RUnlock()
	if q.closed {
		q.dropped.Add(1)
		return
	}
	select {
	case q.waiting <- e:
	default:
		q.dropped.Add(1)
	}
}

func (q *queue) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.started {
		q.started = true
		go q.run()
	}
}

// run writes until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.ended)
	for {
		select {
		case e, open := <-q.waiting:
			if !open {
				return
			}
			q.write(e)
		case flushed := <-q.flushes:
			for range len(q.waiting) {
				if e, open := <-q.waiting; open {
					q.write(e)
				}
			}
			close(flushed)
		}
	}
}

// write passes a record to its handler, also if the call has been cancelled meanwhile.
func (q *queue) write(e entry) {
	e.ctx = context.WithoutCancel(e.ctx)
	if !contained(e.write) {
		q.dropped.Add(1)
	}
}

// write ignores errors as slog.Logger does.
func (e *entry) write() { _ = e.handler.Handle(e.ctx, e.record) }

// contained runs f and reports whether it returned without a panic, which would end the
// process here.
func contained(f func()) (ok bool) {
	defer func() { ok = recover() == nil }()
	f()
	return true
}

func (q *queue) flush(ctx context.Context) error {
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

func (q *queue) close(ctx context.Context) error {
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
func (q *queue) shut() (running bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.waiting)
	}
	running = q.started
	q.started = true // so that add does not start the goroutine
	if !running {
		close(q.ended)
	}
	return running
}

func (q *queue) unwritten(ctx context.Context) error {
	return fmt.Errorf("logging: %d records in the queue are not written yet: %w", len(q.waiting), ctx.Err())
}

// settled returns a value for another goroutine: LogValue methods are called now.
func settled(v slog.Value) slog.Value {
	v = v.Resolve()
	if v.Kind() != slog.KindGroup {
		return v
	}
	group := v.Group()
	list := make([]slog.Attr, 0, len(group))
	for _, a := range group {
		list = append(list, slog.Attr{Key: a.Key, Value: settled(a.Value)})
	}
	return slog.GroupValue(list...)
}
