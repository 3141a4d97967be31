package authnjwt_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/interceptors/authn/authnjwt"
)

// beginnings records when requests begin.
type beginnings struct {
	mu   sync.Mutex
	list []time.Time
}

func (b *beginnings) of(answer func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		b.mu.Lock()
		b.list = append(b.list, time.Now())
		b.mu.Unlock()
		return answer(r)
	}
}

// take returns the times since the last call, and the shortest time between two of them.
func (b *beginnings) take() (list []time.Time, shortest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, b.list = b.list, nil
	shortest = time.Duration(1<<63 - 1)
	for i := 1; i < len(list); i++ {
		shortest = min(shortest, list[i].Sub(list[i-1]))
	}
	return list, shortest
}

// TestOneTimer: however many fetches calls have begun, there is one refresh each Interval, and two fetches
// never begin within MinInterval.
func TestOneTimer(t *testing.T) {
	for _, unknown := range []int{0, 1, 57} {
		for name, took := range map[string]time.Duration{"fast": 0, "slow": 4 * time.Second} {
			t.Run(fmt.Sprint(unknown, " unknown keys, ", name), func(t *testing.T) {
				bubble(t, func(t *testing.T, w *web) {
					var begun beginnings
					w.set(begun.of(slowly(took, answers(200, setOf("1")))))
					v := validator(t, fromURL(), w.option())
					accepts(t, v, long(edKey(), "1"))
					for i := range unknown {
						wait(31700 * time.Millisecond)
						rejects(t, v, long(edKey2(), fmt.Sprint("bad", i)), authnjwt.ErrUnknownKey)
					}
					if _, shortest := begun.take(); shortest < 30*time.Second {
						t.Errorf("two fetches began within %v; want at least MinInterval, 30s", shortest)
					}
					wait(10 * time.Hour)
					list, shortest := begun.take()
					if n := len(list); n < 117 || n > 134 || shortest < 270*time.Second {
						t.Errorf("%d fetches in 10 hours without calls, two within %v; want one in 4.5m to 5m", n, shortest)
					}
					v.Close()
					wait(time.Hour)
					if list, _ := begun.take(); len(list) > 0 {
						t.Errorf("%d fetches after Close", len(list))
					}
				})
			})
		}
	}
}

// TestNoKeysYet: while there are no keys, the fetch is made again after about a second, and then ever
// later up to MinInterval, with and without calls. Keys that come back are used at once.
func TestNoKeysYet(t *testing.T) {
	for name, calls := range map[string]bool{"calls": true, "no calls": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *web) {
				var begun beginnings
				w.set(begun.of(failing))
				v := validator(t, fromURL(), w.option())
				_, _ = v.Validate(t.Context(), long(edKey(), "1"))
				for range 600 {
					wait(time.Second / 2)
					if calls {
						rejects(t, v, long(edKey(), "1"), authnjwt.ErrKeys)
					}
				}
				list, shortest := begun.take()
				if least := 800 * time.Millisecond; shortest < least {
					t.Errorf("two fetches began within %v; want at least %v", shortest, least)
				}
				for i := 1; i < len(list); i++ {
					delay := min(time.Second<<min(i-1, 10), 30*time.Second)
					if got := list[i].Sub(list[i-1]); got < delay*8/10 || got > delay*12/10 {
						t.Errorf("fetch %d began after %v; want about %v", i+1, got, delay)
					}
				}
				w.set(answers(200, setOf("1")))
				wait(36 * time.Second)
				accepts(t, v, long(edKey(), "1"))
			})
		})
	}
	bubble(t, func(t *testing.T, w *web) {
		w.set(failing)
		v := validator(t, fromURL(), w.option())
		rejects(t, v, long(edKey(), "1"), authnjwt.ErrKeys)
		w.set(answers(200, setOf("1")))
		wait(1200 * time.Millisecond)
		accepts(t, v, long(edKey(), "1"))
	})
}
