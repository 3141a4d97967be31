package frametransport

import (
	"sync"
	"sync/atomic"
)

// workers runs functions on goroutines that are used again, so that their stacks need not
// grow again for each call. At most maxIdle of them wait for work.
type workers struct {
	jobs chan func()
	quit chan struct{}
	idle atomic.Int32
	all  sync.WaitGroup
	once sync.Once
}

// maxIdle is the number of goroutines that wait for work.
const maxIdle = 64

func newWorkers() *workers { return &workers{jobs: make(chan func()), quit: make(chan struct{})} }

// run runs f on a goroutine that waits, or else on a new one. It does not block.
func (w *workers) run(f func()) {
	select {
	case w.jobs <- f:
	default:
		w.all.Go(func() { w.loop(f) })
	}
}

func (w *workers) loop(f func()) {
	for {
		f()
		if w.idle.Add(1) > maxIdle {
			w.idle.Add(-1)
			return
		}
		select {
		case f = <-w.jobs:
			w.idle.Add(-1)
		case <-w.quit:
			return
		}
	}
}

// stop ends the goroutines that wait, and returns when all have ended. No function may be
// run afterwards.
func (w *workers) stop() {
	w.once.Do(func() { close(w.quit) })
	w.all.Wait()
}
