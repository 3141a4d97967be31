// Package news brings the changes of an interceptor to its listeners.
package news

import (
	"sync"
	"sync/atomic"
)

// MaxWaiting is how many changes wait for listeners. Further ones are dropped.
const MaxWaiting = 1024

// News brings changes to listeners, in order, on a goroutine that runs while changes wait. The zero value has no
// listeners. It is safe for concurrent use.
type News[C any] struct {
	Listeners []func(C)     // constant after the first Add
	Dropped   atomic.Uint64 // changes, since too many waited
	Panics    atomic.Uint64 // of listeners

	mu      sync.Mutex // guards the fields below
	waiting []C
	running bool
}

// Add adds a change. It never blocks.
func (n *News[C]) Add(c C) {
	if len(n.Listeners) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= MaxWaiting {
		n.Dropped.Add(1)
		return
	}
	n.waiting = append(n.waiting, c)
	if !n.running {
		n.running = true
		var none C
		go n.run(none, nil)
	}
}

// run calls listeners with a change, and then all listeners until no change waits.
func (n *News[C]) run(c C, listeners []func(C)) {
	finished := false
	defer func() {
		if !finished { // a listener has called runtime.Goexit
			go n.run(c, listeners)
		}
	}()
	for {
		for len(listeners) > 0 {
			listener := listeners[0]
			listeners = listeners[1:]
			n.call(listener, c)
		}
		next, ok := n.next()
		if finished = !ok; finished {
			return
		}
		c, listeners = next, n.Listeners
	}
}

func (n *News[C]) next() (change C, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running = len(n.waiting) > 0; !n.running {
		n.waiting = nil
		return change, false
	}
	change = n.waiting[0]
	n.waiting = n.waiting[1:]
	return change, true
}

// call calls a listener, and goes on if it panics or exits.
func (n *News[C]) call(listener func(C), c C) {
	returned := false
	defer func() {
		if !returned {
			n.Panics.Add(1)
			_ = recover() // the measurement counts it
		}
	}()
	listener(c)
	returned = true
}
