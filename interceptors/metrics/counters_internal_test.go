package metrics

import (
	"context"
	"slices"
	"testing"

	"github.com/hauberk-rpc/hauberk"
	"github.com/hauberk-rpc/hauberk/hauberktest"
	"github.com/hauberk-rpc/hauberk/internal/testseed"
)

// Streams open and close in any order. Each running stream is in the list once, at its index.
// Streams that have ended are reused.
func TestRunningStreams(t *testing.T) {
	var calls []*hauberk.Call
	collect := hauberk.Func(func(_ context.Context, call *hauberk.Call, _ hauberk.Next) error {
		calls = append(calls, call)
		return nil
	})
	conn := hauberk.Must(hauberk.New(collect)).ClientConn(hauberktest.Conn{})
	random := testseed.Rand(t, 0)
	c := &New(Config{}).sides[0].methods.newMethod(label{}).counters
	var open []*stream
	most := 0
	for range 5000 {
		if n := len(open); n > 0 && random.IntN(2) == 0 {
			i := random.IntN(n)
			c.close(open[i], 1, 2)
			open = slices.Delete(open, i, i+1)
		} else {
			_ = conn.Invoke(t.Context(), "/s/m", t, t)
			open = append(open, c.open(calls[len(calls)-1]))
		}
		most = max(most, len(open))
		checkRunning(t, c, open)
	}
	closed := uint64(len(calls) - len(open))
	if sent, received := c.streamedOut, c.streamedIn; sent != closed || received != 2*closed {
		t.Errorf("%d and %d messages of %d streams", sent, received, closed)
	}
	made := slices.DeleteFunc(c.running[:cap(c.running)], func(s *stream) bool { return s == nil })
	if len(made) != most {
		t.Errorf("%d streams were made, at most %d ran concurrently", len(made), most)
	}
}

func checkRunning(t *testing.T, c *counters, open []*stream) {
	t.Helper()
	if len(c.running) != len(open) {
		t.Fatalf("%d streams run, want %d", len(c.running), len(open))
	}
	for _, s := range open {
		if c.running[s.at] != s || s.call == nil {
			t.Fatalf("the stream with the index %d is not in the list", s.at)
		}
	}
	for _, s := range c.running[len(open):cap(c.running)] {
		if s != nil && s.call != nil {
			t.Fatal("a stream that has ended keeps its call")
		}
	}
}
