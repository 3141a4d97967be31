package future

import (
	"slices"
	"testing"
)

// If a callback panics, the following ones still run, and the panic is not lost.
func TestTellGoesOn(t *testing.T) {
	var ran []int
	note := func(i int) func(*Future[int]) { return func(*Future[int]) { ran = append(ran, i) } }
	boom := func(*Future[int]) { panic("boom") }
	f := &Future[int]{}
	var panicked any
	func() {
		defer func() { panicked = recover() }()
		f.notify([]func(*Future[int]){note(1), boom, note(2), note(3)})
	}()
	if !slices.Equal(ran, []int{1, 2, 3}) || panicked != "boom" {
		t.Errorf("ran %v, panic %v; want 1, 2, 3 and boom", ran, panicked)
	}
}
