package sidecar

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// queue writes lines to another writer on a separate goroutine, so that a full disk or a
// log without a reader blocks no call. A full queue drops further lines and counts them.
type queue struct {
	lines   chan []byte
	dropped atomic.Int64
	closing chan struct{}
	closed  chan struct{}
}

// queueLength is the largest number of waiting lines. A line has about 400 bytes.
const queueLength = 8192

func newQueue(w io.Writer, length int) *queue {
	q := &queue{lines: make(chan []byte, length), closing: make(chan struct{}), closed: make(chan struct{})}
	go q.run(w)
	return q
}

// Write queues one line. It never blocks and never fails.
func (q *queue) Write(line []byte) (int, error) {
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.dropped.Add(1)
	}
	return len(line), nil
}

func (q *queue) run(w io.Writer) {
	defer close(q.closed)
	for {
		select {
		case line := <-q.lines:
			q.write(w, line)
		case <-q.closing:
			q.flush(w)
			return
		}
	}
}

func (q *queue) flush(w io.Writer) {
	for {
		select {
		case line := <-q.lines:
			q.write(w, line)
		default:
			q.reportDropped(w)
			return
		}
	}
}

func (q *queue) write(w io.Writer, line []byte) {
	q.reportDropped(w)
	if _, err := w.Write(line); err != nil {
		q.dropped.Add(1)
	}
}

// reportDropped writes a line in place of the lines that were dropped.
func (q *queue) reportDropped(w io.Writer) {
	n := q.dropped.Swap(0)
	if n == 0 {
		return
	}
	record := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines dropped", 0)
	record.AddAttrs(slog.Int64("count", n))
	if slog.NewJSONHandler(w, nil).Handle(context.Background(), record) != nil {
		q.dropped.Add(n)
	}
}

// close writes the waiting lines. It gives up after one second, because the other writer
// may block.
func (q *queue) close() {
	close(q.closing)
	select {
	case <-q.closed:
	case <-time.After(time.Second):
	}
}
