package audit

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/errtree"
	"github.com/hauberk-rpc/hauberk/internal/recordqueue"
)

// writer gives records to a sink. Safe for concurrent use.
type writer struct {
	sink    Sink
	timeout time.Duration
	failed  func(ctx context.Context, r Record, err error) // may be nil
	slots   chan struct{}                                  // one for each write that runs on its own goroutine
	queue   *recordqueue.Queue[entry]                      // nil to fail closed

	written, errors, timeouts, panics atomic.Uint64
	dropped                           atomic.Int64
}

// entry is a record in the queue, with the context of its call.
type entry struct {
	ctx    context.Context //nolint:containedctx // the sink needs its values, not its end
	record Record
}

// poster is a sink that takes a record, and calls done when the record is stored or is not.
type poster interface {
	post(ctx context.Context, r Record, done func(error)) error
	// afterPosts calls done when it has called those of all records that it has taken.
	afterPosts(ctx context.Context, done func(error)) error
}

// punctual is a sink whose Write returns when its context ends.
type punctual interface {
	punctual()
}

func newWriter(c Config, sink Sink, failed func(context.Context, Record, error)) *writer {
	w := &writer{sink: sink, timeout: c.Timeout, failed: failed, slots: make(chan struct{}, c.MaxWrites)}
	if c.BestEffort {
		w.queue = recordqueue.New(c.Queue, &w.dropped, w.writeQueued)
	}
	return w
}

// write stores a record, or puts it in the queue. It returns an error only without a queue.
func (w *writer) write(ctx context.Context, r Record) error {
	ctx = context.WithoutCancel(ctx)
	if w.queue != nil {
		if !w.queue.Add(entry{ctx, r}) {
			w.report(ctx, r, ErrDropped)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	err := w.store(ctx, r)
	w.count(ctx, r, err)
	return err
}

// writeQueued stores a record of the queue. It does not wait for a sink that takes records faster than it stores
// them.
func (w *writer) writeQueued(e entry) {
	ctx, cancel := context.WithTimeout(e.ctx, w.timeout)
	defer cancel()
	p, ok := w.sink.(poster)
	if !ok {
		w.count(e.ctx, e.record, w.store(ctx, e.record))
		return
	}
	if err := p.post(ctx, e.record, func(err error) { w.count(e.ctx, e.record, err) }); err != nil {
		w.count(e.ctx, e.record, timely(ctx, err))
	}
}

// store gives a record to the sink, and returns at the latest when ctx ends.
func (w *writer) store(ctx context.Context, r Record) error {
	if _, ok := w.sink.(punctual); ok {
		return timely(ctx, w.sink.Write(ctx, r))
	}
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return ErrTimeout
	}
	stored := make(chan error, 1)
	go w.contained(ctx, r, stored)
	select {
	case err := <-stored:
		return timely(ctx, err)
	case <-ctx.Done():
		return ErrTimeout
	}
}

// contained calls the sink and frees a slot. A panic would end the process here.
func (w *writer) contained(ctx context.Context, r Record, stored chan<- error) {
	err := ErrPanic // also if the sink calls runtime.Goexit
	defer func() {
		_ = recover()
		<-w.slots
		stored <- err
	}()
	err = errtree.Bounded(w.sink.Write(ctx, r)) // before errors.Is searches it
}

// timely returns ErrTimeout for the error of a sink that its context has ended.
func timely(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ErrTimeout
	}
	return err
}

// count counts and reports the result of a write.
func (w *writer) count(ctx context.Context, r Record, err error) {
	switch {
	case err == nil:
		w.written.Add(1)
		return
	case errors.Is(err, ErrTimeout):
		w.timeouts.Add(1)
	case errors.Is(err, ErrPanic):
		w.panics.Add(1)
	default:
		w.errors.Add(1)
	}
	w.report(ctx, r, err)
}

// report calls the function of WithFailed.
func (w *writer) report(ctx context.Context, r Record, err error) {
	if w.failed == nil {
		return
	}
	defer func() { _ = recover() }()
	w.failed(ctx, r, err)
}

func (w *writer) flush(ctx context.Context) error {
	if w.queue == nil {
		return nil
	}
	if err := w.queue.Flush(ctx); err != nil {
		return err
	}
	return w.drain(ctx)
}

func (w *writer) close(ctx context.Context) error {
	if w.queue == nil {
		return nil
	}
	if err := w.queue.Close(ctx); err != nil {
		return err
	}
	return w.drain(ctx)
}

// drain waits until a sink has stored the records that it has taken.
func (w *writer) drain(ctx context.Context) error {
	p, ok := w.sink.(poster)
	if !ok {
		return nil
	}
	drained := make(chan struct{})
	err := p.afterPosts(ctx, func(error) { close(drained) })
	switch {
	case errors.Is(err, ErrClosed):
		return nil
	case err != nil:
		return err
	}
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Measurements returns the numbers of records: see [hauberk.Chain.Measurements].
func (x *Interceptor) Measurements() []hauberk.Measurement {
	w := x.writer
	if w == nil {
		return nil
	}
	failed := func(cause string, n *atomic.Uint64) hauberk.Measurement {
		return hauberk.Measurement{
			Name: "audit_failed_total", Help: "Records that the sink did not store.", Counter: true,
			LabelName: "cause", LabelValue: cause, Value: float64(n.Load()),
		}
	}
	queued := 0
	if w.queue != nil {
		queued = w.queue.Len()
	}
	all := []hauberk.Measurement{
		{
			Name: "audit_written_total", Help: "Records that the sink stored.", Counter: true,
			Value: float64(w.written.Load()),
		},
		failed("error", &w.errors), failed("panic", &w.panics), failed("timeout", &w.timeouts),
		{
			Name: "audit_dropped_total", Help: "Records for which the queue had no room.", Counter: true,
			Value: float64(w.dropped.Load()),
		},
		{Name: "audit_queued", Help: "Records in the queue.", Value: float64(queued)},
	}
	if f, ok := w.sink.(*File); ok {
		all = append(all, f.Measurements()...)
	}
	return all
}
