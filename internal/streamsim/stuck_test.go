package streamsim

import (
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A program that waits for a lock forever does not end: synctest moves the time of a bubble only when its goroutines
// wait for something that another goroutine of the bubble does. How long a program takes says nothing: on a loaded
// machine none of its goroutines may run for seconds. So a program is stuck if two looks find the same: no goroutine of
// its bubble runs or can run, and none has made a step meanwhile. One that goes round in circles is found by its time.
const (
	lookAfter    = time.Second // between two looks, in real time
	endlessAfter = time.Minute // for a program that runs, in real time
)

// observer watches the bubble of a run.
type observer struct {
	mu     sync.Mutex
	bubble string // "synctest bubble 7"
}

var bubbleName = regexp.MustCompile(`synctest bubble \d+`)

// enter is called in the bubble.
func (o *observer) enter() {
	buf := make([]byte, 200)
	buf = buf[:runtime.Stack(buf, false)]
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bubble = bubbleName.FindString(string(buf))
}

// blocked returns the states of the goroutines of the bubble; "" if one of them runs or can run.
func (o *observer) blocked() string {
	o.mu.Lock()
	bubble := o.bubble
	o.mu.Unlock()
	if bubble == "" {
		return ""
	}
	var states []string
	for g := range strings.SplitSeq(allStacks(), "\n\n") {
		header, _, _ := strings.Cut(g, "\n")
		switch {
		case !strings.HasSuffix(header, ", "+bubble+"]:"):
		case !waits(header):
			return ""
		default:
			states = append(states, header)
		}
	}
	return strings.Join(states, "\n")
}

// waits reports whether a goroutine, by the header of its stack, waits for another.
func waits(header string) bool {
	_, state, _ := strings.Cut(header, "[")
	for _, of := range []string{"sync.", "semacquire", "chan ", "select", "synctest."} {
		if strings.HasPrefix(state, of) {
			return true
		}
	}
	return strings.Contains(state, "(durable)")
}

// allStacks returns the stacks of all goroutines.
func allStacks() string {
	for size := 1 << 18; ; size *= 2 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size {
			return string(buf[:n])
		}
	}
}

// awaitEnd waits for the end of a run, and returns why it will not end, or "".
func (w *world) awaitEnd(done <-chan struct{}, o *observer) string {
	looks := time.NewTicker(lookAfter)
	defer looks.Stop()
	last, began := "", time.Now()
	steps := -1
	for {
		select {
		case <-done:
			return ""
		case <-looks.C:
		}
		now, made := o.blocked(), w.steps()
		switch {
		case now != "" && now == last && made == steps:
			return "no goroutine can run"
		case time.Since(began) > endlessAfter:
			return "it runs without an end"
		}
		last, steps = now, made
	}
}

// steps returns how many entries the record has.
func (w *world) steps() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

// A run is stuck if a goroutine waits for a lock that is never released, and not if its goroutines do not get to run.
func TestStuck(t *testing.T) {
	for name, c := range map[string]struct {
		body  func(locked *sync.Mutex, release <-chan struct{})
		stuck bool
	}{
		"waits for a lock": {func(locked *sync.Mutex, _ <-chan struct{}) {
			locked.Lock()
			defer locked.Unlock()
		}, true},
		"another waits for a lock": {func(locked *sync.Mutex, _ <-chan struct{}) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				locked.Lock()
				defer locked.Unlock()
			}()
			<-done
		}, true},
		"runs for long": {func(_ *sync.Mutex, release <-chan struct{}) {
			for {
				select {
				case <-release:
					return
				default:
					runtime.Gosched()
				}
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{}
			o, done, release := &observer{}, make(chan struct{}), make(chan struct{})
			var locked sync.Mutex
			locked.Lock()
			if !c.stuck {
				time.AfterFunc(3*lookAfter, func() { close(release) })
			}
			go func() {
				defer close(done)
				synctest.Test(t, func(*testing.T) {
					o.enter()
					c.body(&locked, release)
				})
			}()
			if why := w.awaitEnd(done, o); (why != "") != c.stuck {
				t.Errorf("awaitEnd returned %q", why)
			}
			locked.Unlock()
			<-done
		})
	}
}
