package breaker

import "testing"

// A call that met an open breaker, and waits for the lock while a probe closes it, is
// admitted as any other: it is no probe, and takes no place.
func TestAdmitOnceClosed(t *testing.T) {
	b := New(Config{FailureThreshold: 1, HalfOpenMaxCalls: 1})
	w, number, err := b.admit(0) // what Allow does after it has looked
	if err != nil || number != 0 || w != b.load() || b.Snapshot() != (Snapshot{}) {
		t.Errorf("word %b, number %d, error %v, then %+v; want an ordinary permit", w, number, err, b.Snapshot())
	}
}
