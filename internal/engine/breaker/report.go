package breaker

// reports are changes that OnChange has not been told of, guarded by the breaker's
// lock.
type reports struct {
	pending []Change
	busy    bool // a caller is telling
}

// unlock ends what was done under the lock, and reports its changes.
func (b *Breaker) unlock() {
	tell := len(b.pending) > 0 && !b.busy
	b.busy = b.busy || tell
	b.mu.Unlock()
	if tell {
		b.report()
	}
}

// report tells OnChange of all pending changes, those too that come meanwhile.
func (b *Breaker) report() {
	finished := false
	defer func() {
		if !finished { // OnChange panicked: others may go on
			b.mu.Lock()
			b.busy = false
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

// nextChange takes the next pending change. If there is none it ends the report.
func (b *Breaker) nextChange() (Change, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy = len(b.pending) > 0; !b.busy {
		return Change{}, false
	}
	c := b.pending[0]
	b.pending = b.pending[1:]
	return c, true
}
