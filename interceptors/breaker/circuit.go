package breaker

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/internal/engine/breaker"
	"github.com/hauberk-rpc/hauberk/internal/engine/keyed"
)

// circuit is the circuit of a service, method, target or key.
type circuit struct {
	*breaker.Breaker

	name    string // for operators
	public  string // in rejections, without the value of a key
	failure atomic.Pointer[error]
	used    atomic.Int64 // when the table last returned it, as time.Duration
}

// keep keeps the last failure.
func (c *circuit) keep(err error) { c.failure.Store(&err) }

// lastFailure returns the last failure, or nil.
func (c *circuit) lastFailure() error {
	if err := c.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// usualKey is the room for a key on the stack, in bytes.
const usualKey = 96

// makeTables makes the tables of circuits.
func (b *Interceptor) makeTables() (err error) {
	if b.byName, err = keyed.New(keyed.Config{MaxKeys: b.config.MaxCircuits}, func(name string, c *circuit) {
		b.setup(c, name, name)
	}); err != nil || b.config.Key.Name() == "" {
		return err
	}
	kind := b.config.Key.Name()
	b.byKey, err = keyed.New(keyed.Config{MaxKeys: b.config.MaxCircuits}, func(value string, c *circuit) {
		if value == "" { // of callkey.Global
			b.setup(c, kind, kind)
			return
		}
		b.setup(c, kind+":"+value, kind)
	})
	return err
}

// setup prepares a new circuit. It runs with the lock of a table.
func (b *Interceptor) setup(c *circuit, name, public string) {
	config := b.engine
	config.OnChange = func(change breaker.Change) { b.changed(c, &change) }
	config.Mode = b.forced.mode(name)
	c.name, c.public, c.Breaker = name, public, breaker.New(config)
}

// circuitOf returns the circuit of a call.
func (b *Interceptor) circuitOf(ctx context.Context, call *hauberk.Call, now time.Duration) *circuit {
	if b.byKey != nil {
		var room [usualKey]byte
		if key, ok := b.config.Key.Append(ctx, call, room[:0]); ok {
			return b.byKey.GetBytes(key, now)
		}
	}
	if b.config.By == ByTarget {
		return b.byName.Get(call.Target(), now)
	}
	method := call.Method()
	slot := b.near.slot(method)
	if n := slot.Load(); n != nil && n.method == method && n.circuit.isFresh(now) {
		return n.circuit
	}
	return b.find(call, slot, now)
}

// find returns the circuit of a call from the table, and keeps it in the slot, unless the slot has one
// that is in use.
func (b *Interceptor) find(call *hauberk.Call, slot *atomic.Pointer[nearOne], now time.Duration) *circuit {
	c := b.byName.Get(b.config.By.key(call), now)
	if n := slot.Load(); n == nil || (n.method != call.Method() || n.circuit != c) && !n.circuit.isFresh(now) {
		slot.Store(&nearOne{call.Method(), c})
	}
	c.used.Store(int64(now))
	return c
}

// near has circuits by method, for which the table need not be asked: it takes as long as all the rest.
// A circuit is near for a millisecond after the table has returned it, which is the precision of the
// table, so that one that is in use is not removed, and one that was removed is soon forgotten.
type near [64]atomic.Pointer[nearOne]

type nearOne struct {
	method  *hauberk.Method
	circuit *circuit
}

// slot returns the slot of a method. Methods of the same length and last letter share one.
func (n *near) slot(m *hauberk.Method) *atomic.Pointer[nearOne] {
	name, last := m.FullName(), 0
	if name != "" {
		last = int(name[len(name)-1])
	}
	return &n[(len(name)+31*last)%len(n)]
}

func (c *circuit) isFresh(now time.Duration) bool {
	return uint64(int64(now)-c.used.Load()) < uint64(time.Millisecond)
}

// all returns all circuits.
func (b *Interceptor) all() (all []*circuit) {
	for _, table := range []*keyed.Map[circuit]{b.byName, b.byKey} {
		if table == nil { // of a zero Interceptor, of a wrong configuration, or without a Key
			continue
		}
		for _, c := range table.All() {
			all = append(all, c)
		}
	}
	return all
}

// Circuit is a circuit at one moment.
type Circuit struct {
	// Name is the service, method or target; with [Config.Key] the kind of key, a colon and the
	// value, such as "tenant:acme". Of a value of more than 128 bytes it has the SHA-256. Values may
	// be names of users: metrics should not have them.
	Name string
	// State is the state after the last call: a circuit stays open after its time until the next
	// call.
	State State
	// Mode is Automatic, or what an operator has forced.
	Mode Mode
	// Failures is the number of consecutive failures.
	Failures int
	// Window is what the window held after the last call that counted; zero without ratios.
	Window Counts
	// Probes and Successes are how many probes run and have succeeded; 0 unless half-open.
	Probes, Successes int
	// OpenFor is the time until an open circuit admits a probe. It is 0 for others, and if the
	// circuit is forced.
	OpenFor time.Duration
	// LastFailure is the last failure, or nil.
	LastFailure error
	// Changes is how often the state or the mode has changed.
	Changes uint64
}

// Circuits returns all circuits in the order of their names. They are read one after the other. Safe
// for concurrent use.
func (b *Interceptor) Circuits() []Circuit {
	all := b.all()
	circuits := make([]Circuit, 0, len(all))
	for _, c := range all {
		s := c.Snapshot()
		circuits = append(circuits, Circuit{
			Name: c.name, State: s.State, Mode: s.Mode, Failures: s.Failures, Window: s.Window,
			Probes: s.Probes, Successes: s.Successes, OpenFor: c.Left(b.now()),
			LastFailure: c.lastFailure(), Changes: s.Changes,
		})
	}
	slices.SortFunc(circuits, func(a, b Circuit) int { return cmp.Compare(a.Name, b.Name) })
	return circuits
}

// States returns the state of each circuit by its name: see [Circuit]. Safe for concurrent use.
func (b *Interceptor) States() map[string]State {
	states := make(map[string]State)
	for _, c := range b.all() {
		states[c.name] = c.Snapshot().State
	}
	return states
}

// Failures returns the number of consecutive failures of each circuit, by the names that
// [Interceptor.States] returns. Safe for concurrent use.
func (b *Interceptor) Failures() map[string]int {
	failures := make(map[string]int)
	for _, c := range b.all() {
		failures[c.name] = c.Snapshot().Failures
	}
	return failures
}
