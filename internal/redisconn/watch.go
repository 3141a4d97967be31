package redisconn

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// patience is how long a server may send nothing while a request has no answer, or a part of one.
	patience = 2 * time.Second
	// slowest is the least speed, in bytes per second, at which a server must read what is sent: a large
	// request extends patience by the time that it takes at this speed.
	slowest = 1 << 20
)

// watch closes a connection on which the server has stopped to answer. The client of rueidis would do so too, but
// counts whole answers: it would also end a connection that transfers a large one slowly, with all requests on it.
type watch struct {
	conn    net.Conn
	waiting func() bool // reports whether a request has no answer

	mu      sync.Mutex // guards the following fields
	moved   time.Time  // when the server last sent something, or the first request after that was sent
	sent    int        // bytes since then
	timer   *time.Timer
	armed   bool
	partial bool // a part of an answer has arrived
	closed  bool
	expired error
}

// wrote notes that n bytes are about to be sent.
func (w *watch) wrote(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent += n
	if w.armed || w.closed {
		return
	}
	w.armed, w.moved, w.sent = true, time.Now(), n
	if w.timer == nil {
		w.timer = time.AfterFunc(patience, w.check)
		return
	}
	w.timer.Reset(patience)
}

// received notes that the server has sent something, and whether that ends within an answer.
func (w *watch) received(partial bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved, w.sent, w.partial = time.Now(), 0, partial
}

// check closes the connection if the server is late, and otherwise looks again when it would be.
func (w *watch) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || !w.partial && !w.waiting() {
		w.armed = false
		return
	}
	limit := patience + time.Duration(w.sent)*time.Second/slowest
	if left := limit - time.Since(w.moved); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.armed, w.closed = false, true
	w.expired = fmt.Errorf("it has sent nothing for %v while requests wait: %w", limit, os.ErrDeadlineExceeded)
	_ = w.conn.Close()
}

// explain returns why the connection was closed, or else the error of an operation on it.
func (w *watch) explain(err error) error {
	if err == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.expired != nil {
		return w.expired
	}
	return err
}

// end ends the watch.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
