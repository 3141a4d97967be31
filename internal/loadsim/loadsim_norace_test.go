//go:build !race

package loadsim_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/hauberk-rpc/hauberk/internal/engine/gradient"
	"github.com/hauberk-rpc/hauberk/internal/loadsim"
)

// An adaptive limit finds the throughput again within 30 s after service has become ten times slower, and
// after it is as fast as before, and has 90 % of it from then on. It is never at its floor.
func TestLatencyStep(t *testing.T) {
	for seed := range uint64(3) {
		seconds := loadsim.LatencyStep(0, seed).Run()
		before := loadsim.Throughput(seconds, 10*time.Second, loadsim.StepUp)
		wantConverged(t, seconds, loadsim.StepUp, before/loadsim.StepFactor)
		wantConverged(t, seconds, loadsim.StepDown, before)
		wantThroughput(t, seconds, loadsim.StepUp+30*time.Second, loadsim.StepDown, 0.9*before/loadsim.StepFactor)
		wantThroughput(t, seconds, loadsim.StepDown+30*time.Second, loadsim.StepLength, 0.9*before)
		wantNoFloor(t, seconds)
	}
}

// With 5 % very slow calls, which occupy most of the server, the limit is never at its floor, and the server
// stays busy.
func TestLatencyStepWithSlowCalls(t *testing.T) {
	const slow = 0.05
	mean := (1-slow)*loadsim.StepService.Seconds() + slow*loadsim.StepSlow.Seconds()
	for seed := range uint64(3) {
		seconds := loadsim.LatencyStep(slow, seed).Run()
		capacity := loadsim.StepWorkers / mean
		wantThroughput(t, seconds, 10*time.Second, loadsim.StepUp, 0.75*capacity)
		wantConverged(t, seconds, loadsim.StepDown, 0.8*capacity)
		wantThroughput(t, seconds, loadsim.StepDown+30*time.Second, loadsim.StepLength, 0.75*capacity)
		wantNoFloor(t, seconds)
	}
}

func wantConverged(t *testing.T, seconds []loadsim.Second, after time.Duration, want float64) {
	t.Helper()
	took, ok := loadsim.Converged(seconds, after, 0.9*want)
	if !ok || took > 30*time.Second {
		t.Errorf("after %v the throughput is %.1f again after %v (%t); want at most 30 s", after, 0.9*want, took, ok)
	}
}

func wantThroughput(t *testing.T, seconds []loadsim.Second, from, until time.Duration, want float64) {
	t.Helper()
	if got := loadsim.Throughput(seconds, from, until); got < want {
		t.Errorf("%v to %v: %.1f calls a second, want %.1f", from, until, got, want)
	}
}

func wantNoFloor(t *testing.T, seconds []loadsim.Second) {
	t.Helper()
	if least := loadsim.Least(seconds, 0, loadsim.StepLength); least <= gradient.DefaultMin {
		t.Errorf("the limit was %d, its floor", least)
	}
}

// A caller at half of its share loses nothing to one that asks for 20 times its own: with a queue at any
// times of its calls, and without one after the first second.
func TestNeighbours(t *testing.T) {
	for seed := range uint64(2) {
		for _, c := range []struct {
			waiting int
			even    bool
			from    time.Duration
		}{{50, false, 0}, {50, true, 0}, {0, true, time.Second}} {
			seconds := loadsim.Neighbours(c.waiting, c.even, seed).Run()
			quiet := loadsim.Total(seconds[c.from/time.Second:], 1)
			loud := loadsim.Total(seconds[c.from/time.Second:], 0)
			if quiet.Rejected != 0 || quiet.Served < quiet.Made*99/100 {
				t.Errorf("%+v: quiet %+v, want nothing rejected", c, quiet)
			}
			capacity := loadsim.NeighbourLimit * (loadsim.NeighbourLength - c.from).Seconds() / loadsim.NeighbourService.Seconds()
			if busy := loud.Served + quiet.Served; float64(busy) < 0.7*capacity { // what quiet leaves of its share stays free
				t.Errorf("%+v: only %d calls were served, of %.0f", c, busy, capacity)
			}
		}
	}
}

// Without shares the quiet caller loses as much as the loud one.
func TestNeighboursWithoutShares(t *testing.T) {
	w := loadsim.Neighbours(50, false, 1)
	for i := range w.Callers {
		w.Callers[i].Name = "one"
	}
	if quiet := loadsim.Total(w.Run(), 1); quiet.Rejected < quiet.Made/2 {
		t.Errorf("quiet %+v; want most rejected, or the scenario shows nothing", quiet)
	}
}

// The same seed gives the same run.
func TestDeterministic(t *testing.T) {
	w := loadsim.LatencyStep(0.05, 7)
	w.Length = 10 * time.Second
	if !reflect.DeepEqual(w.Run(), w.Run()) {
		t.Error("two runs differ")
	}
}
