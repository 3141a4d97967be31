// Package running keeps the calls that run, by method, so that they can be counted, waited for and ended.
//
// A call that must not run past some event is added first, and then reads whether the event has happened.
// The event is stored first, and then the calls are read. So either the call sees the event, or the event sees
// the call.
package running

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hauberk-rpc/hauberk/internal/methodtable"
)

// Other is the name of the methods beyond the limit of [Methods].
const Other = "other"

// maxMethods bounds the methods that are kept separately: callers may invent names.
const maxMethods = methodtable.DefaultLimit

// Methods are the calls that run, by method. S identifies a stream. The zero value is ready for use. It is safe
// for concurrent use.
type Methods[S comparable] struct {
	names methodtable.Names[*Method[S]]
	other atomic.Pointer[Method[S]]

	waiting atomic.Int64 // calls of Wait
	mu      sync.Mutex
	wake    chan struct{} // guarded by mu; closed to make Wait look again
}

// Method is the calls of one method that run.
type Method[S comparable] struct {
	Name string

	all     *Methods[S]
	running atomic.Int64

	mu      sync.Mutex
	streams map[S]struct{} // guarded by mu
}

// Of returns a method by its name. Each name has one, and all names beyond a limit share [Other].
func (g *Methods[S]) Of(name string) *Method[S] {
	create := func(name string) *Method[S] {
		return &Method[S]{Name: name, all: g, streams: make(map[S]struct{})}
	}
	if m, ok := g.names.Get(name); ok {
		return m
	}
	if m, ok := g.names.Add(name, maxMethods, create); ok {
		return m
	}
	g.other.CompareAndSwap(nil, create(Other))
	return g.other.Load()
}

// Other returns the method that the names share which are not kept.
func (g *Methods[S]) Other() *Method[S] { return g.Of(Other) }

// All returns the methods, sorted by name.
func (g *Methods[S]) All() []*Method[S] {
	all := g.names.All()
	if m := g.other.Load(); m != nil {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *Method[S]) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Wait returns nil once no call runs of the methods for which of returns true, or the error of ctx if that
// ends first. Calls that begin meanwhile count. of is called again when a method has no more calls, and by Again.
func (g *Methods[S]) Wait(ctx context.Context, of func(m *Method[S]) bool) error {
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	for {
		wake := g.wakes()
		if !slices.ContainsFunc(g.All(), func(m *Method[S]) bool { return m.Running() > 0 && of(m) }) {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wakes returns a channel that is closed to make Wait look again.
func (g *Methods[S]) wakes() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wake == nil {
		g.wake = make(chan struct{})
	}
	return g.wake
}

// Again makes Wait call of again, after what of depends on has changed.
func (g *Methods[S]) Again() {
	if g.waiting.Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wake != nil {
		close(g.wake)
		g.wake = nil
	}
}

// Add counts a call.
func (m *Method[S]) Add() { m.running.Add(1) }

// Done counts the end of a call.
func (m *Method[S]) Done() {
	if m.running.Add(-1) == 0 {
		m.all.Again()
	}
}

// AddStream counts a call and keeps its stream.
func (m *Method[S]) AddStream(s S) {
	m.Add()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams[s] = struct{}{}
}

// DoneStream counts the end of a call and forgets its stream.
func (m *Method[S]) DoneStream(s S) {
	m.forget(s)
	m.Done()
}

func (m *Method[S]) forget(s S) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.streams, s)
}

// Running returns how many calls run.
func (m *Method[S]) Running() int64 { return m.running.Load() }

// Streams returns the streams that run.
func (m *Method[S]) Streams() []S {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.streams))
}
