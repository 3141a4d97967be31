package breaker

import "testing"

// A call that reads the state Open, and waits for the lock while a probe closes the
// breaker, is admitted. It is no probe and occupies no place.
func TestAdmitOnceClosed(t *testing.T) {
	b := New(Config{FailureThreshold: 1, HalfOpenMaxCalls: 1})
	w, number, err := b.admit(0) // as Allow after it has read the state
	if err != nil || number != 0 || w != b.load() || b.Snapshot() != (Snapshot{}) {
		t.Errorf("word %b, number %d, error %v, then %+v; want an ordinary permit", w, number, err, b.Snapshot())
	}
}

// While a goroutine holds the lock, successes are not counted without it: what the goroutine stores
// would replace them.
func TestBusy(t *testing.T) {
	b := New(Config{HalfOpenMaxCalls: 1, Window: Window{Calls: 10, MinCalls: 1, FailureRatio: 1}})
	p, err := b.Allow(0)
	if err != nil {
		t.Fatal(err)
	}
	b.lock()
	if b.settled(&p, Success, false) {
		t.Error("a success was counted without the lock")
	}
	b.unlock()
	if !b.settled(&p, Success, false) || b.Snapshot().Window.Calls != 1 {
		t.Errorf("%+v after a success", b.Snapshot())
	}
}
