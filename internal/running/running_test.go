package running_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hauberk-rpc/hauberk/internal/methodtable"
	"github.com/hauberk-rpc/hauberk/internal/running"
)

var errEnded = errors.New("ended")

// A call ends early at most once, and not after it has ended otherwise.
func TestEnd(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	times := 0
	do := func() { times++ }
	for name, c := range map[string]struct {
		ctx     context.Context
		settled bool
		want    error
	}{
		"running": {ctx: t.Context(), want: errEnded}, "caller has gone": {ctx: done}, "settled": {ctx: t.Context(), settled: true},
	} {
		times = 0
		var e running.End
		if c.settled {
			e.Settle()
		}
		first, second := e.By(c.ctx, errEnded, do), e.By(c.ctx, errors.New("second"), do)
		if ends := c.want != nil; first != ends || second || (times == 1) != ends {
			t.Errorf("%s: ended %t, %t, %d times", name, first, second, times)
		}
		if err := e.Err(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}

// Settle waits for an end that is under way.
func TestSettleWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e running.End
		begun, release, settled := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go e.By(t.Context(), errEnded, func() { close(begun); <-release })
		<-begun
		go func() {
			e.Settle()
			settled <- e.Err()
		}()
		close(release)
		if err := <-settled; !errors.Is(err, errEnded) {
			t.Error(err)
		}
	})
}

// Calls are counted by method, and streams are kept until they end.
func TestMethods(t *testing.T) {
	var g running.Methods[int]
	b, a := g.Of("/b/B"), g.Of("/a/A")
	if g.Of("/b/B") != b {
		t.Error("two methods of one name")
	}
	a.Add()
	b.AddStream(1)
	b.AddStream(2)
	b.DoneStream(1)
	if a.Running() != 1 || b.Running() != 1 || !slices.Equal(b.Streams(), []int{2}) || len(a.Streams()) != 0 {
		t.Errorf("%d, %d, %v, %v", a.Running(), b.Running(), a.Streams(), b.Streams())
	}
	if all := g.All(); !slices.Equal(all, []*running.Method[int]{a, b}) {
		t.Errorf("%v", all)
	}
}

// Names beyond the limit share one method.
func TestOther(t *testing.T) {
	var g running.Methods[int]
	for i := range methodtable.DefaultLimit {
		g.Of(strconv.Itoa(i))
	}
	if m := g.Of("x"); m.Name != running.Other || g.Of("y") != m || g.Other() != m || len(g.All()) != methodtable.DefaultLimit+1 {
		t.Errorf("%s, %d methods", m.Name, len(g.All()))
	}
}

// Wait returns when the calls have ended that it waits for, or its context.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g running.Methods[int]
		a, b := g.Of("a"), g.Of("b")
		ofA := func(m *running.Method[int]) bool { return m == a }
		b.Add()
		if err := g.Wait(t.Context(), ofA); err != nil {
			t.Error(err)
		}
		a.AddStream(1)
		ctx, cancel := context.WithCancel(t.Context())
		waited, given := make(chan error, 2), make(chan error, 1)
		for range 2 {
			go func() { waited <- g.Wait(t.Context(), ofA) }()
		}
		go func() { given <- g.Wait(ctx, ofA) }()
		synctest.Wait()
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		b.Done()
		synctest.Wait()
		if len(waited) > 0 {
			t.Error("Wait returned while the call runs")
		}
		a.DoneStream(1)
		for range 2 {
			if err := <-waited; err != nil {
				t.Error(err)
			}
		}
	})
}

// Either a call sees the event, or the event sees the call.
func TestNoCallIsMissed(t *testing.T) {
	for range 200 {
		var g running.Methods[int]
		var event atomic.Bool
		var missed, ended sync.Map
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				m := g.Of(strconv.Itoa(i % 2))
				m.AddStream(i)
				if !event.Load() {
					missed.Store(i, true) // it runs on
				}
			})
		}
		all.Go(func() {
			event.Store(true)
			for _, m := range g.All() {
				for _, s := range m.Streams() {
					ended.Store(s, true)
				}
			}
		})
		all.Wait()
		for i := range missed.Range {
			if _, ok := ended.Load(i); !ok {
				t.Fatalf("call %d runs on", i)
			}
		}
	}
}
