package logging

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAdmit(t *testing.T) {
	for _, test := range []struct {
		name string
		by   Sampling
		want string // of the calls of one second
	}{
		{"first only", Sampling{First: 3}, "###......."},
		{"one in", Sampling{OneIn: 4}, "...#...#.."},
		{"first, then one in", Sampling{First: 2, OneIn: 3}, "##..#..#.."},
		{"first, then all", Sampling{First: 2, OneIn: 1}, "##########"},
	} {
		var s sampler
		for second := range 2 { // each second starts again
			got := ""
			for range len(test.want) {
				got += map[bool]string{true: "#", false: "."}[s.admit(&test.by, slog.LevelInfo, time.Duration(second)*time.Second)]
			}
			if got != test.want {
				t.Errorf("%s: %s, want %s", test.name, got, test.want)
			}
		}
	}
}

func TestLevelsAreCountedApart(t *testing.T) {
	var s sampler
	by := &Sampling{First: 1}
	for _, test := range []struct {
		level slog.Level
		want  bool
	}{
		{slog.LevelDebug, true},
		{slog.LevelDebug - 4, false},
		{slog.LevelInfo, true},
		{slog.LevelInfo + 3, false},
		{slog.LevelWarn, true},
		{slog.LevelWarn + 1, false},
		{slog.LevelError, true},
		{slog.LevelError + 100, false},
	} {
		if got := s.admit(by, test.level, 0); got != test.want {
			t.Errorf("%s: %t, want %t", test.level, got, test.want)
		}
	}
}

// An earlier second counts as the current one: concurrent calls of two seconds do not
// restart the count again and again.
func TestTimeGoesBack(t *testing.T) {
	var c counter
	for _, step := range []struct{ second, want uint32 }{{5, 1}, {5, 2}, {4, 3}, {0, 4}, {6, 1}, {5, 2}} {
		if got := c.next(step.second); got != step.want {
			t.Errorf("second %d: %d, want %d", step.second, got, step.want)
		}
	}
}

// Sampling goes on if the clock is set back to a time before New.
func TestTimeGoesBackBeyondTheBeginning(t *testing.T) {
	var s sampler
	by := &Sampling{First: 1}
	for _, step := range []struct {
		at   time.Duration
		want bool
	}{{-time.Hour, true}, {-time.Second, false}, {0, false}, {time.Second, true}, {-time.Hour, false}, {2 * time.Second, true}} {
		if got := s.admit(by, slog.LevelInfo, step.at); got != step.want {
			t.Errorf("at %s: %t, want %t", step.at, got, step.want)
		}
	}
}

func TestCounterDoesNotOverflow(t *testing.T) {
	var c counter
	c.state.Store(7<<32 | math.MaxUint32)
	if got := c.next(7); got != math.MaxUint32 || c.state.Load()>>32 != 7 {
		t.Errorf("%d in second %d", got, c.state.Load()>>32)
	}
}

// Many goroutines together get as many calls admitted as one.
func TestAdmitConcurrently(t *testing.T) {
	var s sampler
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if s.admit(&Sampling{First: 100, OneIn: 10}, slog.LevelInfo, 0) {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != 100+790 {
		t.Errorf("%d of 8000 admitted, want 890", got)
	}
}
