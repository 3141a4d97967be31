package breaker

import "sync"

// forced are the modes that an operator has chosen. They hold for circuits that are removed and
// made again.
type forced struct {
	mu   sync.RWMutex // guards the fields below
	rest Mode         // of all circuits that by does not have
	by   map[string]Mode
}

// mode returns the mode of a circuit.
func (f *forced) mode(name string) Mode {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if m, ok := f.by[name]; ok {
		return m
	}
	return f.rest
}

func (f *forced) set(name string, m Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m == f.rest {
		delete(f.by, name)
		return
	}
	if f.by == nil {
		f.by = make(map[string]Mode)
	}
	f.by[name] = m
}

func (f *forced) setAll(m Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rest, f.by = m, nil
}

// ForceOpen opens the circuit of a name, as [Circuit] has it: all its calls are rejected, with the
// message and the reason of an open circuit, and with "forced" in the metadata of the ErrorInfo.
// There is no RetryInfo. The circuit stays open until ForceClosed or Automatic.
//
// A circuit need not exist yet. The mode holds for one that is made later, also after it was removed
// because there are more than [Config.MaxCircuits]. ForceOpen reports whether there is a circuit of
// that name. Safe for concurrent use, as are the methods below. The last call counts.
func (b *Interceptor) ForceOpen(circuit string) (exists bool) { return b.force(circuit, ForcedOpen) }

// ForceClosed closes the circuit of a name, as [Interceptor.ForceOpen] opens it: all its calls are
// admitted, and their outcomes count for nothing.
func (b *Interceptor) ForceClosed(circuit string) (exists bool) {
	return b.force(circuit, ForcedClosed)
}

// Automatic ends ForceOpen and ForceClosed for a circuit. One that was forced open is half-open then,
// so that probes decide. One that was forced closed counts from zero.
func (b *Interceptor) Automatic(circuit string) (exists bool) { return b.force(circuit, Automatic) }

// ForceAllOpen is ForceOpen for all circuits, those that are made later too. It replaces the modes of
// single circuits. A later call for a single circuit excepts it.
func (b *Interceptor) ForceAllOpen() { b.forceAll(ForcedOpen) }

// ForceAllClosed is ForceClosed for all circuits: see [Interceptor.ForceAllOpen].
func (b *Interceptor) ForceAllClosed() { b.forceAll(ForcedClosed) }

// AllAutomatic is Automatic for all circuits: see [Interceptor.ForceAllOpen].
func (b *Interceptor) AllAutomatic() { b.forceAll(Automatic) }

// force sets the mode of a circuit. One that is made from now on has it; the others are in all.
func (b *Interceptor) force(name string, m Mode) (exists bool) {
	b.forced.set(name, m)
	for _, c := range b.all() {
		if c.name == name {
			b.apply(c)
			exists = true
		}
	}
	return exists
}

func (b *Interceptor) forceAll(m Mode) {
	b.forced.setAll(m)
	for _, c := range b.all() {
		b.apply(c)
	}
}

// apply applies the mode of a circuit, until it is the last one that was set. It holds no lock, since
// a function of WithOnChange may force circuits.
func (b *Interceptor) apply(c *circuit) {
	for {
		m := b.forced.mode(c.name)
		c.Force(m, b.now())
		if m == b.forced.mode(c.name) {
			return
		}
	}
}
