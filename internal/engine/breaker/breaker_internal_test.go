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
