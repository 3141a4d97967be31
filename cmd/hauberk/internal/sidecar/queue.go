package sidecar

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// queue writes what it is given to another writer, on a goroutine of its own, so
// that a log that no one reads, or a full disk, holds up no call. Where the other
// writer is behind by the queue's length, what comes is dropped and counted.
type queue struct {
	lines   chan []byte
	dropped atomic.Int64
	closing chan struct{}
	closed  chan struct{}
}

// queueLength is how many lines wait, at most. One is some 400 bytes.
const queueLength = 8192

func newQueue(w io.Writer, length int) *queue {
	q := &queue{lines: make(chan []byte, length), closing: make(chan struct{}), closed: make(chan struct{})}
	go q.run(w)
	return q
}

// Write takes one line. It never blocks and never fails.
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
			q.tell(w)
			return
		}
	}
}

func (q *queue) write(w io.Writer, line []byte) {
	q.tell(w)
	if _, err := w.Write(line); err != nil {
		q.dropped.Add(1)
	}
}

// tell leaves a line in the place of those that were dropped.
func (q *queue) tell(w io.Writer) {
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

// close writes what waits, for a second at most: the other writer may be stuck.
func (q *queue) close() {
	close(q.closing)
	select {
	case <-q.closed:
	case <-time.After(time.Second):
	}
}
