package breaker

// reports are the changes that OnChange has not received. The breaker's lock guards them.
type reports struct {
	pending   []Change
	reporting bool // a goroutine calls OnChange
}

// unlock releases the lock and reports the changes that were made with it.
func (b *Breaker) unlock() {
	first := len(b.pending) > 0 && !b.reporting
	b.reporting = b.reporting || first
	b.leave()
	if first {
		b.report()
	}
}

// report calls OnChange with all pending changes, including those made meanwhile.
func (b *Breaker) report() {
	finished := false
	defer func() {
		if !finished { // OnChange panicked: another goroutine may report the rest
			b.mu.Lock()
			b.reporting = false
			b.mu.Unlock()
		}
	}()
	for {
		c, ok := b.nextChange()
		if finished = !ok; finished {
			return
		}
		b.config.OnChange(c)
	}
}

// nextChange removes and returns the next pending change. If there is none, the report
// ends.
func (b *Breaker) nextChange() (Change, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reporting = len(b.pending) > 0; !b.reporting {
		return Change{}, false
	}
	c := b.pending[0]
	b.pending = b.pending[1:]
	return c, true
}
